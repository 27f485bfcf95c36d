"""Roughness of slices.

Oracles: monotone and swinging profiles; bowls, saddles, valleys and waves with known curvature.
"""

from __future__ import annotations

import numpy as np
import pytest

from theodolite.errors import InvalidArgument
from theodolite.findings.roughness import (
    excess_variation,
    largest_rise,
    local_minima,
    negative_curvature_share,
)

X, Y = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))


def test_the_variation_of_a_monotone_line_is_its_net_change() -> None:
    # kills: the net change not subtracted.
    for profile in (np.arange(5.0) ** 3, -np.exp(np.linspace(0, 5, 9))):
        assert excess_variation(profile) == pytest.approx(0.0, abs=1e-12)
    assert excess_variation(np.ones(4)) == 0.0


def test_waves_count_by_their_swings() -> None:
    # Four full waves with all extremes on the grid: variation 16, net change 0, range 2.
    # kills: the range or the absolute value forgotten, a variation that grows with the scale.
    wave = np.sin(np.linspace(0, 8 * np.pi, 65))
    assert excess_variation(wave) == pytest.approx(8.0)
    assert excess_variation(1e6 * wave + 3) == pytest.approx(8.0)
    assert excess_variation(np.array([0.0, 3.0, 1.0, 4.0])) == pytest.approx((8 - 4) / 4)


def test_white_noise_is_rough() -> None:
    # Mean of |difference| of uniforms 1/3: variation n / 3 over a range near 1.
    noise = np.random.default_rng(0).random(3001)
    assert excess_variation(noise) == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize(
    ("surface", "share"),
    [
        (X**2 + 3 * Y**2, 0.0),
        (X**2 - Y**2, 1.0),
        (-(X**2) - Y**2, 1.0),
        (X * Y, 1.0),  # kills: the mixed derivative left out
        (X**2 + 1.9 * X * Y + Y**2, 0.0),  # eigenvalues 0.05 and 1.95, times 2
        (X**2 + 2.1 * X * Y + Y**2, 1.0),
        ((X + Y) ** 2, 0.0),  # a valley: a zero eigenvalue is not negative
        (X + 2 * Y, 0.0),
    ],
)
def test_quadratics_have_one_curvature(surface: np.ndarray, share: float) -> None:
    # kills: signs of the corners, a factor of 4, the larger eigenvalue in place of the smaller.
    assert negative_curvature_share(surface) == share
    assert negative_curvature_share(1e8 * surface) == share


def test_a_cubic_is_negative_on_one_side() -> None:
    # x^3 + y^2: negative where x < 0, 9 of 19 inner columns. kills: edges counted.
    assert negative_curvature_share(X**3 + Y**2) == pytest.approx(9 / 19)


def test_minima_are_counted() -> None:
    # kills: diagonal neighbors left out, flat ground counted, edges counted.
    assert local_minima(X**2 + Y**2) == 1
    assert local_minima(X**2 - Y**2) == 0
    assert local_minima(np.zeros((5, 5))) == 0
    assert local_minima(X) == 0
    assert local_minima(np.cos(2 * np.pi * X) + np.cos(2 * np.pi * Y)) == 4  # at +-0.5
    ridge = np.full((3, 3), 5.0)
    ridge[1, 1], ridge[0, 0] = 1.0, 0.5
    assert local_minima(ridge) == 0


def test_the_largest_rise() -> None:
    # kills: the rise from the start, from the neighbor, or the fall in place of the rise.
    assert largest_rise(np.array([5.0, 4, 3, 0])) == 0.0
    assert largest_rise(np.array([10.0, 2, 3, 4, 0])) == pytest.approx(0.2)
    assert largest_rise(np.array([0.0, 1.0, 2.0])) == 1.0
    assert largest_rise(np.ones(3)) == 0.0


@pytest.mark.parametrize(
    ("function", "values"),
    [
        (excess_variation, np.array([1.0])),
        (excess_variation, np.array([1.0, np.nan])),
        (largest_rise, np.array([np.inf, 1.0])),
        (negative_curvature_share, np.ones((2, 5))),
        (local_minima, np.full((3, 3), np.nan)),
    ],
)
def test_what_is_no_slice_is_refused(function: object, values: np.ndarray) -> None:
    with pytest.raises(InvalidArgument, match="E-F33"):
        function(values)
