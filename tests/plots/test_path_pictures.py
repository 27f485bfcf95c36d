"""Pictures of bands, graphs of minima, simplexes, planes of curves. Oracle: the numbers given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.plots import (
    plot_curve_plane,
    plot_elastic_band,
    plot_minima_graph,
    plot_simplex,
)
from theodolite.plots.minima import tree_places

T = np.linspace(0, 1, 9)


def made(quantity: str, variables: dict[str, Any], coords: dict[str, Any], **attrs: Any) -> Any:
    """A result of plain arrays, each with its own name as the long one."""
    named = {k: (d, np.asarray(v), {"long_name": k}) for k, (d, v) in variables.items()}
    return results.dataset(quantity, named, coords, **attrs)


def band() -> xr.Dataset:
    """A band over a hill, pivots at every second place."""
    loss = 0.5 + np.sin(np.pi * T)
    numbers = {"loss": loss, "test_loss": loss + 0.1, "accuracy": 1 - loss / 10}
    numbers |= {f"{k}_error": np.full(9, 0.05) for k in tuple(numbers)}
    variables = {k: (("t",), v) for k, v in numbers.items()} | {
        "status": (("t",), np.ones(9, dtype=np.uint8)),
        "pivot_t": (("pivot",), T[2:-1:2]),
        "saddle_loss": ((), 1.5),
        "saddle_loss_low": ((), 1.4),
        "saddle_loss_high": ((), 1.62),
        "saddle_t": ((), 0.5),
        "peak_t": (("peak",), [0.5]),
        "peak_loss": (("peak",), [1.5]),
    }
    return made("elastic_band", variables, {"t": T})


def test_a_band_is_drawn_with_its_pivots_and_its_saddle(ax: Axes) -> None:
    # kills: pivots at other losses, the interval of another number, test drawn as training
    plot_elastic_band(band(), ax)
    lines = {str(c.get_label()): c for c in ax.get_lines()}
    np.testing.assert_array_equal(lines["training"].get_ydata(), band().loss.values)
    np.testing.assert_array_equal(lines["test"].get_ydata(), band().test_loss.values)
    np.testing.assert_allclose(lines["pivots"].get_ydata(), band().loss.values[2:-1:2])
    assert lines["highest 1.5 (1.4 to 1.62)"].get_xydata().tolist() == [[0.5, 1.5]]
    assert lines["climbed"].get_xydata().tolist() == [[0.5, 1.5]]
    errors = plot_elastic_band(band(), ax.figure.add_subplot(), variable="error")
    np.testing.assert_allclose(errors.get_lines()[0].get_ydata(), 10 * band().loss.values)
    with pytest.raises(InvalidArgument):
        plot_elastic_band(made("curve", {}, {"t": T}), ax)


def graph() -> xr.Dataset:
    """Four minima: one in the middle of a star, joined in three ways."""
    variables = {
        "minimum_loss": (("first",), [0.1, 0.2, 0.3, 0.4]),
        "edge_first": (("edge",), [0, 0, 0]),
        "edge_second": (("edge",), [1, 2, 3]),
        "edge_height": (("edge",), [0.25, 0.35, np.nan]),
        "edge_kind": (("edge",), [1, 2, 3]),
    }
    names = ["a", "b", "c", "d"]
    return made("minima_graph", variables, {"first": names, "second": names})


def test_minima_are_drawn_with_their_tree_and_its_heights(ax: Axes) -> None:
    # kills: edges between other minima, labels of other edges, kinds mixed up
    plot_minima_graph(graph(), ax)
    words = [t.get_text() for t in ax.texts]
    assert {"0.25", "0.35", "not finite", "a\n0.1", "d\n0.4"} <= set(words)
    minima = next(c for c in ax.get_lines() if c.get_gid() == "minima").get_xydata()
    edges = [c.get_xydata() for c in ax.get_lines() if c.get_gid() != "minima"]
    for k, edge in enumerate(edges):
        np.testing.assert_allclose(edge[[0, -1]], minima[[0, k + 1]], atol=1e-12)
    bows = [np.linalg.norm(e[20] - (e[0] + e[-1]) / 2) for e in edges]
    assert bows[0] == pytest.approx(0, abs=1e-12)
    assert min(bows[1:]) > 0.1
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["straight line", "curve", "elastic band"]


def test_places_of_a_tree_keep_its_points_apart() -> None:
    # kills: two points in one place, a center that is a leaf
    places = tree_places(7, [(0, 1), (1, 2), (1, 3), (3, 4), (3, 5), (5, 6)])
    assert places[3].tolist() == [0.0, 0.0] or places[1].tolist() == [0.0, 0.0]
    away = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(7)
    assert away.min() > 0.5


def test_a_simplex_shows_the_share_below_each_loss(ax: Axes) -> None:
    # kills: samples not sorted, diverged ones left out of the total, vertices mixed up
    variables = {
        "loss": (("sample",), [0.3, 0.1, np.inf, 0.2]),
        "vertex_loss": (("vertex",), [0.05, 0.4]),
    }
    plot_simplex(made("simplex", variables, {}, points=1), ax)
    lines = {str(c.get_label()): c for c in ax.get_lines()}
    np.testing.assert_allclose(lines["training"].get_xdata(), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(lines["training"].get_ydata(), [0.25, 0.5, 0.75])
    assert lines["points, training"].get_xdata().tolist() == [0.05]
    assert lines["trained vertices, training"].get_xdata().tolist() == [0.4]


def test_a_curve_is_drawn_over_its_plane(ax: Axes) -> None:
    # kills: axes exchanged, the chord through the control point
    grid = np.linspace(-1, 2, 5)
    loss = grid[:, None] ** 2 + grid**2 + 0.1
    variables = {
        "loss": (("alpha", "beta"), loss),
        "loss_error": (("alpha", "beta"), 0 * loss),
        "status": (("alpha", "beta"), np.ones((5, 5), dtype=np.uint8)),
        "path_alpha": (("t",), T),
        "path_beta": (("t",), T * (1 - T)),
        "path_residual": (("t",), 0 * T),
        "control_alpha": (("point",), [0.0, 0.4, 1.0]),
        "control_beta": (("point",), [0.0, 0.9, 0.0]),
    }
    found = made("plane", variables, {"alpha": grid, "beta": grid}, path="curve", path_length=1.2)
    plot_curve_plane(found, ax)
    lines = {str(c.get_label()): c for c in ax.get_lines()}
    np.testing.assert_allclose(lines["curve"].get_xydata(), np.stack([T, T * (1 - T)], 1))
    assert lines["straight line"].get_xydata().tolist() == [[0, 0], [1, 0]]
    assert lines["control points"].get_xydata().tolist() == [[0.4, 0.9]]
    assert lines["ends"].get_xydata().tolist() == [[0, 0], [1, 0]]
    with pytest.raises(InvalidArgument, match="path"):
        plot_curve_plane(found.drop_vars("path_alpha"), ax)
