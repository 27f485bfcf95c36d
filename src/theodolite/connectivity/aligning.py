"""Ends of a path brought into one order of units before anything is measured between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from theodolite.connectivity.ends import End
from theodolite.connectivity.matching import METHODS, Search, matched
from theodolite.connectivity.segments import distance
from theodolite.connectivity.straight_through import Learning
from theodolite.connectivity.units import moved_end, units_of
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.symmetry import Matching, Symmetries

Ends = tuple[End, End]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two ends, the second permuted, and what a result records of that."""

    ends: Ends
    facts: dict[str, Any]


def aligned(objective: Objective, ends: Ends, align: Any, *, seed: int) -> Aligned:
    """The ends with the units of the second put beside those of the first.

    `align` is None, a method of `match`, a `Matching` or permutations by group. Running statistics
    move with their units, the objective's own too where a flat tensor has no others.
    """
    if align is None:
        return Aligned(ends, {})
    check_align(align)
    found = align.symmetries if isinstance(align, Matching) else None
    found = units_of(objective, found)
    return aligned_by(objective, found, ends, align, seed=seed)


def aligned_by(
    objective: Objective, found: Symmetries, ends: Ends, align: Any, *, seed: int
) -> Aligned:
    """As `aligned`, with symmetries known already."""
    before = distance(ends[0].theta, ends[1].theta)
    told: dict[str, Any] = {}
    permutations: Mapping[str, Tensor]
    if isinstance(align, Matching):
        permutations, name = align.permutations, align.method
    elif isinstance(align, str):
        made, unseen = matched(
            objective, found, ends, align, Search(seed=seed), Learning(seed=seed)
        )
        permutations, name = made.permutations, align
        told = {"unseen": list(unseen)} if unseen else {}
    else:
        permutations, name = align, "permutations"
    chosen = found.checked(permutations)
    moved = (ends[0], moved_end(found, ends[1], chosen))
    return Aligned(moved, {"align": name, "distance_before": before, **told})


def check_align(align: Any) -> None:
    """Raise unless `align` says how to align."""
    known = isinstance(align, Matching | Mapping) or (isinstance(align, str) and align in METHODS)
    if not known:
        told = repr(align) if isinstance(align, str) else type(align).__name__
        raise InvalidArgument(
            f"align must be None, one of {', '.join(map(repr, METHODS))}, a Matching or "
            f"permutations; got {told}.",
            fix='pass align="weights", or align=td.match(objective, a, b).',
            code="E-A59",
        )
