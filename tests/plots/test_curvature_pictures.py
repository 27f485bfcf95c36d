"""Pictures of rises and of saddles: lines hold the numbers of the result."""

from __future__ import annotations

import numpy as np
import pytest
from tests.reporting.test_saddles import index, search
from tests.reporting.test_sharpness import rises

from theodolite.errors import InvalidArgument
from theodolite.plots import plot_critical_search, plot_rises, plot_saddle_index, trust_radius


def test_the_picture_shows_both_curves_and_the_trust_radius(ax):
    # kills: measured drawn as predicted, the mean over radii
    plot_rises(rises(), ax)
    measured, predicted = ax.get_lines()[:2]
    squares = np.array([1e-4, 1e-2, 1.0])
    np.testing.assert_allclose(measured.get_ydata(), 1.5 * (squares + squares**2))
    np.testing.assert_allclose(predicted.get_ydata(), 1.5 * squares)
    assert (measured.get_label(), predicted.get_label()) == ("measured", "second order")
    assert any("within 10 % up to 0.1" in t.get_text() for t in ax.texts)
    assert trust_radius(rises()) == 0.1


def test_half_of_the_directions_can_be_trusted_to_the_radius_that_is_marked():
    # kills: the larger of the two middle ones, which only a quarter reach; NaN left out, where
    # it is the answer of a direction that cannot be trusted anywhere
    found = rises()
    found["trust_radius"] = ("direction", [0.4, 0.1, 0.2, 0.8])
    assert trust_radius(found) == 0.2
    found["trust_radius"] = ("direction", [0.4, np.nan, np.nan, 0.8])
    assert np.isnan(trust_radius(found))


def test_no_trust_radius_no_mark(ax):
    plot_rises(rises(trust=np.nan), ax)
    assert not ax.texts


def test_the_index_is_drawn_in_percent_over_a_logarithmic_threshold(ax):
    # kills: shares drawn as fractions, thresholds on a linear axis
    plot_saddle_index(index(), ax)
    curve = ax.get_lines()[0]
    np.testing.assert_allclose(curve.get_xdata(), [1e-3, 1e-2, 0.1])
    np.testing.assert_allclose(curve.get_ydata(), [40, 20, 0])
    assert ax.get_xscale() == "log"


def test_the_picture_of_a_search_leaves_out_a_norm_of_zero(ax):
    plot_critical_search(search(), ax)
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_xdata(), [0, 10, 25])
    assert np.isnan(line.get_ydata()[2])
    assert ax.get_yscale() == "log"


def test_another_result_is_refused(ax):
    for draw in (plot_rises, plot_saddle_index, plot_critical_search):
        with pytest.raises(InvalidArgument, match="this plot draws a result of quantity"):
            draw(rises().assign_attrs(quantity="line"), ax)
