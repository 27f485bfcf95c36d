"""Norms of the gradients of single examples. Oracle: every gradient formed, one by one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from engines.example_models import models
from theodolite.engines.example_gradients import ExampleGradients, example_gradients

CASES = sorted(models())


def measured(objective: Any, directions: Tensor, way: str = "auto") -> ExampleGradients:
    body = partial(example_gradients, objective, objective.start, directions, way=way)
    return objective.guarded(body, grad=True)


def one_by_one(model: nn.Module, loss: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    rows = []
    for k in range(len(x)):
        value = loss(model(x[k : k + 1]), y[k : k + 1])
        rows.append(torch.autograd.grad(value, list(model.parameters()), materialize_grads=True))
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])


def problem(name: str, batch_size: int | None = None) -> tuple[Any, Tensor]:
    """The objective and the gradients of its examples."""
    torch.manual_seed(0)
    case = models()[name]
    model, x, y = case.build().double().eval(), case.inputs(), case.targets()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y), batch_size=batch_size)
    return objective, one_by_one(model, nn.CrossEntropyLoss(), x, y)


@pytest.mark.parametrize("name", CASES)
def test_norms_and_products_are_those_of_the_gradients(name):
    # kills: any wrong factor, window, group, mask or position, and uses that were not seen
    objective, gradients = problem(name)
    directions = torch.randn(2, objective.space.size, dtype=torch.float64)
    found = measured(objective, directions)
    for k, e in enumerate(objective.space.entries):
        own, rows = gradients[:, e.offset : e.stop], directions[:, e.offset : e.stop]
        told = partial("{}\n{}".format, e.name)
        torch.testing.assert_close(
            found.squares[:, k], own.square().sum(1), rtol=1e-10, atol=1e-16, msg=told
        )
        torch.testing.assert_close(
            found.products[:, k], own @ rows.T, rtol=1e-10, atol=1e-14, msg=told
        )
    expected = dict.fromkeys(objective.space.names, models()[name].way) | models()[name].slow
    assert found.ways == expected


@pytest.mark.parametrize("way", ["vmap", "loop"])
@pytest.mark.parametrize("name", ["2d", "tied", "batch norm"])
def test_every_way_gives_the_same(name, way):
    # kills: rows of vmap in another order, a loop over the wrong examples
    objective, gradients = problem(name, batch_size=2)
    found = measured(objective, gradients[:1], way)
    torch.testing.assert_close(found.squares.sum(1), gradients.square().sum(1), rtol=1e-10, atol=0)
    torch.testing.assert_close(
        found.products.sum(1), gradients @ gradients[:1].T, rtol=1e-10, atol=1e-13
    )
    assert set(found.ways.values()) == {way}
