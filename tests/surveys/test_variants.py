"""Which variants of a target there are, and that they are what they say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.surveys.measures.variants import variant_names, variants


def _target(norm: bool = True, **settings) -> td.Target:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.BatchNorm1d(6) if norm else nn.Identity(), nn.Linear(6, 2)]
    model = nn.Sequential(*layers)
    x, y = 3 + torch.randn(20, 4), torch.arange(20) % 2
    made = [td.Objective(model, nn.CrossEntropyLoss(), (x + k, y), **settings) for k in (0, 1)]
    return td.Target(made[0], test=made[1])


def test_both_are_the_given_target_and_one_that_recomputes():
    # kills: the test objective left frozen; statistics of the training data for the test data
    target = _target()
    (first, same), (second, again) = variants(target, {"batch_norm": "both"})
    assert (first, second) == ("", "_recomputed")
    assert same is target
    assert again.objective.facts()["batch_norm"] == "recompute"
    assert again.test.facts()["batch_norm"] == "recompute"
    own = target.test.with_batch_norm("recompute")
    assert float(again.test.value()) == float(own.value()) != float(target.test.value())


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        (_target(), {}),
        (_target(), {"batch_norm": "given"}),
        (_target(False), {"batch_norm": "both"}),
        (_target(mode="train"), {"batch_norm": "both"}),
        (_target(batch_norm="recompute"), {"batch_norm": "both"}),
    ],
    ids=["default", "given", "no layers", "training mode", "recomputes already"],
)
def test_otherwise_there_is_one(target, settings):
    assert variants(target, settings) == (("", target),)
    assert variant_names(target, settings) == ("",)


def test_an_unknown_choice_is_refused():
    with pytest.raises(InvalidArgument, match="batch_norm must be one of both, given"):
        variants(_target(), {"batch_norm": "frozen"})
