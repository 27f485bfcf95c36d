"""Pictures of curves and answers. Oracle: the numbers handed in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.plots import (
    function_distance_matrix,
    plot_barrier,
    plot_function_distances,
    plot_path_profile,
)
from theodolite.plots.path_profile import lengths

T = np.linspace(0, 1, 5)


def curve(height: float = 0.2, **attrs: Any) -> xr.Dataset:
    """A curve of length 3 over a straight line of length 2."""
    loss = 0.5 + height * np.array([0, -0.5, -1, -0.5, 0])
    variables: dict[str, Any] = {
        "loss": (("t",), loss, {"long_name": "loss"}),
        "loss_error": (("t",), np.full(5, 0.02), {"long_name": "error"}),
        "arc": (("t",), 3 * T**2, {"long_name": "arc"}),
        "length": ((), 3.0, {"long_name": "length"}),
        "length_ratio": ((), 1.5, {"long_name": "ratio"}),
        "status": results.status_variable(("t",), np.ones(5)),
    }
    return results.dataset("curve", variables, {"t": T}, first="one", second="two", **attrs)


def line(height: float, **attrs: Any) -> xr.Dataset:
    loss = 0.5 + height * np.array([0, 0.5, 1, 0.5, 0])
    variables: dict[str, Any] = {
        "loss": (("alpha",), loss, {"long_name": "loss"}),
        "loss_error": (("alpha",), np.full(5, 0.02), {"long_name": "error"}),
        "status": results.status_variable(("alpha",), np.ones(5)),
    }
    return results.dataset("barrier", variables, {"alpha": T}, **attrs)


def test_a_profile_runs_over_lengths_in_straight_lines(ax: Axes) -> None:
    """Kills: places in place of lengths, lengths not divided, an end that is not marked."""
    plot_path_profile(curve(), ax, line=line(2.0), aligned=curve(0.1))
    drawn = {c.get_label(): c for c in ax.get_lines()}
    np.testing.assert_allclose(drawn["curve"].get_xdata(), 1.5 * T**2)
    np.testing.assert_allclose(drawn["curve"].get_ydata(), curve()["loss"].values)
    np.testing.assert_allclose(drawn["straight line"].get_xdata(), T)
    assert drawn["straight line"].get_ydata()[2] == 2.5
    assert drawn["curve, units matched"].get_ydata()[2] == pytest.approx(0.4)
    ends = [c for c in ax.get_lines() if c.get_marker() == "o"]
    np.testing.assert_allclose(ends[1].get_xdata(), [0.0, 1.5])
    assert ax.get_yscale() == "linear"
    np.testing.assert_allclose(lengths(curve()), 1.5 * T**2)


def test_a_profile_of_many_decades_is_logarithmic_and_gaps_break_it(ax: Axes) -> None:
    """Kills: a place that diverged joined over; a linear axis that hides the valley."""
    low = curve(0.499)
    low["status"][1] = results.DIVERGED
    plot_path_profile(low, ax)
    assert ax.get_yscale() == "log"
    assert np.isnan(ax.get_lines()[0].get_ydata()[1])


def test_matched_units_are_drawn_over_the_line_and_the_threshold_is_shaded(ax: Axes) -> None:
    """Kills: colors exchanged; the threshold drawn from zero in place of the chord."""
    plot_barrier(line(2.0, threshold=0.3), ax, aligned=line(0.1))
    drawn = {c.get_label(): c for c in ax.get_lines()}
    assert drawn["training, as they are"].get_ydata()[2] == 2.5
    assert drawn["training, units matched"].get_ydata()[2] == pytest.approx(0.6)
    (shade,) = [c for c in ax.collections if c.get_label() == "counts as none"]
    corners = shade.get_paths()[0].vertices[:, 1]
    assert (corners.min(), corners.max()) == (0.5, 0.8)


def answers(pair: tuple[int, int], share: float) -> xr.Dataset:
    names = ("disagreement", "normalized_disagreement", "jensen_shannon", "ensemble_gain")
    values = (share, 10 * share, 0.01, 0.0)
    variables: Any = {n: ((), v, {"long_name": n}) for n, v in zip(names, values, strict=True)}
    points = ["one", "two", "three"]
    return results.dataset("function_distance", variables, points=points, pair=list(pair))


def test_the_map_of_answers_is_symmetric_with_its_numbers(ax: Axes) -> None:
    """Kills: shares for percent, a pair in one half only, a number on the diagonal."""
    matrix = function_distance_matrix([answers((0, 1), 0.031), answers((0, 2), 0.05)])
    np.testing.assert_allclose(matrix["disagreement"].values[0, 1:], [0.031, 0.05])
    np.testing.assert_allclose(matrix["disagreement"].values[1:, 0], [0.031, 0.05])
    assert np.isnan(np.diag(matrix["disagreement"])).all()
    plot_function_distances(matrix, ax)
    written = [(t.get_text(), round(t.get_position()[0])) for t in ax.texts]
    assert written.count(("3.1 %", 1)) == written.count(("3.1 %", 0)) == 1
    assert ("0.31 times errors", 1) in written
    assert len(written) == 8
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two", "three"]
    with pytest.raises(InvalidArgument, match="at least one distance"):
        function_distance_matrix([])
