"""What few examples cost, and where a scout of a plane would not pay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.objective.arrangement import subset
from theodolite.surfaces.overhead import share_of_a_pass
from theodolite.surfaces.scouting import MOST_PASSES, affordable, visited


def objective(model: nn.Module, wide: int, examples: int = 512) -> td.Objective:
    x, y = torch.randn(examples, wide), torch.randint(3, (examples,))
    return td.Objective(model, nn.CrossEntropyLoss(), (x, y))


def share(made: td.Objective, examples: int = 32) -> float:
    return share_of_a_pass(made, subset(made, list(range(examples))), made.start)


def test_few_examples_of_a_wide_network_cost_their_share() -> None:
    # Kills: arithmetic left out of the count; the subset's arithmetic taken for the whole's.
    model = nn.Sequential(nn.Linear(2000, 4000), nn.ReLU(), nn.Linear(4000, 3))
    assert share(objective(model, 2000)) == pytest.approx(1 / 16, rel=0.2)


def test_few_examples_of_a_deep_narrow_network_cost_nearly_as_much_as_all() -> None:
    # Kills: the count of operations left out.
    layers = [layer for _ in range(60) for layer in (nn.Linear(4, 4), nn.ReLU())]
    assert 0.9 < share(objective(nn.Sequential(*layers, nn.Linear(4, 3)), 4)) <= 1


def test_counting_leaves_the_model_as_it_was_and_repeats() -> None:
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    made = objective(model, 5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert share(made) == share(made)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize(
    ("count", "at", "lines"), [(25, 0.0625, 25), (25, 0.2, 13), (51, 0.07, 26)]
)
def test_a_scout_visits_as_many_lines_as_it_may_pay_for(count: int, at: float, lines: int) -> None:
    # Kills: the coarsest lines first; a budget of points instead of passes.
    made = affordable(count, count, at)
    assert made is not None
    assert len(made[0]) == len(made[1]) == lines
    assert lines * lines * at <= MOST_PASSES


@pytest.mark.parametrize(("count", "at"), [(25, 0.4), (51, 0.9), (501, 0.0625)])
def test_no_scout_where_it_costs_more_than_it_saves(count: int, at: float) -> None:
    # Kills: the budget or the fewest lines left out.
    assert affordable(count, count, at) is None


def test_every_line_comes_once_and_the_last_one_always() -> None:
    assert visited(10, 3) == [0, 3, 6, 9]
    assert visited(12, 3) == [0, 3, 6, 9, 11]
    assert visited(40, 1) == [*range(0, 40, 2), 39]
