"""Small measures without networks: the machinery of surveys is the same for every measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from theodolite.surveys.groups import Group
from theodolite.surveys.journal import Journal, open_journal
from theodolite.surveys.plan import Plan
from theodolite.surveys.store import Store, open_store

COLUMNS = 4


def row(unit: int) -> xr.Dataset:
    """A row that is all NaN for unit 1 and otherwise the unit's own random numbers."""
    values = np.random.default_rng([7, unit]).normal(size=(1, COLUMNS))
    if unit == 1:
        values[:] = np.nan
    status = np.where(np.isnan(values), 2, 1).astype(np.uint8)
    return xr.Dataset(
        {
            "loss": (("x", "y"), values, {"long_name": "loss"}),
            "status": (("x", "y"), status, {"long_name": "status"}),
        },
        attrs={"quantity": "toy", "seed": 7},
    )


def whole(unit: int) -> xr.Dataset:
    """A result that fills its group: text labels, a coordinate, a scalar and an empty array."""
    return xr.Dataset(
        {
            "figure": (("check",), np.array([0.5, np.nan]), {"long_name": "figure"}),
            "total": ((), 3.0, {"long_name": "total"}),
            "nothing": (("none",), np.zeros(0), {"long_name": "nothing"}),
        },
        coords={"check": ["determinism", "größe"]},
        attrs={"quantity": "toy_whole", "verdict": "certified"},
    )


Calls = list[tuple[str, int]]


def toy_plan(calls: Calls, rows: int = 5, hook: Callable[[str, int], None] | None = None) -> Plan:
    """Rows along ``x``, then one whole result; every computation is noted in `calls`."""

    def opening(name: str, compute: Callable[[int], xr.Dataset]) -> Group:
        def open_(target: object) -> Callable[[int], xr.Dataset]:
            def unit(k: int) -> xr.Dataset:
                calls.append((name, k))
                if hook is not None:
                    hook(name, k)
                return compute(k)

            return unit

        if compute is whole:
            return Group(name, name, open_, passes=3.0)
        coords = {"x": np.linspace(-1, 1, rows), "y": np.arange(float(COLUMNS))}
        return Group(name, name, open_, rows, "x", coords, finish=lambda d: {"products": rows})

    return Plan((opening("rows", row), opening("whole", whole)))


@pytest.fixture
def memory() -> tuple[Store, Journal]:
    return open_store(None), Journal(None)


@pytest.fixture
def disk(tmp_path: Path) -> tuple[Store, Journal]:
    return open_store(tmp_path / "results.zarr"), open_journal(tmp_path / "log.jsonl")
