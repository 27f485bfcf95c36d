"""An average of two networks whose units are spread as theirs: REPAIR, and when it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float64
from torch import Tensor

from theodolite.averaging.members import Member, own_buffers
from theodolite.averaging.readings import Reading
from theodolite.connectivity.repairing import repair
from theodolite.directions.checkpoints import points_of
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective

Shares = Float64[Tensor, " member"]


def check_repair(asked: Any, members: int) -> None:
    """Raise where units are to be repaired between more than two networks."""
    if not isinstance(asked, bool):
        raise InvalidArgument(f"repair must be True or False; got {asked!r}.", code="E-A100")
    if asked and members != 2:
        raise InvalidArgument(
            f"repair is for the average of two points; got {members}.",
            why="units get statistics between those of two ends.",
            fix="average two of them, or leave repair out.",
            code="E-A100",
        )


def repaired(objective: Objective, made: Member, values: Sequence[Any], shares: Shares) -> Member:
    """The average `made` of two aligned points, its units as spread as between them."""
    state = repair(objective, made.theta, values[0], values[1], share=float(shares[1]))
    (theta,) = points_of(objective, [state], "the repaired average")
    return Member(made.name, theta, own_buffers(objective, state, "the repaired average"))


def refuse_rise(found: Reading, shares: Shares, limit: float, source: str) -> None:
    """Raise where the average is worse than its members by more than the limit."""
    *members, average = (p.loss() for p in found.passes)
    mean = sum(float(s) * loss for s, loss in zip(shares, members, strict=True))
    if average - mean <= limit:
        return
    raise InvalidArgument(
        f"the repaired average has a loss of {average:.3g}, {average - mean:.3g} above its "
        f"members' mean. The most allowed is {limit:.3g} ({source}).",
        where="averaging",
        fix='try align="straight-through", or average their answers instead: td.ensemble; '
        "threshold= sets another limit.",
        code="E-A85",
    )
