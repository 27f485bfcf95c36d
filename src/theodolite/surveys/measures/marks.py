"""Checkpoints in files as named points on a survey's plane."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from theodolite.directions import left_behind, point_of, projection
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.objective import Objective
from theodolite.training import load_state


@dataclass(frozen=True, eq=False)
class Mark:
    """A point with a name; ``behind``: what its checkpoint holds that does not move with theta."""

    name: str
    point: Shaped[Tensor, " params"]
    behind: tuple[str, ...] = ()


def read_marks(objective: Objective, paths: Iterable[str | Path]) -> list[Mark]:
    """The checkpoints in files, named after them; nothing in a file is run.

    Warns where a checkpoint has other running statistics or frozen parameters than the objective:
    the loss at its mark is not its own. Raises what `load_state` raises, `InvalidArgument` for
    tensors of another model (E-V19), `NotFinite` for NaN (E-G06).
    """
    files = [Path(p) for p in paths]
    short = [f.name for f in files]
    names = [f.name if short.count(f.name) == 1 else f"{f.parent.name}/{f.name}" for f in files]
    marks = [_read(objective, f, n) for f, n in zip(files, names, strict=True)]
    other = [m for m in marks if m.behind]
    if other:
        warnings.warn(
            f"{len(other)} of {len(marks)} checkpoints ({', '.join(m.name for m in other[:3])}) "
            f"hold other values of {', '.join(other[0].behind[:2])} than the surveyed point, and "
            "these do not move along a plane: the loss at a mark is not the checkpoint's own. "
            'With batch_norm="recompute" running statistics are made anew at every point.',
            TheodoliteWarning,
            stacklevel=2,
        )
    return marks


def _read(objective: Objective, path: Path, name: str) -> Mark:
    state = load_state(path)
    try:
        point = point_of(objective, state, name)
    except InvalidArgument as error:
        raise InvalidArgument(
            f"{name} does not fit the model: {error.what}",
            where=str(path),
            fix="name checkpoints of the target's own model.",
            code="E-V19",
        ) from error
    return Mark(name, point, left_behind(objective, state))


def mark_facts(
    directions: Shaped[Tensor, "2 params"],
    origin: Shaped[Tensor, " params"],
    marks: Sequence[Mark],
) -> dict[str, Any]:
    """Names, coordinates by least squares and distances from the plane, as results can hold them.

    ``marked_left_behind`` names what differs from the objective in any of the checkpoints.
    """
    found = projection(directions, [m.point for m in marks], origin)
    behind = tuple(dict.fromkeys(n for m in marks for n in m.behind))
    return {
        "marked": [m.name for m in marks],
        "marked_alpha": found.coordinates[:, 0].tolist(),
        "marked_beta": found.coordinates[:, 1].tolist(),
        "marked_residual": found.residual.tolist(),
        **({"marked_left_behind": list(behind)} if behind else {}),
    }
