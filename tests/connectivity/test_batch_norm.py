"""Running statistics along a segment. Oracles: averaged state dicts, and an invariance."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.paths import classes, normalized
from theodolite.errors import InvalidData


def trained_statistics(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """The model with the statistics of `x` (a pass in training mode, without momentum)."""
    model[1].momentum = None
    model[1].reset_running_stats()
    model.train()(x)
    return model.eval()


def test_frozen_statistics_are_averaged_as_checkpoints_are():
    # kills: the objective's own statistics at every place; those of one end
    x, y = classes()
    a, b = (trained_statistics(normalized(k), x) for k in (1, 2))
    objective = td.Objective(normalized(), nn.CrossEntropyLoss(), (x, y))
    found = td.barrier(objective, a.state_dict(), b.state_dict(), steps=5, refine=0)
    for alpha in found.alpha.values:
        mixed = copy.deepcopy(a)
        first, second = a.state_dict(), b.state_dict()
        mixed.load_state_dict(
            {k: torch.lerp(v.double(), second[k].double(), alpha) for k, v in first.items()}
        )
        loss = float(nn.functional.cross_entropy(mixed(x), y).detach())
        assert float(found.loss.sel(alpha=alpha)) == pytest.approx(loss, rel=1e-12)
    assert found.attrs["statistics"] == "interpolated"


def test_recomputed_statistics_show_no_barrier_where_the_function_is_one():
    # kills: statistics mixed although they are recomputed. BatchNorm takes the scale of the layer
    # before it out: on the way from W to 4 W the function stays the same (but for its epsilon).
    x, y = classes(60)
    a = normalized(1)
    a[1].eps = 1e-14
    b = copy.deepcopy(a)
    with torch.no_grad():
        b[0].weight.mul_(4)
        b[0].bias.mul_(4)
        a[1].bias.fill_(0.7)
        b[1].bias.fill_(0.7)
    a, b = trained_statistics(a, x), trained_statistics(b, x)
    frozen = td.Objective(a, nn.CrossEntropyLoss(), (x, y))
    ends = [m.state_dict() for m in (a, b)]
    # the statistics of a pass in training mode have the unbiased variance, the recomputed not
    kept = td.barrier(frozen, *ends, steps=9)
    made = td.barrier(frozen.with_batch_norm("recompute"), *ends, steps=9)
    assert float(made.barrier) <= 1e-12
    assert made.attrs["statistics"] == "recomputed"
    assert float(abs(made.loss - made.loss[0]).max()) <= 1e-12
    assert float(abs(kept.loss - kept.loss[0]).max()) > 1e-2
    deviation = (0.5 + 0.5 * 16) ** 0.5 / (0.5 + 0.5 * 4)  # how much too large it is half-way
    half = copy.deepcopy(a)
    with torch.no_grad():
        half[1].weight.div_(deviation)
    loss = float(nn.functional.cross_entropy(half(x), y).detach())
    assert float(kept.loss.sel(alpha=0.5)) == pytest.approx(loss, rel=1e-9)


def test_flat_points_come_with_the_objectives_own_statistics():
    x, y = classes()
    objective = td.Objective(trained_statistics(normalized(), x), nn.CrossEntropyLoss(), (x, y))
    b = objective.start * 1.5
    found = td.barrier(objective, objective.start, b, steps=3, refine=0)
    assert found.attrs["statistics"] == "kept"
    assert float(found.loss[-1]) == float(objective.value(b))


def test_statistics_of_another_shape_are_refused():
    x, y = classes()
    objective = td.Objective(normalized(), nn.CrossEntropyLoss(), (x, y))
    bad = normalized(1).state_dict()
    bad["1.running_var"] = torch.ones(3)
    with pytest.raises(InvalidData, match=r"1\.running_var of b"):
        td.barrier(objective, objective.start, bad)
