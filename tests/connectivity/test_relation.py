"""Verdicts on points whose relation is known: permuted copies, wells, rings, frozen units."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import at, classes, double_well, normalized
from theodolite.connectivity.matched import usable_units
from theodolite.connectivity.matches import moved_to, permutations_in, unit_matching
from theodolite.connectivity.units import example_inputs
from theodolite.errors import InvalidArgument

FEW = {"steps": 9, "refine": 2, "resamples": 40, "curve_steps": 80}


def test_a_double_well_has_no_units_and_is_distinct():
    """Oracle: (w^2 - 1)^2 between -1 and 1 is 1 high, on any path. Kills: no units left open."""
    found = td.relation(double_well(), at(-1.0), at(1.0), threshold=0.1, **FEW)
    assert found.attrs["verdict"] == "distinct"
    assert float(found.barrier) == pytest.approx(1.0)
    assert float(found.curve_excess) == pytest.approx(1.0, abs=0.02)
    assert math.isnan(float(found.aligned_barrier))
    assert "no units of the model can change places" in found.attrs["not_aligned"]


def test_the_threshold_of_the_double_well_is_a_share_of_its_gain():
    """Oracle: L(0) = 1 and L(1) = 0, so 0.02. Kills: a threshold from the ends alone."""
    found = td.relation(double_well(), at(-1.0), at(1.0), kind="none", align="none", **FEW)
    assert float(found.threshold) == pytest.approx(0.02)
    assert found.attrs["verdict"] == "undecided"
    assert found.attrs["candidates"] == [
        "same up to permutation",
        "joined only by a curve",
        "distinct",
    ]
    same = td.relation(double_well(), at(1.0), at(1.0), **FEW)
    assert same.attrs["verdict"] == "same basin"
    assert math.isnan(float(same.curve_excess))  # what decides comes first, the rest is not made


class Ring(nn.Module):
    """Zero loss on a circle: a curve leads around, a line does not."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * ((self.w * torch.tensor([1.0, 2.0])).square().sum() - 1)


def test_opposite_points_of_a_ring_are_joined_only_by_a_curve():
    """Oracle: the ellipse w0^2 + 4 w1^2 = 1 joins them at zero loss; its axes do not exchange."""
    one = torch.ones(4, 1, dtype=torch.float64)
    ring = td.Objective(Ring(), nn.MSELoss(), (one, 0 * one))
    ends = torch.tensor([[1.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    how = {**FEW, "curve_steps": 600}
    found = td.relation(ring, *ends, threshold=0.01, learning_rate=0.02, **how)
    assert float(found.barrier) == pytest.approx(0.25, abs=1e-6)
    assert found.attrs["verdict"] == "joined only by a curve"
    assert float(found.curve_excess) < 0.01


def batch_norm_pair() -> tuple[td.Objective, dict, dict, object]:
    model = normalized(3)
    x, y = classes(40)
    model.train()
    model(x)
    model.eval()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    units = usable_units(objective)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    return objective, state, units.symmetries.apply(state, units.symmetries.random(2)), units


def test_a_permuted_copy_is_the_same_up_to_permutation_with_its_statistics():
    """Oracle: the permutation is undone. Kills: running statistics left behind by the matching."""
    objective, state, other, _ = batch_norm_pair()
    found = td.relation(objective, state, other, threshold=1e-4, test=objective, **FEW)
    assert found.attrs["verdict"] == "same up to permutation"
    assert float(found.aligned_distance) == 0.0
    assert float(found.distance) > 0.1
    assert float(found.disagreement) == 0.0
    assert "test examples" in found.attrs["sentence"]


def test_a_matching_survives_the_disk_and_is_refused_where_it_changes_the_loss():
    """Kills: groups mixed up in the flat array; a vector whose statistics stay behind."""
    objective, state, other, units = batch_norm_pair()
    found = unit_matching(objective, units, state, other)
    again = permutations_in(found)
    assert {k: v.shape for k, v in again.items()} == {
        k: v.shape for k, v in units.symmetries.identity().items()
    }
    back = moved_to(objective, units, found, other)
    assert all(torch.equal(back[k], state[k]) for k in state)
    vector = objective.space.flatten(other)
    with pytest.raises(InvalidArgument, match="changed its loss"):
        moved_to(objective, units, unit_matching(objective, units, state, vector), objective.start)


def test_frozen_parameters_hold_their_units_in_place():
    """Kills: a group permuted though a frozen member stays with the objective."""
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    model[0].bias.requires_grad_(False)
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes(20))
    units = usable_units(objective)
    state = model.state_dict()
    shuffled = dict(state)
    order = torch.tensor([1, 0, 3, 2, 5, 4])
    shuffled["0.weight"], shuffled["2.weight"] = (
        state["0.weight"][order],
        state["2.weight"][:, order],
    )
    found = unit_matching(objective, units, state, shuffled)
    assert "permutation" not in found
    assert "no units of the model can change places" in found.attrs["not_measured"]


class Parts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return scale * self.inner(x)


def test_inputs_are_those_the_loss_calls_the_model_with():
    """Kills: arguments and keywords mixed up; a model that is never called itself."""
    data = [(torch.randn(4, 3), torch.randn(4, 2)) for _ in range(2)]

    def whole(model: nn.Module, batch: tuple) -> torch.Tensor:
        return (model(batch[0], scale=2.0) - batch[1]).square().mean()

    def inner(model: nn.Module, batch: tuple) -> torch.Tensor:
        return (model.inner(batch[0]) - batch[1]).square().mean()

    found = example_inputs(td.Objective.from_batch_loss(Parts(), whole, data))
    assert set(found) == {"x", "scale"}
    assert torch.equal(found["x"], data[0][0])
    around = td.Objective.from_batch_loss(Parts(), inner, data)
    assert "does not call the model" in usable_units(around).why


@pytest.mark.parametrize(
    ("how", "code"),
    [({"align": "magic"}, "E-A14"), ({"kind": "arc"}, "E-A16"), ({"threshold": -1.0}, "E-A16")],
)
def test_nonsense_is_refused_by_name(how, code):
    with pytest.raises(InvalidArgument, match=code):
        td.relation(double_well(), at(-1.0), at(1.0), **how)
