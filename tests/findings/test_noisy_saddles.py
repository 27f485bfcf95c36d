"""Planted saddles: their gradients, curvature and noise.

Oracles: the Hessian by autograd, dense; the closed forms in the docstrings.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from theodolite.findings.noisy_saddles import (
    GROWTH,
    Saddle,
    duplicated_units,
    valley,
    zero_network,
)
from theodolite.operators import hessian

SADDLES = {
    "valley": lambda: valley(noise=1e-3, seed=1),
    "across": lambda: valley(noise=1e-3, across=True, seed=1),
    "zeros": lambda: zero_network(examples=50, units=2, seed=1),
    "duplicates": duplicated_units,
}


def lowest(saddle: Saddle) -> tuple[torch.Tensor, torch.Tensor]:
    values, vectors = torch.linalg.eigh(hessian(saddle.objective).dense())
    return values, vectors


@pytest.mark.parametrize("name", SADDLES)
def test_they_are_saddles_of_the_curvature_told(name: str) -> None:
    # kills: a residual that is not orthogonal, the curvature off by the factor of the squared
    # error or of the output weights, the largest entry for the largest singular value.
    saddle = SADDLES[name]()
    assert float(saddle.objective.gradient().norm()) < 1e-14
    values, _ = lowest(saddle)
    assert float(values[0]) == pytest.approx(-saddle.curvature, rel=1e-9)
    assert float(values[-1]) * saddle.rate < 2  # descent is stable across
    assert saddle.growth == pytest.approx(1.04 if name == "duplicates" else 1 + GROWTH)


def test_the_lowest_direction_of_duplicates_parts_them() -> None:
    # kills: a saddle that is left without breaking the symmetry.
    values, vectors = lowest(duplicated_units())
    assert int((values < -1e-9).sum()) == 1
    expected = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0]).double() / 2**0.5
    assert float((vectors[:, 0] @ expected).abs()) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_the_valley_cancel_without_rounding(seed: int) -> None:
    # kills: a remainder of rounding, from which descent without noise would leave.
    saddle = valley(noise=1e-3, seed=seed)
    assert saddle.objective.gradient().tolist() == [0.0, 0.0]
    (first, second, *_) = saddle.objective.data.kept
    assert torch.equal(first.inputs[0], -second.inputs[0])
    assert float(first.inputs[0].mean(0).abs().min()) > 0  # a batch alone is noisy


def test_noise_across_has_no_part_along_the_fall() -> None:
    # kills: the other column left out.
    for batch in valley(noise=1e-3, across=True, seed=0).objective.data.kept:
        assert batch.inputs[0][:, 1].tolist() == [0.0, 0.0]
        assert float(batch.inputs[0][:, 0].abs().min()) > 0


@pytest.mark.parametrize(
    ("name", "rule"), [("zeros", nn.CrossEntropyLoss()), ("duplicates", nn.MSELoss())]
)
def test_no_batch_breaks_the_symmetry(name: str, rule: nn.Module) -> None:
    # kills: batches that part the units, or move weights of the network of zeros.
    objective = SADDLES[name]().objective
    for batch in objective.data.kept:
        (x,), y = batch.inputs, batch.targets
        loss = rule(objective.model(x), y)
        inner, outer, bias = torch.autograd.grad(loss, list(objective.model.parameters()))
        assert float(bias.norm()) > 1e-3
        if name == "zeros":
            assert float(inner.norm()) == float(outer.norm()) == 0
        else:
            assert torch.equal(inner[0], inner[1])
            assert torch.equal(outer[:, 0], outer[:, 1])
            assert float(inner.norm()) > 1e-3
