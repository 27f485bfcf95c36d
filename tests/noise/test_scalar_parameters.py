"""Parameters without axes. Oracle: the gradient of each example in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import theodolite as td


class Scaled(nn.Module):
    """A scalar times the input: with squared loss, example i has the gradient 2 x (s x - y)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class Branching(Scaled):
    """The same, with control flow that vmap cannot follow: one example after the other."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if float(x.sum()) < 1e9 else x


@pytest.mark.parametrize("model", [Scaled, Branching])
def test_a_scalar_parameter_has_gradients_of_examples(model: type[Scaled]) -> None:
    """Kills: gradients of a parameter of no axes flattened from an axis that they lack."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    objective = td.Objective(model(), nn.MSELoss(), (x, y))
    each = 2 * x * (0.7 * x - y)
    norms = td.example_gradient_norms(objective)["squared_norm"]
    assert norms.values.ravel() == pytest.approx(each.square().numpy())
    simple = float(td.gradient_noise_scale(objective)["simple"])
    assert simple == pytest.approx(float(each.var() / each.mean().square()))
