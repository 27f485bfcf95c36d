"""Widths, roughness, counts and errors of surfaces whose shape is known.

Oracles: closed forms (tents are linear on every triangle, so their widths are exact); the plane
through the corners of a triangle, solved for; means and errors computed on paper.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.shapes.grids import grid_of, halved, plain_grid
from theodolite.shapes.rays import directions, ways_from_start
from theodolite.shapes.summaries import over_planes

from .planted import bowl, rough, surface, tent

X = np.linspace(-1, 1, 41)


# ------------------------------------------------------------------------------------- widths


def test_the_width_of_a_tent_is_that_of_its_square() -> None:
    # kills: the last crossing for the first; distances along an axis for those along the way
    found = td.shape(surface(tent), levels=[0.5])
    assert float(found.width_least.item()) == pytest.approx(0.5 / np.sqrt(2), rel=1e-12)
    assert float(found.width_greatest.item()) == pytest.approx(0.5, rel=1e-12)
    angle = 2 * np.pi * np.arange(360) / 360
    mean = np.mean(0.5 / (np.abs(np.cos(angle)) + np.abs(np.sin(angle))))
    assert float(found.width_mean.item()) == pytest.approx(float(mean), rel=1e-12)
    assert float(found.width_open.item()) == 0.0


def test_widths_of_a_round_bowl_do_not_depend_on_the_angle_of_the_axes() -> None:
    # kills: ways evenly spaced in coordinates rather than in the plane; distances in coordinates
    # |a d1 + b d2|^2 with unit directions of cosine c is a^2 + 2 c a b + b^2.
    c = 0.5
    x = np.linspace(-1, 1, 161)
    found = td.shape(
        surface(lambda a, b: a**2 + 2 * c * a * b + b**2, x, x, axis_cosine=c), levels=[0.36]
    )
    for name in ("width_mean", "width_least", "width_greatest"):
        assert float(found[name].item()) == pytest.approx(0.6, rel=1e-3)


def test_the_first_crossing_counts_and_the_border_is_no_crossing() -> None:
    # kills: the crossing nearest to the border; ways that leave the plane counted as crossings
    def moat(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        r = np.maximum(np.abs(x), np.abs(y))
        return np.interp(r, [0.0, 0.2, 0.4, 1.0], [0.0, 1.0, 0.0, 0.9])

    found = td.shape(surface(moat), levels=[0.5, 2.0])
    assert float(found.width_least[0, 0]) == pytest.approx(0.1, rel=1e-9)
    assert found.width_open.values.tolist() == [[0.0, 1.0]]
    assert float(found.width_least[0, 1]) == 1.0
    assert found.width_least_open.values.tolist() == [[0.0, 1.0]]


def test_ways_see_the_same_function_as_the_areas() -> None:
    # kills: a diagonal crossing missed, so that a way is linear over two triangles
    result = rough(6, 9, seed=3)
    ways = ways_from_start(grid_of(result), count=90)
    for k, along in enumerate(directions(90, 0.0)):
        for part in (0.25, 0.5, 0.8):
            at = part * ways.distance[k, -1]
            got = np.interp(at, ways.distance[k], ways.height[k])
            assert got == pytest.approx(by_triangle(result, *(at * along)), abs=1e-9)


def by_triangle(result: xr.Dataset, x: float, y: float) -> float:
    """The function at a point by solving for the plane through the corners of its triangle."""
    alpha, beta = result.alpha.values, result.beta.values
    i = min(int(np.searchsorted(alpha, x, side="right")) - 1, len(alpha) - 2)
    j = min(int(np.searchsorted(beta, y, side="right")) - 1, len(beta) - 2)
    right = (x - alpha[i]) / (alpha[i + 1] - alpha[i]) >= (y - beta[j]) / (beta[j + 1] - beta[j])
    corners = [(i, j), (i + 1, j + 1), (i + 1, j) if right else (i, j + 1)]
    system = np.array([[1.0, alpha[a], beta[b]] for a, b in corners])
    plane = np.linalg.solve(system, np.array([result.loss.values[c] for c in corners]))
    return float(plane @ [1.0, x, y])


# --------------------------------------------------------------- roughness, bending and counts


def test_a_surface_that_only_rises_is_not_rough_and_a_wave_is() -> None:
    # kills: roughness that counts slope or curvature rather than what cancels
    assert float(td.shape(surface(tent)).roughness.item()) == pytest.approx(0.0, abs=1e-12)
    assert float(td.shape(surface(bowl)).roughness.item()) == pytest.approx(0.0, abs=1e-12)
    wave = td.shape(surface(lambda x, y: np.cos(2 * np.pi * np.maximum(abs(x), abs(y)))))
    assert float(wave.roughness.item()) == pytest.approx(1.0, abs=1e-9)  # down by 2, up by 2
    halves = surface(
        lambda x, y: np.exp(-np.interp(np.maximum(abs(x), abs(y)), [0, 0.5, 1], [0, 2, 1]))
    )
    assert float(td.shape(halves).log_roughness.item()) == pytest.approx(1 - 1 / 3, rel=1e-9)
    assert np.isnan(td.shape(surface(bowl)).log_roughness.item())  # zero at its minimum
    half = surface(lambda x, y: np.interp(np.maximum(abs(x), abs(y)), [0, 0.5, 1], [0, 2, 1]))
    assert float(td.shape(half).roughness.item()) == pytest.approx(1 - 1 / 3, rel=1e-9)


def test_bending_is_the_mean_second_derivative_of_a_quadratic() -> None:
    # kills: the step left out, or squared once only; a sign that lets ups and downs cancel
    assert float(td.shape(surface(bowl)).bending.item()) == pytest.approx(3.0, rel=1e-9)
    saddle = td.shape(surface(lambda x, y: x**2 - y**2))
    assert float(saddle.bending.item()) == pytest.approx(2.0, rel=1e-9)
    assert float(saddle.bend_share.item()) == pytest.approx(0.5)


def crate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """sin sin over two periods each way: 8 minima and 8 maxima inside, zero on the rim."""
    return np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)


def test_extrema_and_saddles_are_counted() -> None:
    # kills: maxima counted on the border; saddles of minima and of maxima counted twice
    found = td.shape(surface(crate))
    assert (float(found.minima[0]), float(found.maxima[0])) == (8.0, 8.0)
    assert float(td.shape(surface(bowl)).minima[0]) == 1.0
    assert float(td.shape(surface(bowl)).maxima[0]) == 0.0
    tilted = td.shape(surface(lambda x, y: x**2 - y**2))
    assert [float(tilted[n][0]) for n in ("minima", "maxima", "saddles")] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(("error", "count"), [(None, 8), (0.1, 8), (0.4, 1)])
def test_minima_within_two_standard_errors_do_not_count(error, count: int) -> None:
    # kills: noise of the size of the error counted as minima; the whole count lost with it
    # Persistence is 1, the error of a difference 1.41 error: it counts below 0.354. The lowest
    # minimum joins none lower and always counts.
    found = td.shape(surface(crate, error=error))
    assert float(found.minima[0]) == count
    assert float(found.minima_found[0]) == 8


# --------------------------------------------------------------------------------- errors


def test_errors_are_those_of_a_common_shift() -> None:
    # kills: a level that stays where it is while the start moves; a whole difference for its half
    fixed = td.shape(surface(tent, error=0.01), levels=[0.5])
    assert float(fixed.area_error.item()) == pytest.approx(2 * 2 * 0.5 * 0.01, rel=1e-9)
    moved = td.shape(surface(tent, error=0.01, start_loss=0.0, start_loss_error=0.01))
    assert float(moved.area_error[0, 0]) == pytest.approx(0.0, abs=1e-12)
    doubled = surface(
        lambda x, y: 0.5 + tent(x, y), error=0.01, start_loss=0.5, start_loss_error=0.01
    )
    assert float(td.shape(doubled).area_error[0, 2]) == pytest.approx(2 * 2 * 0.5 * 0.01, rel=1e-9)


def test_without_errors_none_is_claimed() -> None:
    # kills: an error of zero where none was measured; an error over one plane
    found = td.shape(surface(tent))
    assert np.isnan(found.area_error.values).all()
    assert found.attrs["errors"] == "none measured"
    assert found.attrs["spread"] == "none: one plane"
    assert all(row.planes_error is None for row in over_planes(found))


def test_several_planes_have_a_mean_and_a_standard_error() -> None:
    # kills: the spread divided by the count instead of its root; planes mixed up
    planes = [surface(lambda x, y, f=f: f * tent(x, y), plane=k) for k, f in enumerate((1, 2, 4))]
    found = td.shape(planes, levels=[1.0])
    areas = np.array([2.0, 0.5, 0.125])
    assert np.allclose(found.area.values[:, 0], areas)
    row = next(r for r in over_planes(found) if r.name == "area")
    assert row.value == pytest.approx(areas.mean())
    assert row.planes_error == pytest.approx(areas.std(ddof=1) / np.sqrt(3))
    assert row.samples == pytest.approx(areas)
    assert row.at_least  # that of the first reaches the border


def test_the_half_grid_keeps_the_start_and_both_ends() -> None:
    # kills: a coarse grid without the minimum's cusp or the border
    for size in (6, 7, 8, 9):
        axis = np.linspace(-1, 1, size)
        kept = halved(plain_grid(np.zeros(size), axis)).axes[0]
        start = axis[np.argmin(np.abs(axis))]
        assert {-1.0, 1.0, start} <= set(kept)
        assert len(kept) < size


def test_a_survey_is_read_for_its_planes_alone() -> None:
    # kills: recomputed planes or lines taken along; order of planes lost
    first, second = surface(tent, plane=0), surface(bowl, plane=1)
    tree = xr.DataTree(
        children={
            "plane_0": xr.DataTree(first),
            "plane_1": xr.DataTree(second),
            "plane_0_recomputed": xr.DataTree(second),
            "trace": xr.DataTree(xr.Dataset(attrs={"quantity": "trace"})),
        }
    )
    assert td.shape(tree).equals(td.shape([first, second]))


@pytest.mark.parametrize(("least", "levels"), [(0.5, 3), (0.0, 2), (-1.5, 2)])
def test_twice_a_loss_is_a_level_only_above_zero(least: float, levels: int) -> None:
    # Kills: an area below twice a negative loss, which is below the start itself.
    found = td.shape(surface(lambda x, y: least + x**2 + y**2))
    assert len(found.level) == levels
    assert bool((found.level_loss > least).all())


def test_a_plane_with_holes_is_not_judged() -> None:
    # kills: statistics over what is there; holes taken for walls
    holed = surface(tent)
    holed["status"][0, 0] = 0
    found = td.shape([surface(tent), holed])
    assert found.status.values.tolist() == [1, 0]
    assert np.isnan(found.area.values[1]).all()
    assert np.isfinite(found.area.values[0]).all()


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda: td.shape([]), InvalidArgument, "E-Q10"),
        (lambda: td.shape(surface(tent), levels=[np.inf]), InvalidArgument, "E-Q09"),
        (lambda: td.shape(surface(tent), levels=[]), InvalidArgument, "E-Q09"),
        (lambda: td.shape([surface(tent), surface(tent, X, X[::2])]), InvalidArgument, "E-Q08"),
        (lambda: td.shape(surface(lambda x: x, X)), InvalidArgument, "E-Q07"),
        (lambda: td.shape(xr.DataTree()), InvalidArgument, "E-Q10"),
        (lambda: td.shape(surface(tent), variable="test_loss"), InvalidArgument, "E-Q02"),
    ],
)
def test_what_has_no_shape_is_refused(call, error, code: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert caught.value.code == code


def test_every_variable_says_what_it_is() -> None:
    found = td.shape(surface(tent, error=0.01, normalize="filter"))
    assert all(v.attrs["long_name"] for v in found.data_vars.values())
    assert found.area.attrs["units"] == "filter norms squared"
    assert found.width_mean.attrs["units"] == "filter norms"
