"""Between two evaluations the modules are what they were before the first."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch
from torch import nn

from theodolite.engines.registries import attributes_kept
from theodolite.engines.snapshot import preserved


def replaced(model: nn.Module) -> None:
    model[0].in_features = 77  # type: ignore[index]


def added(model: nn.Module) -> None:
    model.memory = torch.zeros(3)


def removed(model: nn.Module) -> None:
    del model[0].out_features  # type: ignore[index]


def hooked(model: nn.Module) -> None:
    model[1].register_forward_hook(lambda *_: None)  # type: ignore[index]


def reparametrized(model: nn.Module) -> None:
    model[0].weight = nn.Parameter(torch.zeros(2, 2))  # type: ignore[index]


def renamed(model: nn.Module) -> None:
    _, value = model[1].__dict__.popitem()  # type: ignore[index]
    model[1].__dict__["other"] = value  # type: ignore[index]


@pytest.mark.parametrize("change", [replaced, added, removed, hooked, reparametrized, renamed])
def test_every_kind_of_change_is_undone(change: Callable[[nn.Module], None]) -> None:
    # Kills: registries that were empty left out; values compared and keys not; new keys kept.
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    before = [(dict(m.__dict__), dict(m._parameters)) for m in model.modules()]
    restore = attributes_kept(model)
    change(model)
    restore()
    for module, (attributes, parameters) in zip(model.modules(), before, strict=True):
        assert module.__dict__.keys() == attributes.keys()
        assert all(module.__dict__[k] is v for k, v in attributes.items())
        assert all(module._parameters[k] is v for k, v in parameters.items())
        assert not module._forward_hooks


def test_environment_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kills: variables not compared, removed ones not put back, values left undecoded.
    monkeypatch.setenv("THEODOLITE_OLD", "as it was, ä")
    before = dict(os.environ)

    def body() -> None:
        os.environ["THEODOLITE_NEW"] = "1"
        del os.environ["THEODOLITE_OLD"]

    preserved((nn.Linear(1, 1),), body)
    assert dict(os.environ) == before
