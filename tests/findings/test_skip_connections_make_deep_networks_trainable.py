"""Trainability: the rule on planted scores, and real networks at small cost.

Oracle: accuracies planted with known gains, at the rate that validation prefers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import skip_connections_make_deep_networks_trainable as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.deep_perceptrons import DESIGNS
from theodolite.findings.learning_rates import CHANCE, SCORES
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS, DEPTHS = 4, (4, 20, 40)
WOBBLE = 0.01 * np.array([-1.0, 0.0, 0.0, 1.0])


def planted(
    alone: float = 0.0, normed: float = 0.5, *, shallow: float = 0.0, wobble: float = 1.0
) -> xr.Dataset:
    """Test accuracy 0.3 in plain networks; the worse rate has a test accuracy of 0.99."""
    test = np.full((SEEDS, len(DESIGNS), len(DEPTHS)), 0.3)
    for design, gain in (("residual", alone), ("residual, norm", normed)):
        row = list(DESIGNS).index(design)
        test[:, row, 2] += gain + wobble * WOBBLE
        test[:, row, 0] += shallow + WOBBLE
    scores = np.zeros((*test.shape, 2, len(SCORES)))
    scores[..., 0, :] = (0.1, 0.2, 0.99)
    scores[..., 1, 0], scores[..., 1, 1], scores[..., 1, 2] = 0.5, 0.7, test
    return xr.Dataset(
        {"scores": (("seed", "design", "depth", "rate", "score"), scores)},
        {
            "seed": range(SEEDS),
            "design": list(DESIGNS),
            "depth": list(DEPTHS),
            "rate": [0.03, 0.3],
            "score": list(SCORES),
        },
    )


def test_skips_alone_are_not_enough_and_skips_with_norm_are() -> None:
    # kills: designs with and without norm exchanged, the depth between, the best test accuracy
    # in place of that at the rate which validation chose.
    verdict = claim.judge(planted())
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(0.0)
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(0.5)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("alone", "wobble", "outcome"),
    [
        (0.4, 1.0, REPRODUCED),
        (0.101, 1.0, REPRODUCED),
        (0.099, 1.0, INCONCLUSIVE),
        (0.08, 1.0, NOT_REPRODUCED),
        (0.4, 40.0, INCONCLUSIVE),
        (-0.2, 1.0, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(alone: float, wobble: float, outcome: str) -> None:
    assert claim.judge(planted(alone, wobble=wobble)).outcome == outcome


def test_skips_that_shallow_networks_need_block_both_statements() -> None:
    # kills: a negative control left out.
    verdict = claim.judge(planted(0.5, shallow=0.4))
    assert verdict.outcome == verdict.corrected.outcome == INCONCLUSIVE


def test_divergence_is_counted_and_said() -> None:
    measured = planted(-0.2)
    row = list(DESIGNS).index("residual")
    measured.scores[1:, row, 2, :, :] = np.array([np.inf, CHANCE, CHANCE])
    verdict = claim.judge(measured)
    assert verdict.outcome == NOT_REPRODUCED
    assert "3 of 4 residual networks diverged at every rate" in verdict.explanation


def test_gains_of_shrunk_branches_are_reported() -> None:
    measured = planted()
    measured.scores[:, list(DESIGNS).index("residual, shrunk"), 2, 1, 2] = 0.65
    found = claim.estimates(measured)
    label = "gain of shrunk residual over plain, without norm, 40 blocks"
    assert found[label].value == pytest.approx(0.35)
    assert found["test accuracy, residual, norm, 4 blocks"].value == pytest.approx(0.3)


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), width=8, depths=(2, 40), rates=(0.05,), examples=40, epochs=2)
    measured = replicated(claim.FINDING, replace(small, seeds=2))
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome in (NOT_REPRODUCED, INCONCLUSIVE)
    deep = measured.scores.sel(design="residual", depth=40, score="loss")
    assert float(deep.min()) > 2.3  # the mean square doubles 40 times: diverged or dead
    assert np.isfinite(measured.scores.sel(design="residual, norm", score="loss")).all()
    assert np.array_equal(measured.scores[1], claim.measure(small, 1).scores)
