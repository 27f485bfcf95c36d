"""Graphs of minima. Oracles: brute force over all ways, wells whose saddles are known."""

from __future__ import annotations

from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import at, curve
from connectivity.surfaces_known import ring
from theodolite.connectivity.graph_paths import KINDS, Height, Tried, Trying
from theodolite.connectivity.spanning_trees import next_pair, saddles, sides, spanning_tree
from theodolite.errors import InvalidArgument


def heights_of(points: int, seed: int) -> np.ndarray:
    """Random symmetric heights, some alike, above the losses on the diagonal."""
    made = np.random.default_rng(seed).integers(1, 9, (points, points)).astype(np.float64)
    made = np.triu(made, 1)
    return made + made.T


@pytest.mark.parametrize("seed", range(4))
def test_saddles_are_the_lowest_of_all_ways_and_an_ultrametric(seed):
    # kills: the sum for the largest edge, a longest tree, edges taken in another order
    heights = heights_of(5, seed)
    heights[0, 3] = heights[3, 0] = 0.0  # a zero is a height, not a missing edge
    tree = spanning_tree(heights)
    found = saddles(heights, tree)
    assert len(tree) == 4
    for i, j in combinations(range(5), 2):
        others = [k for k in range(5) if k not in (i, j)]
        ways = [(i, *way, j) for r in range(4) for way in permutations(others, r)]
        best = min(max(heights[a, b] for a, b in pairwise(w)) for w in ways)
        assert found[i, j] == found[j, i] == best
    for i, j, k in combinations(range(5), 3):
        three = sorted([found[i, j], found[j, k], found[i, k]])
        assert three[1] == three[2]


def test_the_next_pair_is_one_that_can_lower_the_tree():
    # kills: pairs on one side of the cut, pairs already tried, floors ignored
    heights = np.array([[0, 1.0, 5, 9], [1, 0, 7, 9], [5, 7, 0, 2], [9, 9, 2, 0]])
    tree = spanning_tree(heights)
    assert tree == [(0, 1), (2, 3), (0, 2)]
    assert sides(tree, (0, 2), 4).tolist() == [True, True, False, False]
    floors, close, tried = np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4), dtype=bool)
    assert next_pair(heights, floors, close, tried) == (0, 2)
    tried[0, 2] = tried[2, 0] = True
    assert next_pair(heights, floors, close, tried) == (1, 2)
    close[1, 2] = close[2, 1] = 6.0
    assert next_pair(heights, floors, close, tried) == (0, 3)
    floors[:] = 5.0  # nothing across can be lower than the edge
    assert next_pair(heights, floors, close, tried) is None


def test_three_wells_in_a_row_have_the_saddles_between_them():
    # kills: heights above the chord for heights, a tree of the highest edges, names mixed up
    wells = curve(lambda w, s: s * (w**2 * (w - 1) ** 2 * (w - 3) ** 2 + 0.1 * w))
    points = [at(3.0), at(0.0), at(1.0)]
    found = td.minima_graph(wells, points, names=["far", "left", "middle"], paths="line")
    places = torch.linspace(0, 3, 30001).double()
    loss = places**2 * (places - 1) ** 2 * (places - 3) ** 2 + 0.1 * places
    low, high = float(loss[:10001].max()), float(loss[10000:].max())
    saddle = [[0.3, high, high], [high, 0.0, low], [high, low, 0.1]]
    np.testing.assert_allclose(found.saddle.values, saddle, atol=1e-5)
    assert found.tree.values.tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    np.testing.assert_allclose(found.edge_height.values, [low, high], atol=1e-5)
    np.testing.assert_allclose(found.minimum_loss.values, [0.3, 0.0, 0.1])
    assert float(found.mean_minimum_loss) == pytest.approx(0.4 / 3)
    assert float(found.mean_edge_height) == pytest.approx((low + high) / 2, abs=1e-5)
    spread = abs(low - high) / 2**0.5
    assert float(found.edge_height_spread) == pytest.approx(spread, abs=1e-5)
    assert found["first"].values.tolist() == ["far", "left", "middle"]
    assert np.isnan(found.curve_height.values).all()
    np.testing.assert_allclose(found.distance.values, [[0, 3, 2], [3, 0, 1], [2, 1, 0]])


