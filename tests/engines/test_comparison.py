"""The verdicts of the comparison, on gradients written down by hand.

Oracle: functions whose derivatives are known everywhere, smooth or not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from theodolite.engines.comparison import STEPS, Probe, compared, judged
from theodolite.parameters import ParameterSpace

SPACE = ParameterSpace.from_model(nn.Linear(3, 2).double())
THETA = torch.linspace(-1.0, 1.3, 8, dtype=torch.float64)
VECTOR = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 0.7, 1.1, -0.4], dtype=torch.float64)


def probe(gradient: Callable[[Tensor], Tensor], product: Callable[[Tensor], Tensor]) -> Probe:
    """A comparison of `product(theta)` with differences of `gradient(theta)` along VECTOR."""
    size = float(VECTOR.norm())

    def estimate(theta: Tensor, step: float) -> Tensor:
        h = step * float(theta.norm()) / size
        return (gradient(theta + h * VECTOR) - gradient(theta - h * VECTOR)) / (2 * h)

    return Probe(SPACE, VECTOR, product, estimate, gradient, STEPS, 1e-4, "float64")


def verdict(made: Probe, theta: Tensor = THETA) -> str:
    return judged(made, theta, made.product(theta), seed=0).outcome


def test_a_right_product_agrees_at_the_first_step():
    made = probe(torch.sin, lambda t: torch.cos(t) * VECTOR)
    found = compared(made, THETA, made.product(THETA))
    assert (found.outcome, found.step) == ("agrees", STEPS[0])
    assert found.gap < 1e-8


@pytest.mark.parametrize("lost", ["weight", "bias"])
def test_a_lost_tensor_is_named(lost):
    # kills: a norm over all parameters, in which a small tensor drowns
    def product(theta: Tensor) -> Tensor:
        full = torch.cos(theta) * VECTOR * torch.tensor([1e6] * 6 + [1.0] * 2)
        piece = slice(0, 6) if lost == "weight" else slice(6, 8)
        full[piece] = 0
        return full

    def gradient(theta: Tensor) -> Tensor:
        return torch.sin(theta) * torch.tensor([1e6] * 6 + [1.0] * 2)

    made = probe(gradient, product)
    found = judged(made, THETA, product(THETA), seed=0)
    assert (found.outcome, found.names) == ("missing", (lost,))


def test_one_percent_missing_is_missing():
    # kills: a loose tolerance
    assert verdict(probe(torch.sin, lambda t: 0.99 * torch.cos(t) * VECTOR)) == "missing"


def test_a_product_where_differences_are_zero():
    assert verdict(probe(lambda t: torch.ones_like(t), lambda t: VECTOR.clone())) == "missing"


def test_jumps_of_the_gradient_exactly_here_are_kinks():
    # kills: differences that grow as the step falls, taken for a derivative
    def gradient(theta: Tensor) -> Tensor:
        return torch.sin(theta) + torch.sign(theta - THETA)

    assert verdict(probe(gradient, lambda t: torch.cos(t) * VECTOR)) == "non-smooth"


def test_bends_of_the_gradient_exactly_here_are_kinks():
    # kills: the mean of two one-sided slopes, which settles, taken for the derivative
    def gradient(theta: Tensor) -> Tensor:
        return torch.sin(theta) + torch.relu(theta - THETA)

    def product(theta: Tensor) -> Tensor:
        return (torch.cos(theta) + (theta > THETA)) * VECTOR

    assert verdict(probe(gradient, product)) == "non-smooth"


def test_a_gradient_in_stairs_is_coarse():
    def gradient(theta: Tensor) -> Tensor:
        return torch.round(torch.sin(theta) * 1024) / 1024

    assert verdict(probe(gradient, lambda t: torch.cos(t) * VECTOR)) == "coarse"


def test_a_gradient_rounded_to_float32_agrees_roughly():
    made = probe(lambda t: torch.sin(t.float()).double(), lambda t: torch.cos(t) * VECTOR)
    found = judged(made, THETA, made.product(THETA), seed=0)
    assert found.outcome == "agrees"
    assert found.gap < 2e-2


def test_a_gradient_that_is_noise_settles_nothing():
    generator = torch.Generator().manual_seed(0)

    def gradient(theta: Tensor) -> Tensor:
        return torch.randn(8, generator=generator, dtype=torch.float64)

    assert verdict(probe(gradient, lambda t: torch.cos(t) * VECTOR)) == "unclear"


def test_rounding_alone_decides_nothing():
    # kills: a relative comparison of two numbers that are both rounding
    def gradient(theta: Tensor) -> Tensor:
        value = torch.sin(theta)
        value[6:] = 1e-17 * torch.sign(theta[6:] - THETA[6:])
        return value

    def product(theta: Tensor) -> Tensor:
        full = torch.cos(theta) * VECTOR
        full[6:] = 0
        return full

    assert verdict(probe(gradient, product)) == "agrees"


def test_silent_tensors_are_those_without_any_derivative():
    def gradient(theta: Tensor) -> Tensor:
        value = torch.sin(theta)
        value[6:] = 0
        return value

    def product(theta: Tensor) -> Tensor:
        full = torch.cos(theta) * VECTOR
        full[6:] = 0
        return full

    made = probe(gradient, product)
    assert compared(made, THETA, product(THETA)).silent == ("bias",)
