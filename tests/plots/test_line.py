"""Lines with error bands. Oracle: the data handed in, read back from the artists."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from tests.plots.test_plane import plane, slope

from theodolite import plots, results
from theodolite.errors import InvalidArgument


def line(values: object, error: object = 0.5, status: object = None) -> xr.Dataset:
    """A line over [-1, 1]; ``error=None`` leaves the error out."""
    values = np.asarray(values, dtype=float)
    variables = {"loss": (("alpha",), values, {"long_name": "loss"})}
    if error is not None:
        half = np.broadcast_to(error, values.shape)
        variables["loss_error"] = (("alpha",), half, {"long_name": "standard error"})
    if status is not None:
        variables["status"] = results.status_variable(("alpha",), status)
    alpha = np.linspace(-1, 1, len(values))
    return results.dataset("line", variables, {"alpha": alpha}, normalize="filter")


def test_the_line_is_the_data(ax: Axes) -> None:
    assert plots.plot_line(line([3.0, 1.0, 2.0]), ax, label="a") is ax
    assert ax.lines[0].get_ydata().tolist() == [3.0, 1.0, 2.0]
    assert ax.lines[0].get_label() == "a"
    assert ax.get_ylabel() == "loss"


def test_the_band_is_two_standard_errors(ax: Axes) -> None:
    # Kills: a band of one or four standard errors.
    plots.plot_line(line([3.0, 1.0, 2.0], error=[0.1, 0.2, 0.3]), ax)
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(3.2)
    assert edges.min() == pytest.approx(0.6)


def test_a_line_without_errors_says_so_in_its_title(ax: Axes) -> None:
    plots.plot_line(line([1.0, 2.0], error=None), ax)
    assert ax.get_title().startswith("no error bar")


def test_gaps_break_the_line_and_diverged_points_are_counted(ax: Axes) -> None:
    # Kills: joining over a gap; counting what was never computed as diverged.
    plots.plot_line(line([1.0, 9.0, 1.0, 9.0, 1.0], status=[1, 2, 1, 0, 1]), ax)
    assert np.isnan(ax.lines[0].get_ydata()).tolist() == [False, True, False, True, False]
    assert [x.get_label() for x in ax.lines[1:]] == ["diverged (1)"]
    assert ax.lines[1].get_xdata().tolist() == [-0.5]


def test_series_differ_in_color_and_dash(ax: Axes) -> None:
    # Kills: telling models apart by color alone.
    for k in range(4):
        plots.plot_line(line([1.0, 2.0]), ax, series=k)
    assert len({x.get_color() for x in ax.lines}) == 4
    assert len({x.get_linestyle() + str(x._dash_pattern) for x in ax.lines}) == 4


def test_log_axes_have_plain_numbers(ax: Axes) -> None:
    plots.plot_line(line([0.01, 1.0, 100.0]), ax, log=True)
    ax.figure.canvas.draw()
    assert "0.1" in [t.get_text() for t in ax.get_yticklabels()]


@pytest.mark.parametrize(("axis", "at", "wanted"), [(1, 1.0, [3, 13, 23]), (2, -1.0, [0, 1, 2, 3])])
def test_a_cut_is_a_row_or_a_column(axis: int, at: float, wanted: list[float]) -> None:
    # Kills: rows and columns exchanged, the wrong end.
    cut = plots.line_from_plane(plane(slope()), axis=axis, at=at)
    assert cut["loss"].values.tolist() == wanted
    assert cut.attrs["at"] == at
    assert cut.attrs["quantity"] == "line"


def test_a_cut_along_direction_two_says_so(ax: Axes) -> None:
    plots.plot_line(plots.line_from_plane(plane(slope()), axis=2), ax)
    assert ax.get_xlabel() == "distance along direction 2 (filter norms)"


def test_lines_share_a_log_axis_when_their_joint_range_asks_for_it() -> None:
    assert plots.share_log([line([1.0, 2.0]), line([300.0, 2.0])])
    assert not plots.share_log([line([1.0, 2.0]), line([0.0, 2.0])])
    assert not plots.share_log([])


def test_another_quantity_is_refused(ax: Axes) -> None:
    with pytest.raises(InvalidArgument, match="got quantity 'plane'"):
        plots.plot_line(plane(slope()), ax)
