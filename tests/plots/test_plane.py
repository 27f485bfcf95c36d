"""The plane from above. Oracle: the data handed in, read back from the artists."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.text import Text

from theodolite import plots, results
from theodolite.errors import InvalidArgument
from theodolite.plots.plane import minimum, scale_bar, shown_field, status_counts


def plane(values: np.ndarray, status: np.ndarray | None = None, **attrs: object) -> xr.Dataset:
    """Three alphas by four betas unless `values` says otherwise."""
    alpha, beta = (np.linspace(-1, 1, n) for n in values.shape)
    good = np.ones(values.shape, np.uint8) if status is None else status
    dims = ("alpha", "beta")
    return results.dataset(
        "plane",
        {
            "loss": (dims, values, {"long_name": "loss"}),
            "status": results.status_variable(dims, good),
        },
        {"alpha": alpha, "beta": beta},
        **{"normalize": "filter", **attrs},
    )


def slope(columns: int = 3, rows: int = 4) -> np.ndarray:
    """Different at every point, and different along the two axes."""
    return np.add.outer(10.0 * np.arange(columns), np.arange(rows))


def mesh(ax: Axes) -> QuadMesh:
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def labels(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_alpha_runs_to_the_right_and_beta_upward(ax: Axes) -> None:
    # Kills: a transposed field (the peers draw loss[i, j] with axes swapped).
    plots.plot_plane(plane(slope()), ax)
    drawn = mesh(ax).get_array()
    assert drawn.shape == (4, 3)
    np.testing.assert_array_equal(drawn, slope().T)
    corners = mesh(ax).get_coordinates()
    assert corners[0, 0].tolist() == [-1.5, pytest.approx(-4 / 3)]


def test_the_axes_name_direction_and_unit(ax: Axes) -> None:
    plots.plot_plane(plane(slope()), ax)
    assert ax.get_xlabel() == "distance along direction 1 (filter norms)"
    assert ax.get_ylabel() == "distance along direction 2 (filter norms)"


def test_axes_are_returned_with_equal_units(ax: Axes) -> None:
    assert plots.plot_plane(plane(slope()), ax) is ax
    assert ax.get_aspect() == 1.0


def test_diverged_cells_are_hatched_and_counted_and_missing_ones_empty(ax: Axes) -> None:
    # Kills: coloring NaN, counting failed as diverged, hatching what was never computed.
    status = np.ones((3, 4), np.uint8)
    status[0, 0], status[2, 3], status[1, 1], status[1, 2] = 2, 2, 3, 0
    plots.plot_plane(plane(slope(), status), ax)
    gaps = {c.get_label(): c for c in ax.collections if isinstance(c, PolyCollection)}
    assert set(gaps) == {"diverged (2)", "failed (1)"}
    assert gaps["diverged (2)"].get_hatch() != gaps["failed (1)"].get_hatch()
    box = gaps["failed (1)"].get_paths()[0].get_extents()
    assert box.bounds == (-0.5, pytest.approx(-2 / 3), 1.0, pytest.approx(2 / 3))
    assert np.ma.getmaskarray(mesh(ax).get_array()).sum() == 4


def test_contour_lines_are_labeled_in_units_of_the_loss(ax: Axes) -> None:
    # Kills: labels that show the log10 which is drawn.
    values = 10.0 ** np.add.outer(np.linspace(-2, 2, 21), np.zeros(21))
    plots.plot_plane(plane(values), ax)
    written = {t.get_text() for t in ax.findobj(Text)}
    assert {"0.1", "1", "10"} <= written


def test_the_color_bar_states_scale_and_clip(ax: Axes) -> None:
    values = np.ones((10, 10))
    values[3:] = np.linspace(0, 1, 70).reshape(7, 10)
    values[0, 0] = 500.0
    plots.plot_plane(plane(values), ax)
    (bar,) = (a for a in ax.figure.axes if a is not ax)
    assert bar.get_ylabel().startswith("loss, linear scale, clipped at 1.")


def test_start_and_lowest_point_are_marked(ax: Axes) -> None:
    plots.plot_plane(plane(slope(3, 5)), ax)
    assert labels(ax) == ["start", "lowest point (-1.00, -1.00)"]


def test_a_range_without_the_start_marks_none(ax: Axes) -> None:
    shifted = plane(slope()).assign_coords(alpha=[1.0, 2.0, 3.0])
    plots.plot_plane(shifted, ax)
    assert "start" not in labels(ax)


def test_the_lowest_point_is_found_among_measured_ones() -> None:
    # Kills: argmin over diverged cells.
    status = np.ones((3, 4), np.uint8)
    status[0, 0] = 2
    assert minimum(plane(slope(), status)) == (-1.0, pytest.approx(-1 / 3), 1.0)


def test_the_scale_bar_is_a_percentage_of_the_weights() -> None:
    # Kills: the inverse ratio, a bar in units of alpha. 1 alpha = 4 / 8 = 50 % of the weights.
    length, percent = scale_bar(plane(slope(), direction_norm_alpha=4.0, theta_norm=8.0))
    assert percent == pytest.approx(100 * length * 4.0 / 8.0)
    assert 0.1 <= length <= 1.0
    assert scale_bar(plane(slope())) is None


def test_counts_tell_the_four_states_apart() -> None:
    status = np.array([[1, 2, 2], [3, 0, 0]], np.uint8)
    assert status_counts(plane(np.zeros((2, 3)), status)) == {
        "ok": 1,
        "diverged": 2,
        "failed": 1,
        "not computed": 2,
    }


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2)])
def test_tiny_grids_are_drawn(ax: Axes, shape: tuple[int, int]) -> None:
    plots.plot_plane(plane(slope(*shape)), ax)
    assert mesh(ax).get_array().shape == shape[::-1]


def test_all_diverged_is_drawn_as_such(ax: Axes) -> None:
    plots.plot_plane(plane(np.full((3, 3), np.nan), np.full((3, 3), 2, np.uint8)), ax)
    assert "diverged (9)" in labels(ax)


def test_a_given_scale_is_kept(ax: Axes) -> None:
    # Kills: a scale of the panel's own, which would make colors incomparable.
    scale = plots.heights([plane(slope()), plane(100 * slope())], log=False)
    plots.plot_plane(plane(slope()), ax, scale=scale)
    assert mesh(ax).get_clim() == (0.0, scale.high)


def test_another_quantity_is_refused(ax: Axes) -> None:
    with pytest.raises(InvalidArgument, match=r"draws a result of quantity 'plane'.*got quantity"):
        plots.plot_plane(plane(slope()).assign_attrs(quantity="line"), ax)


def test_accuracy_marks_no_lowest_point(ax: Axes) -> None:
    data = plane(slope()).rename(loss="accuracy")
    plots.plot_plane(data, ax, variable="accuracy")
    assert not any("lowest" in text for text in labels(ax))


def test_the_field_is_what_is_drawn(ax: Axes) -> None:
    data = plane(slope())
    scale = plots.heights(data)
    plots.plot_plane(data, ax, scale=scale)
    np.testing.assert_array_equal(mesh(ax).get_array(), shown_field(data, "loss", scale).T)
