"""What a survey is made of: groups of units, each unit one chunk of a labelled result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument

Unit = Callable[..., xr.Dataset]
"""Computes unit number `k` of a group: its slice of the group's result."""

Tell = Callable[[str], None]
"""Takes a few words on how far a unit is."""

Opening = Callable[[Any], Unit]
"""Prepares a group on a target (directions, operators) and returns how its units are computed."""

Continuing = Callable[[Any, Any], Unit]
"""The same with the finished result of another group at hand, or those of several by name."""


@dataclass(frozen=True, eq=False)
class Group:
    """One Dataset of the survey's tree and how it is computed, unit by unit.

    ``along`` names the dimension on which the units lie, one index a unit; None for a group of
    one unit that fills the whole Dataset. ``coords`` are known before anything is computed.
    ``passes`` is the cost of one unit in forward passes over the data, or where it is a ``bound``
    the most it can be; ``vectors`` how many
    vectors of the network's size are held meanwhile. ``finish`` gives the attributes that only the
    complete Dataset has. ``after`` names an earlier group whose finished result ``resume`` takes
    in place of ``open``, which would compute it anew, to the same numbers; of several groups it
    takes those that are finished, by name. ``seconds`` is what a unit takes beside its passes,
    where that does not depend on the model. The units of a group
    that is ``told`` are long: they take a `Tell` as second argument. Units depend on
    nothing but their number: the same unit gives the same numbers in any order, process or
    resumed run, and every unit of a group carries the same attributes.
    """

    name: str
    measure: str
    open: Opening
    units: int = 1
    along: str | None = None
    coords: Mapping[str, Any] = field(default_factory=dict)
    passes: float | int = 1.0
    vectors: int = 0
    finish: Callable[[xr.Dataset], Mapping[str, Any]] | None = None
    after: str | tuple[str, ...] = ""
    resume: Continuing | None = None
    told: bool = False
    bound: bool = False
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.units < 1 or (self.along is None and self.units != 1):
            raise InvalidArgument(
                f"group {self.name!r} must have at least one unit, and exactly one unless `along` "
                f"names the dimension of its units; got units={self.units}, along={self.along!r}.",
                code="E-S01",
            )
