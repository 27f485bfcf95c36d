"""Matched units. Oracles: planted permutations; every order of few units; NumPy's correlations."""

from __future__ import annotations

from itertools import permutations as orders

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from connectivity.matching_cases import CASES, objective, squared, two_layers
from theodolite.errors import InvalidArgument, UnsupportedModel

METHODS = ("weights", "activations", "straight-through")


def planted(made: td.Objective, found: td.Symmetries, seed: int) -> dict[str, Tensor]:
    return found.apply(made.model.state_dict(), found.random(seed))


TRIALS = {"perceptron": 10, "transformer": 2, "BatchNorm": 2, "residual": 1, "tied": 2}


@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name in sorted(CASES)
        for method in METHODS
        if name in ("perceptron", "BatchNorm") or method == "activations"
    ],
)
def test_planted_permutations_come_back(name: str, method: str) -> None:
    # Kills: correlations transposed; rows of one net against other examples of the other; heads
    # without their units; running statistics left behind by the point.
    made = objective(name)
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    state = made.model.state_dict()
    recovered = 0
    for seed in range(TRIALS[name]):
        other = planted(made, found, seed + 100)
        matching = td.match(made, state, other, symmetries=found, method=method, starts=1, steps=1)
        recovered += matching.distance == 0.0
        assert matching.score >= matching.score_before
        if matching.distance == 0.0:
            assert all(torch.equal(matching.point[n], t) for n, t in state.items() if t.dim())
            assert matching.midpoint == pytest.approx(float(midpoint(made, state, state)), rel=1e-6)
    assert recovered >= 0.9 * TRIALS[name]


