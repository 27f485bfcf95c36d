"""The units of a network that can be matched, or the reason why there are none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from theodolite.connectivity.matching import METHODS
from theodolite.connectivity.units import units_of
from theodolite.errors import InvalidArgument, TheodoliteError
from theodolite.objective import Objective
from theodolite.symmetry import Symmetries

NONE = "none"
"""Leave units where they are."""


@dataclass(frozen=True, eq=False)
class Units:
    """The symmetries of an objective's model; ``why`` there are none that could be used."""

    symmetries: Symmetries | None
    why: str = ""
    frozen: tuple[str, ...] = field(default=())

    @property
    def coverage(self) -> float:
        """The share of parameters in tensors that some group permutes."""
        return 0.0 if self.symmetries is None else self.symmetries.coverage


def usable_units(objective: Objective) -> Units:
    """The units of the model that may change places; a trace, a copy in float64, a few passes."""
    try:
        found = units_of(objective)
    except TheodoliteError as error:
        return Units(None, error.what)
    frozen = frozen_lines(found)
    if not found.groups:
        listed = "; ".join(frozen[:3]) or "it has no hidden units"
        return Units(None, f"no units of the model can change places ({listed})", frozen)
    return Units(found, "", frozen)


def frozen_lines(found: Symmetries) -> tuple[str, ...]:
    """What stays in place and why: every reason with the tensors it holds for."""
    where: dict[str, list[str]] = {}
    for each in found.frozen:
        where.setdefault(each.reason, []).append(f"{each.tensor}[{each.dim}]")
    made = []
    for reason, _ in Counter({r: len(w) for r, w in where.items()}).most_common():
        names = list(dict.fromkeys(where[reason]))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        made.append(f"{', '.join(names[:3])}{more}: {reason}")
    unknown = [f"{name}: no rule for this operation ({at})" for name, at in found.unknown.items()]
    return (*unknown, *made)


ALIGNMENTS = (*METHODS, NONE)


def check_alignment(align: Any, name: str = "align") -> str:
    """One of `ALIGNMENTS`."""
    if align not in ALIGNMENTS:
        raise InvalidArgument(
            f"{name} must be one of {', '.join(ALIGNMENTS)}; got {align!r}.", code="E-A14"
        )
    return str(align)
