"""A landscape of 69 parameters and places in it.

Oracles: the loss written out; steps of descent made by hand; ``theodolite.models.mlp``.
"""

from __future__ import annotations

import pytest
import torch

from theodolite import models
from theodolite.findings.small_landscape import landscape, near_descent
from theodolite.findings.tanh_network import TanhNetwork


def test_the_loss_written_out() -> None:
    # kills: a penalty of another size or left out, inputs that are not whitened, other targets.
    objective = landscape(40, decay=0.02)
    assert objective.start.tolist() == [0.0] * 69
    (batch,) = objective.data.kept
    x, y = batch.inputs[0][:, :9], batch.inputs[0][:, 9:]
    assert torch.allclose(x.T @ x / 40, torch.eye(9).double(), atol=1e-12)
    assert y.sum(1).tolist() == [1.0] * 40
    assert (y.sum(0) > 3).all()  # all four classes are there
    theta = torch.linspace(-1, 1, 69, dtype=torch.float64)
    inner, outer, bias = theta[:45].view(5, 9), theta[45:65].view(4, 5), theta[65:]
    errors = torch.tanh(x @ inner.T) @ outer.T + bias - y
    expected = (errors**2).mean() + 0.01 * (theta**2).sum()
    assert float(objective.value(theta)) == pytest.approx(float(expected), rel=1e-12)


def test_places_near_descent() -> None:
    # kills: noise before the steps, steps uphill, noise that depends on the start.
    objective = landscape(40, decay=0.02)

    def place(steps: int, noise: float) -> torch.Tensor:
        generator = torch.Generator().manual_seed(3)
        return near_descent(objective, steps=steps, noise=noise, generator=generator)

    start = place(0, 0.0)
    assert float(start.std()) == pytest.approx(0.5, rel=0.3)
    once = start - 0.5 * objective.gradient(start)
    assert torch.equal(place(1, 0.0), once)
    generator = torch.Generator().manual_seed(3)
    _, noise = (torch.randn(69, generator=generator, dtype=torch.float64) for _ in range(2))
    assert torch.allclose(place(1, 0.3), once + 0.3 * noise)


def test_the_network_is_a_perceptron() -> None:
    # kills: tanh after the second layer, weights transposed.
    made = models.mlp((3, 2, 4), activation="tanh").double()
    first, second = made[1], made[3]
    with torch.no_grad():
        first.bias.copy_(torch.tensor([0.5, -1.0]))
    inner = torch.cat([first.weight, first.bias[:, None]], dim=1).detach()
    network = TanhNetwork(inner, second.weight.detach().clone())
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    with_one = torch.cat([x, torch.ones(5, 1).double()], dim=1)
    assert torch.allclose(network(with_one), made(x))
