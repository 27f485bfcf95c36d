"""What was seen of a model's modules is used again only while they hold the same objects."""

from __future__ import annotations

import copy
import pickle

import torch
from torch import nn

import theodolite as td
from theodolite.engines.registries import Known


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()


def test_the_same_modules_are_not_looked_through_again() -> None:
    # Kills: everything recorded anew each time; another model taken for the same.
    known, one, other = Known(), model(), model()
    seen = known.of((one,))
    assert known.of((one,)) is seen
    assert known.of((other,)) is not seen


def test_a_changed_module_is_looked_through_again() -> None:
    # Kills: attributes, hooks, children or parameters that the comparison leaves out.
    known, changed = Known(), model()
    for change in (
        lambda: changed.train(),
        lambda: changed[0].register_forward_hook(lambda *_: None),
        lambda: changed.append(nn.ReLU()),
        lambda: setattr(changed[0], "bias", nn.Parameter(torch.ones(3))),
        lambda: setattr(changed[1], "running_mean", torch.ones(3)),
        lambda: setattr(changed[2], "note", "mine"),
    ):
        seen = known.of((changed,))
        change()
        again = known.of((changed,))
        assert again is not seen
    assert [id(t) for t in again.tensors] == [
        id(t) for m in changed.modules() for t in (*m._parameters.values(), *m._buffers.values())
    ]


def test_copies_and_pickles_begin_anew() -> None:
    # Kills: a copy of a model taken for the model it was copied from.
    known = Known()
    known.of((model(),))
    for fresh in (copy.deepcopy(known), pickle.loads(pickle.dumps(known))):
        assert fresh._seen is None


def test_what_the_caller_does_between_two_calls_stays() -> None:
    # Kills: the state before the first call put back after the second.
    mine = model()
    objective = td.Objective(mine, nn.MSELoss(), (torch.randn(8, 2), torch.randn(8, 1)))
    operator = td.hessian(objective)
    operator.matvec(torch.ones(operator.size))
    mine.train()
    mine[2].note = "mine"  # type: ignore[index]
    mine[1].running_mean.fill_(7.0)  # type: ignore[index]
    mine[0].weight.grad = torch.ones(3, 2)  # type: ignore[index]
    operator.matvec(torch.ones(operator.size))
    assert mine.training
    assert mine[2].note == "mine"  # type: ignore[index]
    assert torch.equal(mine[1].running_mean, torch.full((3,), 7.0))  # type: ignore[index]
    assert torch.equal(mine[0].weight.grad, torch.ones(3, 2))  # type: ignore[index]
