"""Valleys, escapes and errors of rises. Oracle: the numbers handed in."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from tests.reporting.descents import escape, valleys
from tests.reporting.test_sharpness import rises

from theodolite.errors import InvalidArgument
from theodolite.plots import (
    plot_escape_distance,
    plot_escape_rise,
    plot_rise_errors,
    plot_shifted_valley,
)


def test_both_losses_of_the_chosen_line_are_drawn_over_the_distance(ax: Axes) -> None:
    # kills: the first line for every one, alpha for the distance, test drawn as training
    found = valleys()
    plot_shifted_valley(found, ax, direction=1)
    curves = [line for line in ax.get_lines() if str(line.get_label()) in ("training", "test")]
    assert [line.get_label() for line in curves] == ["training", "test"]
    for line, split in zip(curves, ("train", "test"), strict=True):
        np.testing.assert_allclose(line.get_xdata(), 3.0 * found["alpha"].values)
        np.testing.assert_array_equal(line.get_ydata(), found[f"{split}_loss"].values[1])
    assert curves[0].get_linestyle() == "-"
    assert curves[1].get_linestyle() != "-"
    assert ax.get_xlim() == (-3.0, 3.0)


def test_marks_are_the_minima_with_bars_of_one_standard_error(ax: Axes) -> None:
    # kills: places along alpha, errors without the length, bars beyond the frame
    found = valleys()
    plot_shifted_valley(found, ax, direction=1)
    marks = [line for line in ax.get_lines() if line.get_marker() == "o"]
    places = [3.0 * float(found[f"{s}_minimum"][1]) for s in ("train", "test")]
    assert [float(line.get_xdata()[0]) for line in marks] == pytest.approx(places)
    for line, split in zip(marks, ("train", "test"), strict=True):
        along = 3.0 * found["alpha"].values
        height = np.interp(float(line.get_xdata()[0]), along, found[f"{split}_loss"].values[1])
        assert float(line.get_ydata()[0]) == pytest.approx(height)
    bars = [line.get_xdata() for line in ax.get_lines() if len(line.get_xdata()) == 2]
    assert np.diff(bars[0])[0] == pytest.approx(2 * 3.0 * float(found["train_minimum_error"][1]))
    wide = found.assign(test_minimum_error=found["test_minimum_error"] * 1000)
    other = plot_shifted_valley(wide, ax.figure.add_subplot(), direction=1)
    bars = [line.get_xdata() for line in other.get_lines() if len(line.get_xdata()) == 2]
    assert list(bars[1]) == [-3.0, 3.0]


def test_bands_are_one_standard_error_and_a_line_without_a_minimum_has_no_mark(ax: Axes) -> None:
    # kills: two errors, the error of the other split, a mark at NaN
    found = valleys()
    plot_shifted_valley(found, ax, direction=2)
    assert not [line for line in ax.get_lines() if line.get_marker() == "o"]
    for band, split in zip(ax.collections, ("train", "test"), strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        loss, error = (found[f"{split}_loss{e}"].values[2] for e in ("", "_error"))
        assert heights.min() == pytest.approx((loss - error).min())
        assert heights.max() == pytest.approx((loss + error).max())


def curve(ax: Axes, name: str) -> np.ndarray:
    (line,) = [one for one in ax.get_lines() if one.get_label() == name]
    return np.asarray(line.get_ydata())


def test_the_distance_is_the_median_with_quartiles_beside_the_theory(ax: Axes) -> None:
    # kills: the mean, the first run, ends for quartiles, theory beyond the radius
    runs = [escape("gradient"), escape("stochastic", growth=1.5)]
    plot_escape_distance(runs, ax)
    for found, name in zip(runs, ("gradient descent", "SGD"), strict=True):
        values = found["distance"].values
        np.testing.assert_allclose(curve(ax, name), np.sort(values, axis=0)[2])
    heights = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
    second, fourth = np.sort(runs[0]["distance"].values, axis=0)[[1, 3]]
    assert (heights[0].min(), heights[0].max()) == pytest.approx((second.min(), fourth.max()))
    dotted = [x for x in ax.get_lines() if x.get_linestyle() == ":" and len(x.get_xdata())]
    solid = [x for x in ax.get_lines() if x.get_label() in ("gradient descent", "SGD")]
    assert [x.get_color() for x in dotted] == [x.get_color() for x in solid]
    for line, found in zip(dotted, runs, strict=True):
        theory = found["theory"].values
        stop = int((theory <= 0.1).sum()) + 1
        np.testing.assert_allclose(line.get_ydata(), np.minimum(theory[:stop], 0.1))
    assert ax.get_yscale() == "log"
    assert curve(ax, "linear theory").size == 0


def test_the_rise_is_that_of_the_loss(ax: Axes) -> None:
    # kills: the distance drawn as a rise, a log axis for what is negative
    found = escape("perturbed")
    plot_escape_rise([found], ax)
    np.testing.assert_allclose(curve(ax, "perturbed"), np.sort(found["rise"].values, axis=0)[2])
    assert ax.get_yscale() == "linear"
    assert ax.get_xlabel() == "step"
    assert ax.get_ylabel() == "loss above the saddle's"


def test_rises_far_apart_are_shown_on_one_axis(ax: Axes) -> None:
    # kills: a run that diverged and flattens all others to a line at zero
    near, far = escape("gradient"), escape("stochastic")
    plot_escape_rise([near, far.assign(rise=1e6 * far["rise"])], ax)
    assert ax.get_yscale() == "symlog"
    assert len(ax.get_yticks()) < 12


def test_errors_of_rises_are_in_percent_with_quartiles(ax: Axes) -> None:
    # kills: fractions, the mean, radii whose rise is lost in rounding
    found = rises(5)
    spread = np.array([[1.0], [2.0], [3.0], [4.0], [50.0]])
    errors = 0.01 * spread * found["radius"].values
    errors[2, 0] = np.nan
    found = found.assign(relative_error=(("direction", "radius"), errors))
    plot_rise_errors(found, ax)
    np.testing.assert_allclose(curve(ax, "median"), [0.3, 3.0])
    np.testing.assert_allclose(ax.get_lines()[0].get_xdata(), [0.1, 1.0])
    (band,) = ax.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.2, 4.0))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    level = [line for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert list(level[0].get_ydata()) == [10, 10]
    bottom, top = ax.get_ylim()
    assert bottom <= 0.2
    assert top >= 100


def test_errors_of_zero_stay_on_the_axis(ax: Axes) -> None:
    # kills: the logarithm of zero
    found = rises()
    plot_rise_errors(found.assign(relative_error=0 * found["relative_error"]), ax)
    assert curve(ax, "median").tolist() == [1e-6] * 3


def test_another_result_is_refused() -> None:
    other = xr.Dataset(attrs={"quantity": "line"})
    for draw in (plot_shifted_valley, plot_rise_errors):
        with pytest.raises(InvalidArgument, match="this plot draws a result of quantity"):
            draw(other, Axes.__new__(Axes))
    for several in (plot_escape_distance, plot_escape_rise):
        with pytest.raises(InvalidArgument, match="this plot draws a result of quantity"):
            several([other.assign_coords(x=[0])], Axes.__new__(Axes))
