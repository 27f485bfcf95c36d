"""Minima, basins and pairs of grids with no structure at all.

Oracles: persistence by its definition, component by component (scipy.ndimage.label);
scipy.ndimage's minimum filter; walking down by hand.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

import theodolite as td

from .planted import noise

RULES = ("axes", "triangulated", "all")


def structure(dims: int, rule: str) -> np.ndarray:
    """The neighborhood as an array of three places a side, written down by its definition."""
    found = np.zeros((3,) * dims, dtype=bool)
    for offset in itertools.product((-1, 0, 1), repeat=dims):
        near = {
            "axes": sum(map(abs, offset)) <= 1,
            "all": True,
            "triangulated": min(offset) >= 0 or max(offset) <= 0,
        }[rule]
        found[tuple(o + 1 for o in offset)] = near
    return found


def by_definition(values: np.ndarray, rule: str) -> list[tuple[float, float]]:
    """Births and deaths from the components of every sublevel set, one level after the other."""
    alive: dict[float, float] = {}
    dead = []
    for level in np.sort(values.reshape(-1)):
        labels, count = ndimage.label(values <= level, structure(values.ndim, rule))
        lowest = [float(values[labels == k + 1].min()) for k in range(count)]
        for birth in sorted(set(alive) - set(lowest)):
            dead.append((birth, float(level)))
            del alive[birth]
        alive |= dict.fromkeys(lowest, 0.0)
    born_and_gone = [p for p in dead if p[0] != p[1]]
    return sorted([*born_and_gone, *((b, np.inf) for b in alive)])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(24,), (6, 7), (4, 3, 4), (2, 3, 2, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_those_of_the_definition(shape, rule: str, seed: int) -> None:
    # kills: any wrong neighbor, order of passes, union or elder
    result = noise(*shape, seed=seed)
    found = td.topology(result, neighbors=rule)
    both = zip(found.birth.values.tolist(), found.death.values.tolist(), strict=True)
    assert sorted(both) == by_definition(result.loss.values, rule)


@pytest.mark.parametrize("rule", RULES)
def test_minima_are_those_of_a_minimum_filter(rule: str) -> None:
    # kills: descent that stops early; a neighbor left out on one side
    result = noise(15, 11, seed=5)
    values = result.loss.values
    low = ndimage.minimum_filter(values, footprint=structure(2, rule), mode="constant", cval=np.inf)
    assert sorted(td.topology(result, neighbors=rule).birth.values) == sorted(values[values == low])


@pytest.mark.parametrize("rule", RULES)
def test_basins_are_those_of_walking_down_by_hand(rule: str) -> None:
    # kills: a basin credited to another minimum
    result = noise(9, 8, seed=6)
    values, near = result.loss.values, np.argwhere(structure(2, rule)) - 1

    def end(at: tuple[int, ...]) -> float:
        places = [tuple(np.array(at) + o) for o in near]
        inside = [
            p for p in places if all(0 <= v < s for v, s in zip(p, values.shape, strict=True))
        ]
        low = min(inside, key=lambda p: values[p])
        return float(values[at]) if low == at else end(low)

    ends = [end(at) for at in np.ndindex(values.shape)]
    found = td.topology(result, neighbors=rule)
    assert found.basin_share.values.tolist() == [
        ends.count(b) / values.size for b in found.birth.values
    ]
