"""Planes measured under two BatchNorm policies: what is primary, and what is said of both."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from tests.reporting import fixtures

from theodolite.plots import line_from_plane
from theodolite.reporting.contents import read_trees
from theodolite.reporting.pack import page_data
from theodolite.reporting.sentences import Cited, plain_text
from theodolite.reporting.summary import summarize
from theodolite.reporting.variants import compared
from theodolite.surveys.headline import rises


def _tree(planes: int = 3) -> xr.DataTree:
    tree = fixtures.survey("bowl", planes=planes, steps=(21, 21), lines=0)
    for k in (0, 2)[:planes]:
        again = tree[f"plane_{k}"].to_dataset().copy(deep=True)
        again["loss"] = again["loss"] / 4
        again.attrs["batch_norm"] = "recompute"
        tree[f"plane_{k}_recomputed"] = xr.DataTree(again)
    return tree


def test_planes_are_the_primary_ones_and_variants_stand_beside_them():
    # kills: five planes where three were drawn; a variant beside another plane than its own
    (contents,) = read_trees(_tree())
    assert [p.attrs["plane"] for p in contents.planes] == [0, 1, 2]
    assert all(p.attrs["batch_norm"] == "frozen" for p in contents.planes)
    assert sorted(contents.recomputed) == [0, 2]
    for k, again in contents.recomputed.items():
        assert np.array_equal(4 * again["loss"], contents.planes[k]["loss"])
    packed = page_data([contents], "x")
    assert [p["recomputed"] is not None for p in packed["planes"][0]] == [True, False, True]


def test_a_variant_alone_is_a_plane():
    tree = _tree(1)
    del tree["plane_0"]
    (contents,) = read_trees(tree)
    assert len(contents.planes) == 1
    assert not contents.recomputed


def test_the_scale_covers_both():
    (contents,) = read_trees(_tree())
    scale = page_data([contents], "x")["scales"][0]["loss"]["linear"]
    assert scale["low"] <= float(contents.recomputed[0]["loss"].min())
    assert scale["high"] > float(contents.recomputed[0]["loss"].max())


def test_the_comparison_is_computed_from_both_planes():
    # kills: the two swapped; planes without a variant in one of the means
    (contents,) = read_trees(_tree())
    sentence = compared(contents)
    frozen, anew = (f.number for f in sentence if isinstance(f, Cited))
    each = []
    for k in (0, 2):
        for axis in (1, 2):
            line = line_from_plane(contents.planes[k], axis=axis)
            values = np.interp([-0.25, 0.25], line["alpha"], line["loss"])
            each.append(values.mean())
    assert frozen.value == pytest.approx(np.mean(each), rel=1e-12)
    assert frozen.error == pytest.approx(np.std(each, ddof=1) / 2, rel=1e-12)
    assert anew.value == pytest.approx(frozen.value / 4, rel=1e-12)
    assert plain_text(sentence).startswith("25 % of every filter's norm away")
    assert sentence in summarize([contents]).models[0].words
    assert any("also recomputed" in f.text for f in summarize([contents]).facts)
    (plain,) = read_trees(fixtures.survey("bowl"))
    assert compared(plain) is None


def test_the_headline_rise_is_of_the_primary_planes():
    tree = _tree()
    assert len(rises(tree)) == 6
