"""The expansion along a slice: its rule on planted residuals, and real networks at small cost.

Oracles: power laws planted with known exponents; a quadratic, whose expansion is exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from theodolite.findings import a_slice_is_a_faithful_local_model as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.objective import Objective

EPSILON = np.geomspace(1e-3, 1e-1, 9)


def planted(*second: float, first: float = 2.0, size: float = 1.0) -> xr.Dataset:
    """Residuals that are powers of the distance, one exponent a seed; the sides have both signs."""
    law = np.stack([[size * EPSILON**first, size * EPSILON**power] for power in second])
    signed = law[:, None, :, None, :, None] * np.array([-1.0, 1.0])
    residual = np.broadcast_to(signed, (len(second), 2, 2, 3, 9, 2))
    return xr.Dataset(
        {
            "residual": (
                ("seed", "activation", "order", "direction", "epsilon", "side"),
                residual,
            ),
            "loss": (("seed", "activation"), np.ones((len(second), 2))),
        },
        {"activation": list(claim.ACTIVATIONS), "order": list(claim.ORDERS), "epsilon": EPSILON},
    )


def test_planted_third_order_is_reproduced() -> None:
    # Kills: a slope of the wrong logarithm, orders swapped, signs that cancel in the mean.
    verdict = claim.judge(planted(2.99, 3.0, 3.01))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(3.0)
    assert verdict.seeds == 3
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(2.0)


def test_planted_second_order_is_not_reproduced() -> None:
    assert claim.judge(planted(2.0, 2.1, 2.2)).outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    "slopes",
    [
        (2.6, 2.6, 2.6),  # above 2.5, but not the claimed 2.7
        (2.0, 3.0, 3.5),  # the interval reaches below 2.5
        (3.5, 3.5, 3.5),  # steeper than a third order
        (3.0,),  # one network says nothing about spread
    ],
)
def test_in_between_is_inconclusive(slopes: tuple[float, ...]) -> None:
    assert claim.judge(planted(*slopes)).outcome == INCONCLUSIVE


def test_a_control_that_does_not_fail_blocks_the_claim() -> None:
    # Kills: the negative control left out of the judgment.
    verdict = claim.judge(planted(3.0, 3.0, 3.0, first=3.0))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_residuals_lost_in_rounding_are_inconclusive() -> None:
    verdict = claim.judge(planted(2.99, 3.0, 3.01, size=1e-6))
    assert verdict.outcome == INCONCLUSIVE
    assert "rounding" in verdict.explanation


def test_only_near_distances_are_fitted() -> None:
    # Kills: the whole range fitted, the bound taken exclusive (5 of 9 distances are near).
    bent = planted(3.0, 3.0)
    far = bent.epsilon > 0.011
    bent["residual"] = bent.residual * xr.where(far, 1e6, 1.0)
    assert claim.slopes(bent).sel(order="second").values == pytest.approx(3.0)
    assert claim.slopes(bent, farthest=np.inf).sel(order="second").values.min() > 5
    last = np.abs(bent.epsilon - 1e-2) < 1e-6
    bent["residual"] = bent.residual * xr.where(last, 10.0, 1.0)
    assert claim.slopes(bent).sel(order="second").values.min() > 3.2


def test_residuals_of_a_quadratic_are_rounding() -> None:
    # Kills: the gradient or the half forgotten, sides swapped, the base loss at the wrong index.
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Linear(3, 1, dtype=torch.float64)
    objective = Objective(model, nn.MSELoss(), (x, x[:, :1] + 2))
    direction = torch.tensor([0.3, -1.0, 0.5, 0.7], dtype=torch.float64)
    epsilon = np.array([0.1, 1.0])
    found = claim._residuals(objective, direction[None], epsilon)[:, 0]
    assert np.abs(found[1]).max() < 1e-13
    design = torch.cat([x, torch.ones(20, 1, dtype=torch.float64)], 1)
    curvature = float(2 * (design @ direction).square().mean())
    expected = np.outer(0.5 * epsilon**2 * curvature, [1, 1])
    assert found[0] == pytest.approx(expected, rel=1e-12)


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=2, sizes=(64, 8, 10), examples=100, epochs=3)
    measured = replicated(claim.FINDING, replace(small, directions=2, distances=5))
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == claim.FINDING.expected == REPRODUCED
    assert verdict.effect == pytest.approx(3.0, abs=0.05)
    assert verdict.negative_control.effect == pytest.approx(2.0, abs=0.05)
    found = claim.estimates(measured)
    assert found["slope, tanh, up to 0.01"].value == verdict.effect
    relu = found["slope, relu, over all distances"].value
    assert relu == pytest.approx(_relu_slope(measured))


def _relu_slope(measured: xr.Dataset) -> float:
    """The mean over networks of NumPy's line through log root-mean-square residuals."""
    residual = measured.residual.sel(activation="relu", order="second").values
    pooled = np.log(np.sqrt((residual**2).mean(axis=(1, 3))))
    return float(np.mean([np.polyfit(np.log(measured.epsilon), row, 1)[0] for row in pooled]))
