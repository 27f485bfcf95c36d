"""How the trainings of a study lie in its result: numbered along units, read as a grid."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from theodolite.errors import InvalidData

Axes = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Layout:
    """Every combination of the axes, in order, the last axis fastest; ``members`` to a unit."""

    axes: Axes
    members: int = 1

    @property
    def cells(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    @property
    def units(self) -> int:
        return self.cells // self.members

    def cell(self, number: int) -> dict[str, Any]:
        """The values of the axes in a training.

        >>> Layout({"a": (1, 2), "b": (3, 4)}).cell(2)
        {'a': 2, 'b': 3}
        """
        places = np.unravel_index(number, [len(v) for v in self.axes.values()])
        return {n: v[int(k)] for (n, v), k in zip(self.axes.items(), places, strict=True)}

    def of_unit(self, unit: int) -> list[dict[str, Any]]:
        """The trainings of a unit."""
        first = unit * self.members
        return [self.cell(k) for k in range(first, first + self.members)]


def members_of(trainings: int, most: int = 32) -> int:
    """How many of so many like trainings are made at once: the largest divisor up to `most`.

    >>> members_of(12), members_of(40), members_of(37)
    (12, 20, 1)
    """
    return max(k for k in range(1, min(trainings, most) + 1) if trainings % k == 0)


def grid(stored: xr.Dataset) -> xr.Dataset:
    """A study as stored, over (unit, member), as a grid over its axes; what is missing is NaN.

    Raises `InvalidData` for another result (E-U15).
    """
    if "axes" not in stored.attrs or "unit" not in stored.dims:
        raise InvalidData(
            f"a study was expected; got a result of quantity {stored.attrs.get('quantity')!r}.",
            fix="pass the group of that name in the run's tree.",
            code="E-U15",
        )
    axes: dict[str, list[Any]] = json.loads(stored.attrs["axes"])
    shape = tuple(len(v) for v in axes.values())
    variables = {
        str(name): (tuple(axes), v.values.reshape(shape), dict(v.attrs))
        for name, v in stored.data_vars.items()
        if v.dims == ("unit", "member")
    }
    attrs = {k: v for k, v in stored.attrs.items() if k != "axes"}
    return xr.Dataset(variables, coords=axes, attrs=attrs)
