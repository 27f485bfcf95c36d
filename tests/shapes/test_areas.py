"""Areas below a level, of surfaces whose areas are known.

Oracles: closed forms (tents and ramps are linear on every triangle, so their areas are exact); a
fine raster of the interpolated function; the known order of convergence.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import theodolite as td
from theodolite.shapes.areas import sublevel_shares
from theodolite.shapes.grids import grid_of

from .planted import bowl, rough, surface, tent


@pytest.mark.parametrize("level", [0.25, 0.37, 1.0])
def test_the_area_below_a_tent_is_that_of_a_square(level: float) -> None:
    # kills: any slip in the area of a cut triangle; cells counted instead of areas
    found = td.shape(surface(tent), levels=[level])
    assert float(found.area.item()) == pytest.approx(2 * level**2, rel=1e-12)
    assert float(found.area_share.item()) == pytest.approx(level**2 / 2, rel=1e-12)
    assert float(found.area_open.item()) == float(level == 1.0)


def test_the_area_is_that_of_the_interpolated_function() -> None:
    # kills: a diagonal of the other sense; areas of uneven cells weighted alike
    result = rough(8, 7)
    grid = grid_of(result)
    levels = np.array([-0.5, 0.1, 0.8])
    for k, level in enumerate(levels):
        exact = float(sublevel_shares(grid, levels)[k])
        assert exact == pytest.approx(raster_share(result, level), abs=2e-3)


def raster_share(result: xr.Dataset, level: float) -> float:
    """The share by counting 10^6 points of the function linear on each triangle."""
    alpha, beta, values = result.alpha.values, result.beta.values, result.loss.values
    below = total = 0.0
    side = (np.arange(60) + 0.5) / 60
    u, v = np.meshgrid(side, side, indexing="ij")
    for i in range(len(alpha) - 1):
        for j in range(len(beta) - 1):
            a, b, c, d = values[i, j], values[i + 1, j], values[i, j + 1], values[i + 1, j + 1]
            under = a + (b - a) * u + (d - b) * v
            over = a + (c - a) * v + (d - c) * u
            area = (alpha[i + 1] - alpha[i]) * (beta[j + 1] - beta[j])
            below += area * float((np.where(u >= v, under, over) <= level).mean())
            total += area
    return below / total


def test_the_area_of_an_ellipse_converges_from_below_with_the_second_order() -> None:
    # kills: a grid error that does not measure the error of the grid
    exact = np.pi * 0.5 / np.sqrt(2)
    errors, told = [], []
    for size in (21, 41, 81):
        found = td.shape(surface(bowl, *[np.linspace(-1, 1, size)] * 2), levels=[0.5])
        errors.append(exact - float(found.area.item()))
        told.append(float(found.area_grid_error.item()))
    assert all(e > 0 for e in errors)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)
    for error, grid_error in zip(errors, told, strict=True):
        assert 2 < grid_error / error < 4  # three for the second order


def test_axes_that_are_not_orthogonal_shrink_the_area() -> None:
    # kills: the cosine left out, or its square root
    found = td.shape(surface(tent, axis_cosine=0.6), levels=[0.5])
    assert float(found.area.item()) == pytest.approx(0.8 * 0.5, rel=1e-12)
    assert float(found.area_share.item()) == pytest.approx(0.125, rel=1e-12)


def test_diverged_points_lie_above_every_level() -> None:
    # kills: a diverged corner taken as zero, or dropped from the plane's area
    def half(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(x > 0.01, np.inf, np.zeros_like(x) + 1.0)

    found = td.shape(surface(half), levels=[5.0])
    assert float(found.area_share.item()) == pytest.approx(0.5, rel=1e-12)
    assert float(found.width_least.item()) == 0.0
    assert float(found.width_greatest.item()) == pytest.approx(np.hypot(1, 1), rel=1e-3)
    assert int(found.diverged.item()) == 20 * 41