def midpoint(made: td.Objective, a: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
    half = [made.space.flatten(s) / 2 for s in (a, b)]
    norms = any("running" in n for n in a)
    return (made.with_batch_norm("recompute") if norms else made).value(sum(half))


def pair(seed: int) -> tuple[td.Objective, dict[str, Tensor], dict[str, Tensor]]:
    a, b = two_layers(seed), two_layers(seed + 50)
    x = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    made = td.Objective(a, squared, (x, torch.zeros(30, 2, dtype=torch.float64)), batch_size=7)
    return made, a.state_dict(), b.state_dict()


@pytest.mark.parametrize("seed", range(3))
def test_activations_have_the_best_sum_of_correlations(seed: int) -> None:
    # All 24 orders, correlations by NumPy over all data at once. Kills: means that are those of
    # batches; a covariance in place of a correlation; pre-activations left out.
    made, a, b = pair(seed)
    x = torch.cat([batch.inputs[0] for batch in made.data])
    tables = []
    for z in (lambda s: x @ s["0.weight"].T + s["0.bias"], lambda s: z0(s, x)):
        mine, its = z(a).numpy().T, z(b).numpy().T
        tables.append(np.corrcoef(mine, its)[:4, 4:])
    table = sum(tables)
    best = max(orders(range(4)), key=lambda p: sum(table[i, p[i]] for i in range(4)))
    found = td.match(made, a, b, method="activations")
    (permutation,) = found.permutations.values()
    assert permutation.tolist() == list(best)
    assert found.score == pytest.approx(sum(table[i, best[i]] for i in range(4)), rel=1e-9)
    assert found.score_before == pytest.approx(np.trace(table), rel=1e-9)


def z0(state: dict[str, Tensor], x: Tensor) -> Tensor:
    return torch.tanh(x @ state["0.weight"].T + state["0.bias"])


def test_activations_that_are_overwritten_count_as_they_were() -> None:
    # Kills: activations kept without a copy, which a rectifier in place then changes.
    made, a, b = pair(1)
    scores = []
    for inplace in (False, True):
        made.model[1] = nn.ReLU(inplace)
        rectified = td.Objective(made.model, squared, (*next(iter(made.data)).inputs, Y))
        scores.append(td.match(rectified, a, b, method="activations").score_before)
    assert scores[0] == pytest.approx(scores[1], rel=1e-12)


Y = torch.zeros(7, 2, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_learned_permutations_have_no_higher_midpoint(seed: int) -> None:
    # Kills: a last permutation kept instead of the best; the midpoint of the unpermuted point.
    made, a, b = pair(seed)
    weights = td.match(made, a, b)
    learned = td.match(made, a, b, method="straight-through", steps=20)
    assert learned.midpoint <= min(weights.midpoint, weights.midpoint_before)
    assert learned.midpoint == pytest.approx(float(midpoint(made, a, learned.point)), rel=1e-12)
    assert learned.score == -learned.midpoint
    every = []
    found = weights.symmetries
    for order in orders(range(4)):
        moved = found.apply(b, {found.groups[0].name: torch.tensor(order)})
        every.append(float(midpoint(made, a, moved)))
    assert min(every) - 1e-12 <= learned.midpoint <= weights.midpoint_before


def test_the_same_seed_gives_the_same_permutations_and_leaves_the_model_alone() -> None:
    made = objective("BatchNorm")
    state = {n: t.clone() for n, t in made.model.state_dict().items()}
    other = objective("BatchNorm", seed=1).model.state_dict()
    made.model.train()
    before = torch.random.get_rng_state()
    for method in METHODS:
        one, two = (td.match(made, state, other, method=method, steps=3) for _ in range(2))
        assert all(torch.equal(p, two.permutations[n]) for n, p in one.permutations.items())
        assert one.midpoint == two.midpoint
    assert made.model.training
    assert all(p.grad is None for p in made.model.parameters())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(state[n], t) for n, t in made.model.state_dict().items())


def test_vectors_are_matched_as_states_and_given_back_as_vectors() -> None:
    made, a, b = pair(0)
    by_state = td.match(made, a, b)
    by_vector = td.match(made, made.space.flatten(a), made.space.flatten(b))
    assert torch.equal(by_vector.point, made.space.flatten(by_state.point))
    assert by_vector.distance == pytest.approx(by_state.distance, rel=1e-12)


def test_units_of_a_frozen_parameter_stay() -> None:
    # Kills: a permutation of the trainable side alone, which changes the function.
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    model[0].weight.requires_grad_(False)
    x = torch.randn(9, 3)
    made = td.Objective(model, squared, (x, torch.zeros(9, 2)))
    other = made.start + torch.randn(made.space.size)
    found = td.match(made, made.start, other)
    assert list(found.permutations) == ["2.weight[0]"]
    assert float(made.value(found.point)) == pytest.approx(float(made.value(other)), rel=1e-6)


def test_a_key_bias_takes_no_part_in_distances_that_are_compared() -> None:
    # The bias of keys under a softmax is without effect: noise in it must not move units.
    # Kills: dead parameters in the score.
    made = objective("transformer")
    state = made.model.state_dict()
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    other = planted(made, found, 7)
    for which in (state, other):
        which["blocks.0.attention.qkv.bias"][12:24] = 1e3 * torch.randn(12)
    matching = td.match(made, state, other, symmetries=found)
    gaps = {n: float((matching.point[n] - t).abs().max()) for n, t in state.items()}
    assert [n for n, gap in gaps.items() if gap] == ["blocks.0.attention.qkv.bias"]


def test_groups_without_activations_are_matched_by_weights() -> None:
    made = recurrent()
    found = td.symmetries(made.model, next(iter(made.data)).inputs)
    state = made.model.state_dict()
    other = planted(made, found, 3)
    matching = td.match(made, state, other, symmetries=found, method="activations")
    assert matching.unseen
    assert matching.distance == 0.0


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


def recurrent() -> td.Objective:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return td.Objective(Recurrent(), squared, (torch.randn(8, 4, 3), torch.zeros(8, 2)))


class Turning(nn.Module):
    """Does one operation more on a batch of another size."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1.0 if len(x) == 3 else x
        return self.last(torch.tanh(self.first(x)))


def test_what_cannot_be_matched_is_refused_by_name() -> None:
    made, a, b = pair(0)
    with pytest.raises(InvalidArgument, match="E-A58"):
        td.match(made, a, b, method="magic")
    with pytest.raises(InvalidArgument, match=r"learning_rate must be positive.*E-A58"):
        td.match(made, a, b, learning_rate=0.0)
    with pytest.raises(InvalidArgument, match="E-A01"):
        td.match(made, a, b, starts=0)
    with pytest.raises(InvalidArgument, match="E-A55"):
        td.match(made, a, b, symmetries=td.symmetries(nn.Linear(2, 2), torch.ones(1, 2)))
    with pytest.raises(InvalidArgument, match="E-A55"):
        td.match(made, a, b, symmetries="weights")
    turning = td.Objective(Turning(), squared, (torch.randn(8, 3), torch.zeros(8, 2)), batch_size=5)
    with pytest.raises(UnsupportedModel, match="E-A54"):
        td.match(turning, turning.start, turning.start + 1, method="activations")


def test_a_loss_that_does_not_call_the_model_is_refused() -> None:
    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return model[0](batch[0]).square().mean()

    made = td.Objective.from_batch_loss(two_layers(0), loss, [[torch.ones(4, 3).double()]])
    with pytest.raises(InvalidArgument, match="E-A56"):
        td.match(made, made.start, made.start)
