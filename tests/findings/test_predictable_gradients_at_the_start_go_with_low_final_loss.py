"""Predictiveness and final loss: the rule on planted architectures, and networks at small cost.

Oracle: final losses planted in a known order of predictiveness.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import predictable_gradients_at_the_start_go_with_low_final_loss as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.deep_perceptrons import DESIGNS
from theodolite.findings.learning_rates import SCORES
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS = 5


def planted(slope: float, noise: float = 0.0, *, depths: int = 3) -> xr.Dataset:
    """Final loss at the better of two rates: slope times predictiveness, plus noise."""
    generator = np.random.default_rng(0)
    first = generator.random((SEEDS, len(DESIGNS), depths))
    loss = 5 + slope * first + noise * generator.normal(size=first.shape)
    scores = np.zeros((*first.shape, 2, len(SCORES)))
    scores[..., 0, 0], scores[..., 1, 0] = 50 - loss, loss
    dims = ("seed", "design", "depth")
    return xr.Dataset(
        {"predictiveness": (dims, first), "scores": ((*dims, "rate", "score"), scores)},
        {"design": list(DESIGNS), "depth": list(range(1, depths + 1))},
    )


def test_planted_association_is_reproduced() -> None:
    # kills: the sign, the first rate or the highest loss in place of the lowest.
    verdict = claim.judge(planted(-1.0))
    assert (verdict.outcome, verdict.effect) == (REPRODUCED, pytest.approx(1.0))
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert abs(verdict.negative_control.effect) < 0.1


@pytest.mark.parametrize(
    ("slope", "noise", "outcome"),
    [
        (1.0, 0.0, NOT_REPRODUCED),
        (0.0, 1.0, NOT_REPRODUCED),
        (-1.0, 0.1, REPRODUCED),
        (-1.0, 0.6, INCONCLUSIVE),
    ],
)
def test_other_associations(slope: float, noise: float, outcome: str) -> None:
    assert claim.judge(planted(slope, noise)).outcome == outcome


def test_networks_that_diverged_rank_last() -> None:
    # kills: infinite losses left out or ranked first.
    measured = planted(-1.0)
    worst = int(measured.predictiveness.values[0].reshape(-1).argmin())
    measured.scores[0, worst // 3, worst % 3] = np.inf
    assert claim.judge(measured).effect == pytest.approx(1.0)
    label = f"final loss at the best rate, {list(DESIGNS)[worst // 3]}, {worst % 3 + 1} blocks"
    assert label not in claim.estimates(measured)
    best = int(measured.predictiveness.values[0].reshape(-1).argmax())
    measured.scores[0, best // 3, best % 3] = np.inf
    assert claim.judge(measured).effect < 1.0


def test_the_correlation_within_a_depth_is_reported() -> None:
    found = claim.estimates(planted(-1.0))
    assert found["minus the rank correlation within 2 blocks"].value == pytest.approx(1.0)


def test_the_claim_says_association() -> None:
    assert "association" in claim.FINDING.claim
    assert "no evidence" in claim.FINDING.limits


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), width=8, depths=(2, 30), rates=(0.05,), examples=40, epochs=2)
    measured = replicated(claim.FINDING, replace(small, seeds=2))
    judged(claim.FINDING, measured)
    assert float(np.abs(measured.predictiveness).max()) <= 1 + 1e-12
    assert float(measured.scores.sel(design="residual", depth=30, score="loss").min()) > 2.3
    easy = measured.predictiveness.sel(design="residual, norm", depth=2)
    hard = measured.predictiveness.sel(design="residual", depth=30)
    assert float(easy.min()) > float(hard.max())
    again = claim.measure(small, 1).predictiveness
    assert np.array_equal(again, measured.predictiveness[1])
