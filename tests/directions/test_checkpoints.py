"""Directions from one point to others.

Oracle: the points themselves: ``theta + d`` is the other point, and the loss there its own loss.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.directions import left_behind, point_of
from theodolite.errors import InvalidArgument, InvalidType, NotFinite

from .networks import DTYPES, NAMES, network, objective


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_one_is_the_other_checkpoint(name, dtype):
    # kills: theta - w, a rescaled axis, tied weights moved twice, buffers in the direction
    made = objective(name, dtype)
    others = [network(name, seed).to(dtype) for seed in (1, 2)]
    axes = td.between(made, [m.state_dict() for m in others])
    assert axes.dtype == dtype
    assert axes.shape == (2, made.space.size)
    surface = td.plane(made, axes, span=((0, 1), (0, 1)), steps=(2, 2))
    direct = [float(objective(name, dtype, m).value()) for m in others]
    rounding = 50 * torch.finfo(dtype).eps
    assert float(surface.loss[1, 0]) == pytest.approx(direct[0], rel=rounding)
    assert float(surface.loss[0, 1]) == pytest.approx(direct[1], rel=rounding)
    assert float(surface.loss[0, 0]) == float(made.value())


def test_directions_begin_where_they_are_told_to():
    # kills: the start in place of theta
    made = objective(NAMES[0])
    first, second = (network(NAMES[0], k).double().state_dict() for k in (1, 2))
    theta = made.space.flatten(first)
    axis = td.between(made, [second], theta=first)
    assert torch.equal(axis[0], made.space.flatten(second) - theta)
    assert torch.equal(axis, td.between(made, [made.space.flatten(second)], theta=theta))


def test_nothing_is_narrowed():
    # kills: float64 weights rounded to the float32 of the model
    made = objective(NAMES[1], torch.float32)
    wide = {k: v.double() for k, v in network(NAMES[1], 1).state_dict().items()}
    wide["4.bias"] = wide["4.bias"] + 1e-12
    axis = td.between(made, [wide])
    assert axis.dtype == torch.float64
    assert torch.equal(axis[0], made.space.flatten(wide, dtype=torch.float64) - made.start.double())


def test_names_of_wrappers_are_taken_off():
    # kills: "module." left on, or only one of two prefixes taken off
    made = objective(NAMES[1])
    state = network(NAMES[1], 1).double().state_dict()
    wrapped = {f"_orig_mod.module.{k}": v for k, v in state.items()}
    assert torch.equal(td.between(made, [wrapped]), td.between(made, [state]))


def test_a_layer_called_module_keeps_its_name():
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module, self.other = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x):
            return self.module(x) + self.other(x)

    model = Holder()
    made = td.Objective(model, nn.MSELoss(), (torch.randn(3, 2), torch.zeros(3, 1)))
    assert torch.equal(point_of(made, model.state_dict(), "point"), made.start)


def test_what_does_not_move_along_is_named():
    # kills: statistics of a checkpoint taken for the objective's, counters reported
    made = objective(NAMES[1])
    other = network(NAMES[1]).double()
    assert left_behind(made, other.state_dict()) == ()
    other[1].running_var.mul_(2)
    other[1].num_batches_tracked.add_(5)
    assert left_behind(made, other.state_dict()) == ("1.running_var",)
    again = td.Objective(
        network(NAMES[1]).double(),
        nn.CrossEntropyLoss(),
        [b.raw for b in made.data],
        batch_norm="recompute",
    )
    assert left_behind(again, other.state_dict()) == ()


def test_a_frozen_layer_of_other_values_is_named():
    model = network(NAMES[1]).double()
    model[0].requires_grad_(False)
    made = objective(NAMES[1], model=model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].bias.add_(1)
    assert left_behind(made, other.state_dict()) == ("0.bias",)
    assert "0.bias" not in made.space.names


def test_the_model_and_the_points_stay_as_they_are():
    model, other = network(NAMES[0]).double(), network(NAMES[0], 1).double()
    made = objective(NAMES[0], model=model)
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in (model, other)]
    axis = td.between(made, [other.state_dict()])
    axis.mul_(3)
    for m, b in zip((model, other), before, strict=True):
        assert all(torch.equal(v, b[k]) for k, v in m.state_dict().items())


def refused(case: str) -> object:
    made = objective(NAMES[1])
    one = made.start + 1
    broken = one.clone()
    broken[3] = np.nan
    return {
        "none": lambda: td.between(made, []),
        "three": lambda: td.between(made, [one, one, one]),
        "itself": lambda: td.between(made, [one, made.start]),
        "single": lambda: td.between(made, one),
        "state": lambda: td.between(made, network(NAMES[1]).state_dict()),
        "path": lambda: td.between(made, ["weights.pt"]),
        "shape": lambda: td.between(made, [one[1:]]),
        "other": lambda: td.between(made, [network(NAMES[0]).state_dict()]),
        "nan": lambda: td.between(made, [broken]),
    }[case]()


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("none", InvalidArgument, "one or two points, an axis each; got 0"),
        ("three", InvalidArgument, "got 3.*(?s:.*)plane_through"),
        ("itself", InvalidArgument, r"checkpoints\[1\] is theta itself"),
        ("single", InvalidType, r"list of points; got a single Tensor"),
        ("state", InvalidType, "got a single OrderedDict"),
        ("path", InvalidType, r"(?s)state dict; got str.*load_state"),
        ("shape", InvalidArgument, r"checkpoints\[0\] must have shape"),
        ("other", InvalidArgument, "do not fit the model's parameters"),
        ("nan", NotFinite, r"checkpoints\[0\] must be finite; coordinate 3"),
    ],
)
def test_other_points_are_refused(case, error, message):
    with pytest.raises(error, match=message):
        refused(case)
