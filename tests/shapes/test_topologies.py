"""Minima, saddles and merge trees of surfaces whose topology is known.

Oracles: closed forms of planted functions; theorems (monotone maps, symmetries of the grid,
stability under perturbation); the tree walked by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidData
from theodolite.seeds import numpy_generator

from .planted import bowl, double_well, egg_crate, noise, surface

RULES = ("axes", "triangulated", "all")


def pairs(found: xr.Dataset) -> list[tuple[float, float]]:
    """Births and deaths, sorted."""
    return sorted(zip(found.birth.values.tolist(), found.death.values.tolist(), strict=True))


def finite(found: xr.Dataset) -> list[tuple[float, float]]:
    return [p for p in pairs(found) if np.isfinite(p[1])]


# ------------------------------------------------------------------------------ planted surfaces


def test_a_bowl_has_one_minimum_and_no_pair() -> None:
    # kills: a plateau or an edge counted as a minimum; a death invented for the lowest minimum
    found = td.topology(surface(bowl))
    assert pairs(found) == [(0.0, np.inf)]
    assert found.minimum_place.values.tolist() == [[0.0, 0.0]]
    assert np.isnan(found.smad)
    assert np.isnan(found.saddle_place.values).all()
    assert found.height.values.tolist() == [0.0]
    assert found.parent.values.tolist() == [-1]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_double_well_has_one_pair_of_known_persistence(dims: int, rule: str) -> None:
    # kills: the younger rule (the lower minimum ends); the saddle's lower neighbor as its height
    axes = [np.linspace(-1, 1, 41)] + [np.linspace(-1, 1, 5)] * (dims - 1)
    found = td.topology(surface(double_well, *axes), neighbors=rule)
    assert pairs(found) == [(0.0, np.inf), (0.1, 1.0)]
    assert found.minimum_place.values[:, 0].tolist() == [-0.5, 0.5]
    assert found.saddle_place.values[1].tolist() == [0.0] * dims
    assert float(found.smad) == pytest.approx((1.0 + 0.9) / 2, rel=1e-14)
    assert float(found.mean_persistence) == pytest.approx(0.9, rel=1e-14)
    assert float(found.relative_smad) == pytest.approx(0.95 / (9.1 + dims - 1), rel=1e-14)


def test_an_egg_crate_has_the_minima_and_saddles_of_its_formula() -> None:
    # kills: minima joined over a maximum; saddles counted once a neighbor
    # sin x sin y on [0, 4 pi]^2: eight minima of -1, eight maxima of 1, saddles of height 0 (the
    # crossings of the lines where it is zero).
    x = np.linspace(0, 4 * np.pi, 65)
    found = td.topology(surface(egg_crate, x, x))
    deep = found.persistence.values > 0.5
    assert int(deep.sum()) == 8
    assert np.allclose(found.birth.values[deep], -1.0, atol=1e-12)
    joined = deep & np.isfinite(found.death.values)
    assert int(joined.sum()) == 7
    assert np.allclose(found.death.values[joined], 0.0, atol=1e-12)


@pytest.mark.parametrize("formula", [lambda x, y: x**2 - y**2, lambda x, y: x**3 - 3 * x * y**2])
def test_saddles_and_monkey_saddles_have_no_minimum_inside(formula) -> None:
    # kills: a saddle taken for a minimum; the border's minima not marked as such
    found = td.topology(surface(formula))
    assert (found.at_edge.values == 1).all()
    count = 2 if formula(1.0, 0.0) == formula(-1.0, 0.0) else 3
    assert found.sizes["pair"] == count
    assert finite(found)
    assert all(d == 0 for _, d in finite(found))


def test_three_valleys_that_meet_at_one_point_are_one_node() -> None:
    # kills: a chain of nodes of equal height where a monkey saddle is one with three branches
    found = td.topology(surface(lambda x, y: x**3 - 3 * x * y**2))
    assert found.height.values[3:].tolist() == [0.0]
    assert found.parent.values.tolist() == [3, 3, 3, -1]


@pytest.mark.parametrize("rule", RULES)
def test_the_tree_holds_what_the_pairs_say(rule: str) -> None:
    # kills: parents mixed up; leaves that do not belong to their pair
    found = td.topology(noise(9, 9, seed=7), neighbors=rule)
    height, parent = found.height.values, found.parent.values
    assert (height[parent[parent >= 0]] > height[parent >= 0]).all()
    assert int((parent < 0).sum()) == 1
    leaves = {int(p): k for k, p in enumerate(found.leaf.values) if p >= 0}
    assert len(leaves) == found.sizes["pair"]
    for pair, leaf in leaves.items():
        assert height[leaf] == found.birth.values[pair]
        below = lowest_below(leaf, parent, height)
        assert below == found.death.values[pair]
    up = [height[parent[k]] - height[k] for k in leaves.values()]
    assert float(found.smad) == pytest.approx(np.mean(up), rel=1e-14)


def lowest_below(leaf: int, parent: np.ndarray, height: np.ndarray) -> float:
    """The first node above `leaf` that has something lower under it: where its part ends."""
    own, at = height[leaf], leaf
    while parent[at] >= 0:
        at = int(parent[at])
        under = [k for k in range(len(parent)) if at in ancestors(k, parent)]
        if min(height[k] for k in under) < own:
            return float(height[at])
    return np.inf


def ancestors(k: int, parent: np.ndarray) -> list[int]:
    found = []
    while parent[k] >= 0:
        k = int(parent[k])
        found.append(k)
    return found


# --------------------------------------------------------------------------------- invariances


@pytest.mark.parametrize("rule", RULES)
def test_a_monotone_map_maps_the_pairs(rule: str) -> None:
    # kills: anything that looks at differences of values rather than at their order
    result = noise(8, 9, seed=1)
    mapped = result.assign(loss=np.exp(result.loss / 20))
    expected = [(np.exp(b / 20), np.exp(d / 20)) for b, d in pairs(td.topology(result))]
    assert np.allclose(pairs(td.topology(mapped)), expected, rtol=1e-14)
    logs = td.topology(result, neighbors=rule)
    assert np.allclose(
        logs.log_persistence.values[1:], np.log(logs.death.values / logs.birth.values)[1:]
    )


@pytest.mark.parametrize("rule", RULES)
def test_symmetries_of_the_grid_change_nothing(rule: str) -> None:
    # kills: neighbors ahead of a point and not behind it; axes treated differently
    result = noise(7, 6, seed=2)
    expected = pairs(td.topology(result, neighbors=rule))

    def other(values: np.ndarray) -> list[tuple[float, float]]:
        made = surface(lambda *_: values, *(np.arange(float(s)) for s in values.shape))
        return pairs(td.topology(made, neighbors=rule))

    values = result.loss.values
    assert other(values.T.copy()) == expected
    assert other(values[::-1, ::-1].copy()) == expected
    if rule != "triangulated":  # its diagonals rise
        assert other(values[::-1].copy()) == expected


def test_ties_are_told_apart_by_place_and_add_nothing() -> None:
    # kills: a plateau with several minima; equal saddles that join twice
    flat = td.topology(surface(lambda x, y: np.zeros_like(x)))
    assert pairs(flat) == [(0.0, np.inf)]
    steps = surface(lambda x, y: np.round(4 * (x**2 + y**2)))
    assert pairs(td.topology(steps)) == [(0.0, np.inf)]


@pytest.mark.parametrize("seed", range(4))
def test_the_bottleneck_distance_is_at_most_the_perturbation(seed: int) -> None:
    # kills: a death that is not the saddle's height, which moves by more than the surface does
    # Stability theorem: Cohen-Steiner, Edelsbrunner, Harer (2007).
    generator = numpy_generator(seed, "perturbation")
    before = surface(lambda x, y: np.cos(5 * x) * np.cos(4 * y), *[np.linspace(-1, 1, 9)] * 2)
    moved = 0.1 * generator.uniform(-1, 1, before.loss.shape)
    after = before.assign(loss=before.loss + moved)
    a, b = (finite(td.topology(r)) for r in (before, after))
    bound = float(np.abs(moved).max())
    assert bottleneck(a, b, bound)
    assert not bottleneck(a, [(x - 0.5, y + 0.5) for x, y in a], bound)


def bottleneck(a: list, b: list, bound: float) -> bool:
    """Whether points can be matched, to each other or to the diagonal, each within `bound`."""
    if not a:
        return all(d - c <= 2 * bound + 1e-12 for c, d in b)
    (x, y), rest = a[0], a[1:]
    near = [p for p in b if max(abs(p[0] - x), abs(p[1] - y)) <= bound + 1e-12]
    if any(bottleneck(rest, [q for q in b if q is not p], bound) for p in near):
        return True
    return y - x <= 2 * bound + 1e-12 and bottleneck(rest, b, bound)


# ------------------------------------------------------------------- errors and diverged points


def test_pairs_within_two_standard_errors_are_flagged_and_filled_up() -> None:
    # kills: a threshold of one error, or of the error of one point alone; SMAD over filled pairs
    x = np.arange(7.0)
    heights = np.array([0.0, 5.0, 4.0, 4.5, 4.2, 6.0, 1.0])
    error = 0.15  # of a difference: 0.212, twice that is 0.424
    found = td.topology(surface(lambda _: heights, x, error=error))
    by_birth = dict(zip(found.birth.values, found.significant.values, strict=True))
    assert by_birth == {0.0: 1, 1.0: 1, 4.0: 1, 4.2: 0}
    assert np.allclose(found.persistence_error.values[1:], error * np.sqrt(2))
    assert float(found.smad) == pytest.approx((5.0 + 0.5 + 0.3 + 5.0) / 4)
    assert float(found.significant_smad) == pytest.approx((5.0 + 1.0 + 5.0) / 3)
    assert found.attrs["significant_minima"] == 3
    assert float(found.smad_error) == pytest.approx(error * np.sqrt(2))


def test_a_minimum_that_is_filled_up_has_no_saddle_of_its_own() -> None:
    # kills: SMAD over minima that are not significant but had joined a significant one
    # Minima 0, 1 and 2; 2 joins 1 at 3, which joins 0 at 4 with an error as large as itself.
    result = surface(lambda _: np.array([0.0, 4.0, 1.0, 3.0, 2.0]), np.arange(5.0), error=0.1)
    result["loss_error"][2] = 5.0
    assert float(td.topology(result).significant_smad) == pytest.approx(3.0 - 2.0)


def test_diverged_points_are_walls() -> None:
    # kills: a minimum inside a diverged region; a saddle through one
    def walled(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(np.abs(x) < 0.21, np.inf, bowl(np.abs(x) - 0.5, y) + 0.3 * (x > 0))

    found = td.topology(surface(walled))
    assert [d for _, d in pairs(found)] == [np.inf, np.inf]
    assert found.attrs["regions"] == 2
    assert found.attrs["diverged"] == 9 * 41
    assert float(found.basin_share.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        (lambda r: r.isel(alpha=0, beta=0), InvalidArgument, "E-Q02"),
        (lambda r: r.drop_vars("loss"), InvalidArgument, "E-Q02"),
        (lambda r: r.drop_vars("alpha"), InvalidArgument, "E-Q02"),
        (lambda r: r.isel(alpha=slice(None, None, -1)), InvalidArgument, "E-Q03"),
        (lambda r: r.assign(status=0 * r.status), InvalidData, "E-Q05"),
        (lambda r: r.assign(status=0 * r.status + 2), InvalidData, "E-Q06"),
    ],
)
def test_what_is_no_grid_is_refused(change, error, code: str) -> None:
    with pytest.raises(error) as caught:
        td.topology(change(surface(bowl)))
    assert caught.value.code == code


def test_unknown_neighbors_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="neighbors must be one of") as caught:
        td.topology(surface(bowl), neighbors="eight")
    assert caught.value.code == "E-Q04"


def test_what_is_returned_survives_the_disk(tmp_path) -> None:
    # kills: an attribute or variable netCDF cannot hold
    found = td.topology(surface(double_well, error=0.01))
    found.to_netcdf(tmp_path / "t.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "t.nc", engine="h5netcdf") as back:
        assert back.identical(found) or back.equals(found)
        assert back.attrs["threshold"] == "2 standard errors"
    assert all(v.attrs["long_name"] for v in found.data_vars.values())
