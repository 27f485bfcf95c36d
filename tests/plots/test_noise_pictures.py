"""Pictures of gradient noise. Oracle: the numbers drawn, by the data of the artists."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reporting.test_noise import layers, scale, tails
from theodolite.errors import InvalidArgument
from theodolite.plots import (
    noisiest,
    palette,
    plot_batch_efficiency,
    plot_gradient_tails,
    plot_signal_to_noise,
)


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def labeled(ax: Axes, label: str) -> np.ndarray:
    return next(np.array(line.get_xydata()) for line in ax.lines if line.get_label() == label)


def test_efficiencies_cross_at_the_critical_size(ax):
    # kills: steps and examples exchanged, another batch size in the middle
    plot_batch_efficiency(scale(), ax)
    steps, examples = labeled(ax, "in steps"), labeled(ax, "in examples")
    np.testing.assert_allclose(steps[:, 1], 100 * steps[:, 0] / (steps[:, 0] + 300))
    np.testing.assert_allclose(steps[:, 1] + examples[:, 1], 100)
    dots = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert dots == [[[300.0, 50.0]]]
    shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((20, 400))


def test_the_stated_batch_is_marked_and_in_sight(ax):
    plot_batch_efficiency(scale(stated=500_000), ax)
    assert "yours: 500,000" in [t.get_text() for t in ax.texts]
    assert ax.get_xlim()[1] > 500_000


def test_without_an_upper_end_there_is_a_band_and_no_curve(ax):
    # kills: a curve at infinity, a picture that fails
    plot_batch_efficiency(scale((np.inf, 50.0, np.inf)), ax)
    assert not [line for line in ax.lines if line.get_label() == "in steps"]
    assert len(ax.collections) == 2


def test_layers_are_rows_in_order_with_their_intervals(ax):
    # kills: rows upside down, an interval of another row, a ratio below zero drawn
    found = layers()
    found["signal_to_noise"][0] = -0.1
    found["signal_to_noise_low"][1] = -1.0
    plot_signal_to_noise(found, ax)
    bars = [line.get_xydata() for line in ax.lines if line.get_marker() != "o"]
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xydata(), [[0.015, 1], [0.02, 2]])
    np.testing.assert_allclose(bars[2], [[0.01, 2], [0.04, 2]])
    assert bars[1][0, 0] == pytest.approx(ax.get_xlim()[0])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["layer 0", "layer 1", "layer 2"]
    assert ax.yaxis_inverted()


def test_the_noisiest_layers_keep_their_order():
    found = layers(5).isel(layer=[4, 0, 3])
    assert noisiest(found, 2)["layer"].values.tolist() == ["layer 4", "layer 3"]


@pytest.mark.parametrize(("refused", "color"), [(3, palette.GAP), (1, palette.NEGATIVE)])
def test_tails_have_their_law_and_say_whether_it_is_refused(ax, refused, color):
    # kills: shares for sizes, a refused law drawn as one that holds
    plot_gradient_tails(tails(refused), ax)
    own = labeled(ax, "along random directions")
    np.testing.assert_allclose(own, [[9, 1], [4, 10], [2, 30], [1, 50]])
    law = next(line for line in ax.lines if "alpha-stable law, index 1.5" in str(line.get_label()))
    np.testing.assert_allclose(law.get_xdata(), [20, 5, 2, 1])
    assert law.get_color() == color
    gauss = labeled(ax, "Gaussian")
    assert gauss[-1] == pytest.approx([1.0, 50.0])  # half of all lie beyond the median
    assert gauss[1, 0] == pytest.approx(1.6449 / 0.6745, rel=1e-3)
    assert f"law refused in {refused} of 4 directions" in [t.get_text() for t in ax.texts]


def test_other_results_are_refused(ax):
    other = xr.Dataset(attrs={"quantity": "plane"})
    for plot in (plot_batch_efficiency, plot_signal_to_noise, plot_gradient_tails):
        with pytest.raises(InvalidArgument):
            plot(other, ax)
