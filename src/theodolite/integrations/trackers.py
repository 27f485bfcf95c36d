"""TensorBoard, W&B, MLflow and Lightning loggers behind one function of values and step.

None of them is imported: the object that is passed says what it is by what it can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from theodolite.errors import InvalidType

Tracker = Callable[[Mapping[str, float], int], Any]
"""Takes finite numbers by name and the optimizer steps done."""

PREFIX = "theodolite/"
"""Before every name in a tracker; the step itself is ``theodolite/step`` in W&B."""


def tracker_of(tracker: Any) -> Tracker:
    """A function ``(values, step)`` that sends values to `tracker`, under names that begin
    ``theodolite/``.

    Parameters
    ----------
    tracker
        ``torch.utils.tensorboard.SummaryWriter`` (``add_scalar``); the module ``mlflow`` with an
        active run, or a logger of Lightning (``log_metrics``); a run of W&B (``log`` and
        ``define_metric``); or a function, which gets the names without the prefix.

    Notes
    -----
    W&B counts its own steps and refuses to go back, so values are logged without one, against the
    metric ``theodolite/step``, which is declared as their x axis. Raises `InvalidType` for
    anything else (E-M20).

    Examples
    --------
    >>> class Writer:
    ...     def add_scalar(self, name, value, step):
    ...         print(name, value, step)
    >>> tracker_of(Writer())({"loss": 0.5}, 100)
    theodolite/loss 0.5 100
    """
    if callable(getattr(tracker, "add_scalar", None)):
        return lambda values, step: _scalars(tracker, values, step)
    if callable(getattr(tracker, "log_metrics", None)):
        return lambda values, step: tracker.log_metrics(_prefixed(values), step=step)
    if callable(getattr(tracker, "define_metric", None)) and callable(
        getattr(tracker, "log", None)
    ):
        tracker.define_metric(f"{PREFIX}step")
        tracker.define_metric(f"{PREFIX}*", step_metric=f"{PREFIX}step")
        return lambda values, step: tracker.log({**_prefixed(values), f"{PREFIX}step": step})
    if callable(tracker):
        found: Tracker = tracker
        return found
    raise InvalidType(
        f"a tracker must be a SummaryWriter, a W&B run, mlflow, a logger of Lightning or a "
        f"function of values and step; got {type(tracker).__name__}.",
        fix="pass lambda values, step: ... to send them anywhere.",
        code="E-M20",
    )


def _prefixed(values: Mapping[str, float]) -> dict[str, float]:
    return {f"{PREFIX}{name}": value for name, value in values.items()}


def _scalars(writer: Any, values: Mapping[str, float], step: int) -> None:
    for name, value in _prefixed(values).items():
        writer.add_scalar(name, value, step)
