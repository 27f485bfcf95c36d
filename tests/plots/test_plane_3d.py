"""The lit surface. Oracle: heights and colors read back from the artists."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D
from tests.plots.test_plane import plane, slope

from theodolite import plots


@pytest.fixture
def ax3d() -> Axes3D:
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.add_subplot(projection="3d")


def surface(ax: Axes3D) -> Poly3DCollection:
    return next(c for c in ax.collections if isinstance(c, Poly3DCollection))


def test_every_quad_between_points_is_drawn(ax3d: Axes3D) -> None:
    # Kills: down-sampling (matplotlib draws 50 x 50 unless told otherwise).
    plots.plot_plane_3d(plane(slope(70, 60)), ax3d)
    assert len(surface(ax3d).get_facecolor()) == 69 * 59


def test_heights_are_clipped_and_the_label_says_so(ax3d: Axes3D) -> None:
    values = np.linspace(0, 1, 100).reshape(10, 10)
    values[0, 0] = 500.0
    scale = plots.heights(plane(values), log=False)
    plots.plot_plane_3d(plane(values), ax3d, scale=scale)
    assert ax3d.get_zlim()[1] == pytest.approx(scale.high)
    assert "clipped at 1.2" in ax3d.get_zlabel()


def test_the_vertical_axis_names_the_quantity(ax3d: Axes3D) -> None:
    # Kills: the name of the last direction in its place.
    plots.plot_plane_3d(plane(slope(4, 5)), ax3d)
    assert ax3d.get_zlabel() == "loss"
    assert "direction 2" in ax3d.get_ylabel()


def test_points_without_a_value_are_holes(ax3d: Axes3D) -> None:
    # Kills: a diverged cell painted as a value.
    status = np.ones((5, 5), np.uint8)
    status[2, 2] = 2
    plots.plot_plane_3d(plane(slope(5, 5), status), ax3d)
    assert (surface(ax3d).get_facecolor()[:, 3] == 0).sum() == 1


def test_vertical_ticks_are_losses(ax3d: Axes3D) -> None:
    values = 10.0 ** np.add.outer(np.linspace(-2, 2, 5), np.zeros(5))
    plots.plot_plane_3d(plane(values), ax3d)
    shown = dict(
        zip(ax3d.get_zticks(), (t.get_text() for t in ax3d.get_zticklabels()), strict=True)
    )
    assert shown
    assert all(10**at == pytest.approx(float(text)) for at, text in shown.items())


def test_the_axes_name_their_direction(ax3d: Axes3D) -> None:
    plots.plot_plane_3d(plane(slope()), ax3d)
    assert ax3d.get_xlabel() == "direction 1\n(filter norms)"
    assert ax3d.get_ylabel() == "direction 2\n(filter norms)"
