"""Points brought into one order of units, that of the first, before they are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from theodolite.connectivity.matching import METHODS, match
from theodolite.connectivity.merging import merge
from theodolite.connectivity.units import units_of
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective


def aligned(objective: Objective, values: Sequence[Any], align: Any, seed: int) -> list[Any]:
    """The points with the units of all but the first permuted to match the first's.

    Three or more are matched by weights as `merge` does it, each to the mean of the others. State
    dicts take their buffers along; the functions stay.
    """
    if isinstance(align, str) and align not in METHODS:
        raise InvalidArgument(
            f"align must be None, one of {', '.join(METHODS)}, or permutations for every point "
            f"after the first; got {align!r}.",
            code="E-A86",
        )
    if align == METHODS[0] and len(values) > 2:
        return list(merge(objective, values, seed=seed).points)
    if isinstance(align, str):
        found = units_of(objective)
        how: dict[str, Any] = {"symmetries": found, "method": align, "seed": seed}
        return [values[0], *(match(objective, values[0], v, **how).point for v in values[1:])]
    given = [getattr(one, "permutations", one) for one in given_list(align, len(values) - 1)]
    found = units_of(objective)
    moved = [found.apply(v, p) for v, p in zip(values[1:], given, strict=True)]
    return [values[0], *moved]


def given_list(align: Any, count: int) -> list[Any]:
    """Permutations as given: a mapping for a pair, or a list of one for every later point."""
    single = isinstance(align, Mapping) or hasattr(align, "permutations")
    listed = [align] if single else list(align) if isinstance(align, Sequence) else None
    if listed is None or len(listed) != count:
        told = type(align).__name__ if listed is None else f"{len(listed)} of them"
        raise InvalidArgument(
            f"align must hold permutations for each of the {count} points after the first; "
            f"got {told}.",
            fix='pass align="weights", or [weight_matching(symmetries, thetas[0], other), ...].',
            code="E-A86",
        )
    return listed
