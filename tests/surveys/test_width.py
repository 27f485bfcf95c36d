"""The width of the planes as a headline number.

Oracle: tents, whose level lines are squares on their corner; `td.shape`.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from tests.shapes.planted import surface, tent

import theodolite as td
from theodolite.surveys.headline import headline
from theodolite.surveys.width import widths


def tree(*planes: xr.Dataset) -> xr.DataTree:
    return xr.DataTree(children={f"plane_{k}": xr.DataTree(p) for k, p in enumerate(planes)})


def steep(factor: float, **attrs: object) -> xr.Dataset:
    return surface(lambda x, y: 3 + factor * tent(x, y), **{"normalize": "filter", **attrs})


def test_the_width_is_that_of_the_shape_averaged_over_planes() -> None:
    # kills: a level that is not relative to the start; the error of one plane for all
    planes = steep(2.0), steep(4.0)
    samples, cut = widths(tree(*planes))
    assert samples.tolist() == td.shape(list(planes)).width_mean.values[:, 1].tolist()
    assert not cut
    row = {n["name"]: n for n in headline(tree(*planes))}["width"]
    assert row["value"] == pytest.approx(samples.mean())
    assert row["error"] == pytest.approx(abs(samples[0] - samples[1]) / 2)
    assert row["unit"] == "filter norms"
    assert "note" not in row


def test_planes_that_end_first_say_at_least() -> None:
    # kills: the border taken for a crossing without a word
    row = {n["name"]: n for n in headline(tree(steep(0.6)))}["width"]
    assert row["note"].startswith("at least")
    assert row["error"] is None


def test_incomplete_planes_and_other_units_do_not_count() -> None:
    # kills: holes taken for walls; lengths in different units averaged
    holed = steep(2.0)
    holed["status"][0, 0] = 0
    empty = xr.Dataset(attrs={"quantity": "plane", "normalize": "filter"})
    away = surface(tent, np.linspace(1, 2, 5), np.linspace(1, 2, 5), normalize="filter")
    found, _ = widths(tree(holed, steep(2.0, normalize="layer"), empty, away))
    assert found.tolist() == []
