"""Whether two objectives are the same function of the same parameters, on other data."""

from __future__ import annotations

import torch

from theodolite.errors import InvalidArgument
from theodolite.objective.objective import Objective


def check_same_space(objective: Objective, test: Objective, *, moved: bool) -> None:
    """Raise unless `test` is the same function of the same parameters on other data.

    Names and shapes of parameters must agree, and the values of what does not move along:
    buffers, frozen parameters, and, unless a slice through another point was asked for, the
    starting point.
    """
    places = ({e.name: e.shape for e in o.space.entries} for o in (objective, test))
    ours, theirs = places
    wrong = [
        f"{name}: {ours.get(name, 'absent')} and {theirs.get(name, 'absent')}"
        for name in dict.fromkeys((*ours, *theirs))
        if ours.get(name) != theirs.get(name)
    ]
    if wrong or list(ours) != list(theirs):
        raise InvalidArgument(
            "the objective and the test objective have different parameters: "
            + ("; ".join(wrong[:5]) + ("; ..." if len(wrong) > 5 else "") or "another order")
            + ".",
            fix="build both from the same model.",
            code="E-G07",
        )
    stale = _unequal(objective, test, moved=moved)
    if stale:
        raise InvalidArgument(
            f"the objective and the test objective hold different values of {stale!r}.",
            why="the model was trained, evaluated in training mode or loaded between the two.",
            fix="build both from the same state of the model.",
            code="E-G07",
        )


def _unequal(objective: Objective, test: Objective, *, moved: bool) -> str | None:
    """The first thing that stands still along the slice and differs between the two."""
    same = objective.start.dtype == test.start.dtype
    if not moved and same and not torch.equal(objective.start, test.start.to(objective.device)):
        return "start"
    ours, theirs = ({**o.forward.fixed, **o.forward.pristine} for o in (objective, test))
    for name in dict.fromkeys((*ours, *theirs)):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None or a.shape != b.shape:
            return name.removeprefix("model.")
        if a.dtype == b.dtype and not torch.equal(a, b.to(a.device)):
            return name.removeprefix("model.")
    return None
