"""The edge of stability: its rule on planted means, and real descents at small cost.

Oracles: planted means; the eigenvalues of dense Hessians.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import gradient_descent_settles_at_the_edge_of_stability as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.operators import hessian
from theodolite.training.fresh_starts import fresh_start

SPREAD = np.array([-0.01, 0.0, 0.01])
RATES = (0.2, 0.4, 0.8)


def planted(squared: tuple[float, ...], control: float = 0.01) -> xr.Dataset:
    """Late means of three seeds at three rates; the control's are alike."""
    rows = np.array([squared, [control] * 3])
    values = rows[None] + SPREAD[:, None, None] * np.array([1.0, 0.1])[None, :, None]
    axes = ("seed", "loss", "rate")
    return xr.Dataset(
        {"late_mean": (axes, values), "final_loss": (axes, np.full(values.shape, 0.01))},
        {"loss": list(claim.LOSSES), "rate": list(RATES)},
    )


@pytest.mark.parametrize(
    ("means", "outcome"),
    [
        ((1.0, 1.02, 1.06), REPRODUCED),
        ((1.0, 1.02, 0.5), NOT_REPRODUCED),
        ((1.0, 1.3, 1.0), NOT_REPRODUCED),
        ((1.0, 1.14, 1.0), INCONCLUSIVE),
    ],
)
def test_every_rate_must_end_at_the_threshold(means: tuple[float, ...], outcome: str) -> None:
    # Kills: one rate of three judged; the mean over rates; an interval left out; one-sided bounds.
    verdict = claim.judge(planted(means))
    assert verdict.outcome == outcome
    farthest = max(means, key=lambda m: abs(m - 1))
    assert verdict.effect == pytest.approx(farthest)
    assert verdict.negative_control.outcome == NOT_REPRODUCED


def test_a_control_that_stays_at_the_threshold_blocks_the_claim() -> None:
    # Kills: a control of the squared loss; a control that is not judged.
    verdict = claim.judge(planted((1.0, 1.0, 1.0), control=1.0))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_measured_at_small_cost() -> None:
    # Kills: another step's Hessian or rate; both losses one objective; another start.
    small = replace(
        claim.Settings(), sizes=(64, 4, 10), examples=60, rates=(0.5, 1.0), steps=30, late=10
    )
    small = replace(small, every=5, seeds=2)
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    for loss in claim.LOSSES:
        objective = claim.objective_of(small, loss, 1)
        theta, seen = fresh_start(objective, seed=1), []
        for step in range(small.steps + 1):
            if step in (20, 25, 30):  # the last ten steps are 21 to 30
                top = torch.linalg.eigvalsh(hessian(objective, theta, engine="kept").dense())[-1]
                seen.append(float(top) * 1.0 / 2)
            theta = theta - 1.0 * objective.gradient(theta)
        found = float(measured.late_mean.sel(seed=1, loss=loss, rate=1.0))
        assert found == pytest.approx(np.mean(seen[1:]), rel=1e-3)
    assert set(claim.estimates(measured)) >= {"late sharpness over 2 / rate, squared loss, rate 1"}
