"""Where a softmax is 1 to the last digit derivatives are made of rounding: no fault is found in
them, and true faults are still found elsewhere."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import UnsupportedModel


class Doubled(torch.autograd.Function):
    """The identity, with a gradient twice too large that depends on its input."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return gradient * (1 + x.sin() ** 2)


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = Doubled.apply(x)
        return made


def network(factor: float, *between: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), *between, nn.Linear(6, 3))
    with torch.no_grad():
        for p in model[-1].parameters():  # type: ignore[union-attr]
            p.mul_(factor)
    return model


def objective(model: nn.Module) -> td.Objective:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = model(x)
    y = outputs.argmax(1)  # all right, however confident
    first, second = outputs.topk(2).values.T
    x, y = (t[(first - second).argsort()[-40:]] for t in (x, y))  # far from the boundary
    return td.Objective(model, nn.CrossEntropyLoss(), [(x, y)])


@pytest.mark.parametrize("factor", [100, 150, 600, 1000])
def test_a_confident_network_is_not_refused(factor: float) -> None:
    # Kills: rounding left out (E-D15, or a switch to differences, at these factors).
    made = objective(network(factor))
    operator = td.hessian(made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product = operator.matvec(torch.ones(operator.size))
    assert torch.isfinite(product).all()
    assert operator.facts["engine"] == "kept"


def test_a_wrong_backward_pass_is_still_refused() -> None:
    # Kills: asymmetry forgiven everywhere.
    with pytest.raises(UnsupportedModel):
        td.hessian(objective(network(1.0, Scaled()))).matvec(torch.ones(51))
