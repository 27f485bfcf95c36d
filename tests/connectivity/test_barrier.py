"""Barriers on straight segments. Oracles: curves of one weight in closed form, the objective."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import at, classes, curve, double_well, normalized
from theodolite.errors import InvalidArgument, InvalidType, NotFinite, TheodoliteWarning
from theodolite.testing.objectives import CASES


def test_a_double_well_has_the_barrier_of_its_middle():
    # kills: a sign, the mean for the chord, an area without the chord
    found = td.barrier(double_well(), at(-1.0), at(1.0))
    assert float(found.barrier) == float(found.instability) == float(found.saddle_excess) == 1.0
    assert float(found.area) == pytest.approx(8 / 15, rel=5e-4)
    assert found.loss.values[[0, -1]].tolist() == [0.0, 0.0]
    assert found.attrs["distance"] == 2.0
    assert found.attrs["cosine"] == -1.0


def test_the_three_measures_differ_as_their_definitions_where_the_ends_do():
    # kills: one measure for another; a maximum read off the grid. From w = -1 to w = 1/2 the loss
    # ends at 9/16 and is highest, 1, at w = 0; the rise above the chord is highest elsewhere.
    found = td.barrier(double_well(), at(-1.0), at(0.5), steps=8, refine=12)
    roots = np.roots([4.0, 0.0, -4.0, -0.375])  # where the slope is that of the chord
    inner = min(roots.real, key=abs)
    rise = (inner**2 - 1) ** 2 - 0.375 * (inner + 1)
    assert float(found.barrier) == pytest.approx(rise, abs=1e-6)
    assert float(found.instability) == pytest.approx(1 - 9 / 32, abs=1e-6)
    assert float(found.saddle_excess) == pytest.approx(1 - 9 / 16, abs=1e-6)


def test_a_quadratic_has_no_barrier_and_the_area_of_its_sagging():
    # kills: a clamped area, a barrier below zero. The loss is w'Hw / 2.
    x = torch.tensor([[1.0, 0.0], [0.0, math.sqrt(2.0)]], dtype=torch.float64)
    model = nn.Linear(2, 1, bias=False).double()
    bowl = td.Objective(model, nn.MSELoss(), (x, torch.zeros(2, 1, dtype=torch.float64)))
    a, b = torch.tensor([1.0, 2.0]).double(), torch.tensor([-2.0, 3.0]).double()
    hessian, gap = torch.diag(torch.tensor([1.0, 2.0]).double()), b - a
    found = td.barrier(bowl, a, b, steps=201, refine=0)
    assert [float(found[k]) for k in ("barrier", "saddle_excess")] == [0.0, 0.0]
    assert float(found.instability) == pytest.approx(
        float(found.loss.max() - found.loss[[0, -1]].mean())
    )
    assert float(found.area) == pytest.approx(-float(gap @ hessian @ gap) / 12, rel=1e-4)


def test_refinement_finds_a_narrow_maximum_between_places_of_the_grid():
    # kills: no refinement, or one that stays on the grid
    center = 10.5 / 24
    peak = curve(lambda w, s: s * torch.exp(-(((w - center) / 0.03) ** 2)))
    coarse = td.barrier(peak, at(0.0), at(1.0), refine=0)
    fine = td.barrier(peak, at(0.0), at(1.0), refine=10)
    assert float(coarse.barrier) == pytest.approx(math.exp(-((0.5 / 24 / 0.03) ** 2)), rel=1e-9)
    assert float(fine.barrier) == pytest.approx(1.0, abs=1e-4)
    assert coarse.attrs["passes"] == 25
    assert 25 < fine.attrs["passes"] <= 45
    assert int(fine.refined.sum()) == fine.attrs["passes"] - 25
    assert np.all(np.diff(fine.alpha) > 0)


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_the_objective_on_the_segment(name):
    # kills: weights, a scale or uneven batches forgotten; a segment that misses its ends
    objective = CASES[name].objective()
    generator = torch.Generator().manual_seed(1)
    step = 0.1 * torch.randn(objective.space.size, generator=generator)
    a, b = objective.start, objective.start + step.to(objective.start)
    found = td.barrier(objective, a, b, steps=3, refine=0, resamples=9)
    for alpha, place in ((0.0, a), (0.5, torch.lerp(a, b, 0.5)), (1.0, b)):
        told = objective.metrics(place)
        here = found.sel(alpha=alpha)
        for one in ("loss", "loss_error", "accuracy", "accuracy_error"):
            assert (one in told) == (one in here)
            if one in told:
                assert float(here[one]) == pytest.approx(told[one], rel=1e-12, nan_ok=True)
    chord = 0.5 * float(found.loss[0] + found.loss[-1])
    rise = max(0.0, float(found.loss[1]) - chord)
    assert float(found.barrier) == pytest.approx(rise, abs=1e-12)


def test_the_error_has_a_barrier_of_its_own_and_so_has_the_test_objective():
    # kills: accuracy for error; the training curve under the name of the test's
    model = normalized()
    train, test = (td.Objective(model, nn.CrossEntropyLoss(), classes(30, k)) for k in (0, 1))
    b = -2 * train.start
    found = td.barrier(train, train.start, b, test=test, steps=9, refine=0, resamples=99)
    for prefix in ("", "test_"):
        errors = 1 - found[f"{prefix}accuracy"].values
        chord = np.linspace(errors[0], errors[-1], 9)
        assert float(found[f"{prefix}error_barrier"]) == pytest.approx((errors - chord).max())
        assert float(found[f"{prefix}error_saddle_excess"]) == pytest.approx(
            errors.max() - max(errors[0], errors[-1])
        )
    assert found.test_loss.values[4] == float(test.value(torch.lerp(train.start, b, 0.5)))
    assert float(found.area) != float(found.test_area)


def test_a_loss_that_diverges_on_the_way_leaves_no_barrier():
    # kills: an infinite or silently finite barrier
    pole = curve(lambda w, s: s / (w - 0.5).abs())
    found = td.barrier(pole, at(0.0), at(1.0))
    assert math.isnan(float(found.barrier))
    assert math.isnan(float(found.barrier_low))
    assert found.status.values.tolist().count(2) == 1
    assert math.isnan(float(found.loss.sel(alpha=0.5)))


def test_the_model_and_the_generators_are_as_before():
    model = normalized().train()
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes())
    before, generator = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    numbers = np.random.get_state()[1].copy()
    ends = [normalized(k).state_dict() for k in (1, 2)]
    found = [td.barrier(objective, *ends, steps=3, seed=4) for _ in range(2)]
    assert found[0].identical(found[1])
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert model.training
    assert torch.equal(generator, torch.get_rng_state())
    assert np.array_equal(numbers, np.random.get_state()[1])


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"steps": 2}, "E-A01"),
        ({"refine": -1}, "E-A01"),
        ({"resamples": 0}, "E-A01"),
        ({"level": 1.0}, "E-A02"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(how, code):
    with pytest.raises(InvalidArgument, match=next(iter(how))) as refused:
        td.barrier(double_well(), at(0.0), at(1.0), **how)
    assert refused.value.code == code


def test_ends_that_are_no_points_are_refused():
    with pytest.raises(InvalidType, match="a must be a flat tensor"):
        td.barrier(double_well(), "a.pt", at(1.0))
    with pytest.raises(NotFinite, match="b"):
        td.barrier(double_well(), at(0.0), at(math.nan))


def test_what_does_not_move_along_is_warned_of():
    model = normalized()
    model[0].bias.requires_grad_(False)
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes())
    other = normalized(1).state_dict()
    with pytest.warns(TheodoliteWarning, match=r"b differs .* 0.bias.*E-A03"):
        found = td.barrier(objective, model.state_dict(), other, steps=3)
    assert found.attrs["left_behind"] == ["0.bias"]
