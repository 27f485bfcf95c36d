"""What is called after every update of a training, and what of it a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from theodolite.errors import RunMismatch

Callback = Callable[[int], Any]
"""Called with the number of updates done; what it returns is not used."""


def states(callbacks: Sequence[Callback]) -> list[Any]:
    """What each callback wants kept; None for one without ``state_dict``."""
    return [c.state_dict() if _keeps(c) else None for c in callbacks]  # type: ignore[attr-defined]


def load_states(callbacks: Sequence[Callback], saved: list[Any], folder: Path) -> None:
    """Give every callback its state back; raises `RunMismatch` for other callbacks."""
    stateful = [_keeps(c) for c in callbacks]
    if stateful != [state is not None for state in saved]:
        raise RunMismatch(
            f"{folder} holds a training with {len(saved)} callbacks, "
            f"{sum(state is not None for state in saved)} of them with a state; "
            f"got {len(callbacks)}, {sum(stateful)} with one.",
            where="train",
            fix="pass the same callbacks in the same order, or choose another folder.",
            code="E-W21",
        )
    for callback, state in zip(callbacks, saved, strict=True):
        if state is not None:
            callback.load_state_dict(state)  # type: ignore[attr-defined]


def _keeps(callback: Callback) -> bool:
    return hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")
