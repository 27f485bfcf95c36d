"""Merging of several points. Oracles: planted permutations; sums of squared distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from connectivity.matching_cases import objective
from theodolite.connectivity.merging import _after
from theodolite.errors import InvalidArgument, InvalidType


@pytest.mark.parametrize("name", ["perceptron", "BatchNorm", "transformer"])
def test_permuted_copies_come_back_to_the_first(name: str) -> None:
    # Kills: the first point moved; buffers left out of the mean, or permuted without their units.
    made = objective(name)
    state = made.model.state_dict()
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    points = [found.apply(state, found.random(k)) for k in (1, 2, 3)]
    merged = td.merge(made, points, seed=3)
    assert float(merged.distances.max()) == 0.0
    assert merged.distances_before[0, 1] > 0.1
    for point in (*merged.points, merged.mean):
        assert all(torch.equal(point[n], t) for n, t in points[0].items())
    first = merged.permutations[0]
    assert all(torch.equal(first[n], p) for n, p in found.identity().items())


@pytest.mark.parametrize("name", ["perceptron", "transformer"])
def test_one_order_after_another_is_both_in_one(name: str) -> None:
    # Kills: permutations composed in the wrong order; units of heads composed at the places where
    # the heads are before the second permutation moves them.
    made = objective(name)
    state = made.model.state_dict()
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    first, second = found.random(1), found.random(2)
    twice = found.apply(found.apply(state, first), second)
    once = found.apply(state, _after(found, first, second))
    assert all(torch.equal(once[n], t) for n, t in twice.items())


def test_each_point_is_at_its_best_place_beside_the_mean_of_the_others() -> None:
    # The definition of a fixed point, by weight matching of its own. Kills: a mean over all
    # points; a round that ends before a point was looked at.
    made = objective("perceptron")
    noise = torch.Generator().manual_seed(1)
    points = [torch.randn(made.space.size, generator=noise) for _ in range(4)]
    merged = td.merge(made, points)
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    before, after = ((d**2).sum() for d in (merged.distances_before, merged.distances))
    assert after < before
    assert np.allclose(np.diag(merged.distances), 0)
    assert torch.allclose(merged.mean, torch.stack(merged.points).mean(0), rtol=1e-6, atol=1e-6)
    assert torch.equal(merged.points[0], points[0])
    for k in range(4):
        others = torch.stack([p for j, p in enumerate(merged.points) if j != k]).mean(0)
        matching = td.weight_matching(found, others, merged.points[k], starts=1)
        here = float((others - merged.points[k]).double().norm())
        assert matching.distance >= 0.98 * here  # another start may end a little nearer
    again = td.merge(made, points)
    assert torch.equal(again.mean, merged.mean)


def test_too_few_points_are_refused() -> None:
    made = objective("perceptron")
    with pytest.raises(InvalidType, match="E-A60"):
        td.merge(made, made.start)
    with pytest.raises(InvalidArgument, match="E-A60"):
        td.merge(made, [made.start])
