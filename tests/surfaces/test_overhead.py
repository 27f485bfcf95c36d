"""What few examples cost, and where a scout of a plane would not pay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.flop_counter import FlopCounterMode

import theodolite as td
from theodolite.objective.arrangement import subset
from theodolite.surfaces.overhead import Counter, share_of_a_pass
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


class InnerGradient(nn.Module):
    """A field minus its own slope: differentiates inside its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(40, 80), nn.Linear(40, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.inner(x).tanh().sum(), x, create_graph=True)
        return self.outer(x - slope)


class NeverWatched(nn.Linear):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if _get_current_dispatch_mode() is not None:
            raise RuntimeError("this kernel runs under no dispatch mode")
        return super().forward(input)


def test_arithmetic_is_counted_as_torch_counts_it() -> None:
    # Kills: a formula given no output; operations counted in place of their arithmetic.
    x = torch.randn(4, 3, 12)
    model = nn.Sequential(nn.Conv1d(3, 12, 5), nn.ReLU(), nn.Flatten(), nn.Linear(96, 7))
    with torch.no_grad(), FlopCounterMode(display=False) as theirs:
        model(x)
    with torch.no_grad(), Counter() as ours:
        model(x)
    assert ours.work == theirs.get_total_flops() > 0


def test_a_model_that_differentiates_inside_itself_is_counted_and_measured() -> None:
    # Kills: hooks on gradients while counting, which such a model trips over.
    made = objective(InnerGradient(), 40)
    assert 1 / 16 < share(made) < 1
    plane = td.plane(made, td.random_directions(made), steps=(9, 9))
    assert np.isfinite(plane["loss"]).all()


def test_a_model_that_cannot_be_counted_is_measured_without_a_scout() -> None:
    # Kills: the error of the count passed on to the user.
    made = objective(NeverWatched(4, 3), 4)
    assert share(made) == 1
    plane = td.plane(made, td.random_directions(made), steps=(15, 15))
    assert plane.attrs["scout_points"] == 0
    assert np.isfinite(plane["loss"]).all()


@pytest.mark.parametrize(
    ("count", "at", "lines"), [(25, 0.0625, 25), (25, 0.2, 13), (51, 0.07, 26), (501, 0.0625, 26)]
)
def test_a_scout_visits_as_many_lines_as_it_may_pay_for(count: int, at: float, lines: int) -> None:
    # Kills: the coarsest lines first; a budget of points instead of passes; large grids left out.
    made = affordable(count, count, at)
    assert made is not None
    assert len(made[0]) == len(made[1]) == lines
    assert lines * lines * at <= MOST_PASSES


@pytest.mark.parametrize(("count", "at"), [(25, 0.4), (51, 0.9), (501, 0.3)])
def test_no_scout_where_it_costs_more_than_it_saves(count: int, at: float) -> None:
    # Kills: the budget or the fewest lines left out.
    assert affordable(count, count, at) is None


def test_a_long_axis_is_thinned_though_a_short_one_cannot_be() -> None:
    # Kills: one limit of strides for both axes.
    made = affordable(501, 15, 0.0625)
    assert made is not None
    assert len(made[1]) == 15
    assert 13 <= len(made[0]) < 60


def test_every_line_comes_once_and_the_last_one_always() -> None:
    assert visited(37, 3) == [*range(0, 37, 3)]
    assert visited(39, 3) == [*range(0, 39, 3), 38]
    assert visited(25, 9) == [*range(0, 25, 2)]
    assert visited(12, 9) == [*range(12)]
