"""Matching of units.

Oracles: permutations planted by hand, which must come back exactly; brute force over all orders
of a small network; the definition of the distance.
"""

from __future__ import annotations

from itertools import permutations as orders

import pytest
import torch
from tests.symmetry.architectures import ARCHITECTURES, built, discovered
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument

SLOW = {
    "swin",
    "torch_transformer",
    "resnet8_group",
    "resnet14",
    "resnet8_layer",
    "encoder_decoder",
}


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - SLOW))
def test_planted_permutations_are_recovered(name: str) -> None:
    # Kills: scores transposed (the inverse comes back).
    (model, _), found = built(name), discovered(name)
    state = model.state_dict()
    planted = found.apply(state, found.random(seed=11))
    matching = td.weight_matching(found, state, planted, starts=1)
    assert matching.distance == 0 < matching.distance_before
    back = found.apply(planted, matching.permutations)
    assert all(torch.equal(back[n], t) for n, t in state.items() if "running" not in n)


def noisy(seed: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    return tuple(  # type: ignore[return-value]
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        for _ in range(2)
    )


@pytest.mark.parametrize("seed", range(4))
def test_unrelated_nets_come_as_near_as_any_order_brings_them(seed: int) -> None:
    # All 24 x 6 orders. Kills: a score that leaves out one side of the units; a sweep that
    # stops early. With eight starts the optimum of so small a net is always found.
    a, b = noisy(seed)
    found = td.symmetries(a, torch.randn(2, 3))
    first, second = (g.name for g in found.groups)

    def apart(p: tuple[int, ...], q: tuple[int, ...]) -> float:
        moved = found.apply(b.state_dict(), {first: torch.tensor(p), second: torch.tensor(q)})
        gaps = [(moved[n].double() - t.double()).square().sum() for n, t in a.state_dict().items()]
        return float(sum(gaps)) ** 0.5

    best = min(apart(p, q) for p in orders(range(4)) for q in orders(range(3)))
    matching = td.weight_matching(found, a.state_dict(), b.state_dict(), starts=8)
    assert matching.distance == pytest.approx(best, rel=1e-9)
    assert matching.distance_before == pytest.approx(apart((0, 1, 2, 3), (0, 1, 2)), rel=1e-9)


def test_a_match_is_never_further_away() -> None:
    # Recurrent weights have their units on both sides. Kills: updates taken that do not improve,
    # which never end.
    (model, _), found = built("gru"), discovered("gru")
    torch.manual_seed(9)
    other = {n: torch.randn_like(t) for n, t in model.state_dict().items()}
    matching = td.weight_matching(found, model.state_dict(), other, starts=1)
    assert matching.distance <= matching.distance_before
    assert matching.sweeps < 50


def test_vectors_are_matched_as_states_are() -> None:
    a, b = noisy(0)
    found, space = td.symmetries(a, torch.randn(2, 3)), td.ParameterSpace.from_model(a)
    by_state = td.weight_matching(found, a.state_dict(), b.state_dict())
    by_vector = td.weight_matching(
        found, space.flatten(a.state_dict()), space.flatten(b.state_dict())
    )
    assert by_vector.distance == pytest.approx(by_state.distance, rel=1e-12)


def test_no_start_is_refused() -> None:
    a, b = noisy(0)
    found = td.symmetries(a, torch.randn(2, 3))
    with pytest.raises(InvalidArgument, match="E-A52"):
        td.weight_matching(found, a.state_dict(), b.state_dict(), starts=0)