def test_paths_are_tried_from_the_cheapest_only_where_they_help():
    # kills: curves for all pairs, bands where curves are good enough, the higher path kept
    angles = torch.tensor([0.0, 1.2, 2.4]).double()
    points = torch.stack([angles.cos(), angles.sin()], 1)
    how = {
        "curve_settings": {"learning_rate": 0.02, "steps": 60, "places": 9, "refine": 0},
        "resamples": 9,
    }
    lines = td.minima_graph(ring(), points, paths=["line"], resamples=9)
    found = td.minima_graph(ring(), points, paths=["line", "curve"], **how)
    assert found.attrs["lines"] == 3
    assert found.attrs["curves"] == 2  # of neighbors; the third line's height cannot matter
    assert found.attrs["bands"] == 0
    assert found.kind.values.tolist() == [[0, 2, 1], [2, 0, 2], [1, 2, 0]]
    assert (found.saddle.values <= lines.saddle.values).all()
    assert found.saddle.values.max() < 0.01 < lines.saddle.values.min() + np.eye(3).max()
    assert found.height.values[0, 2] == lines.height.values[0, 2]
    band = {"descent": "fire", "evaluation": "vmap", "cycles": 1, "steps": 12, "refine": 0}
    bands = td.minima_graph(
        ring(), points, paths=["line", "band"], most_bands=1, band_settings=band, resamples=9
    )
    assert bands.attrs["bands"] == 1
    assert sorted(bands.edge_kind.values.tolist()) == [1, 3]
    better = np.isfinite(bands.band_height.values)
    assert (bands.height.values[better] <= bands.line_height.values[better]).all()
    again = td.minima_graph(
        ring(), points, band_settings=band, enough=0.0, most_bands=9, test=ring(), **how
    )
    assert 1 <= again.attrs["bands"] <= 3
    np.testing.assert_allclose(again.test_height.values, again.height.values, atol=1e-12)
    assert (again.saddle.values <= found.saddle.values + 1e-12).all()


@pytest.mark.parametrize(
    ("losses", "kind"),
    [
        ((1.0, 2.0, 3.0), "line"),
        ((2.0, 1.0, 1.0), "curve"),  # the cheaper where two are alike
        ((2.0, 3.0, 1.0), "band"),
        ((1.0, np.nan, np.inf), "line"),
        ((np.nan, 5.0, np.nan), "curve"),
        ((np.nan, np.nan, np.nan), "line"),
    ],
)
def test_the_lowest_path_of_a_pair_is_the_one_that_is_told(losses, kind):
    # kills: the last path kept, one that is not finite preferred, the dearer of two alike
    heights = {k: {(0, 1): Height(v, (v, v, v), v)} for k, v in zip(KINDS, losses, strict=True)}
    how = Trying({}, None, 0.0, None, {}, 0)
    tried = Tried(td.Objective(nn.Linear(1, 1), nn.MSELoss(), (ONE, ONE)), [0, 1], how, heights)
    found, height = tried.best()[0, 1]
    assert found == kind
    lowest = tried.lowest()[0, 1]
    assert height.loss == lowest if np.isfinite(lowest) else np.isnan(height.loss)


ONE = torch.ones(2, 1)


def test_align_is_passed_on_and_bands_begin_on_curves(monkeypatch):
    # kills: align dropped, bands between points that were not permuted
    from theodolite.connectivity import graph_paths

    seen = []

    def noting(name, inner):
        def call(objective, a, b, **settings):
            seen.append((name, settings.pop("align", None), settings.get("start") is not None))
            return inner(objective, a, b, **settings)

        return call

    for name in ("barrier", "curve", "elastic_band"):
        monkeypatch.setattr(graph_paths, name, noting(name, getattr(graph_paths, name)))
    points = torch.eye(2).double()
    short = {"curve_settings": {"steps": 8, "learning_rate": 0.01}, "resamples": 9, "enough": 0.0}
    band = {"descent": "fire", "cycles": 1, "steps": 2, "evaluation": "vmap"}
    td.minima_graph(ring(), points, align="weights", band_settings=band, **short)
    assert seen[:2] == [("barrier", "weights", False), ("curve", "weights", False)]
    assert seen[2:] == [("elastic_band", None, True)]
    with pytest.raises(InvalidArgument, match="align") as refused:
        td.minima_graph(ring(), points, align="weights", paths=["band"])
    assert refused.value.code == "E-A30"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"paths": ["spline"]}, "E-A30"),
        ({"enough": 1.0}, "E-A30"),
        ({"most_bands": -1}, "E-A01"),
        ({"names": ["one"]}, "E-A05"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(how, code):
    with pytest.raises(InvalidArgument, match=next(iter(how))) as refused:
        td.minima_graph(ring(), torch.eye(2).double(), **how)
    assert refused.value.code == code


def test_a_graph_with_batch_norm_measures_all_paths_recomputed():
    # kills: lines with frozen statistics beside curves with recomputed ones
    from connectivity.paths import classes, normalized

    objective = td.Objective(normalized(), nn.CrossEntropyLoss(), classes(40))
    states = [normalized(k).state_dict() for k in range(2)]
    short = {"steps": 4, "places": 5, "refine": 0}
    found = td.minima_graph(objective, states, paths=["line", "curve"], curve_settings=short)
    recomputed = objective.with_batch_norm("recompute")
    line = td.barrier(recomputed, *states)
    assert found.attrs["batch_norm"] == "recompute"
    assert float(found.line_height[0, 1]) == pytest.approx(float(line.loss.max()), rel=1e-9)
    assert float(found.minimum_loss[0]) == pytest.approx(float(line.loss[0]), rel=1e-9)
