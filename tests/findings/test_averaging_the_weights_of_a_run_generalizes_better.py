"""Weight averaging: the rule on planted errors, and real networks at small cost.

Oracle: errors planted by kind of weights; averages written out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import datasets
from theodolite.findings import averaging_the_weights_of_a_run_generalizes_better as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.many_starts import starting_weights
from theodolite.findings.runs_side_by_side import constant, own_orders, run_side_by_side
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED


def planted(
    *, decayed: float = 0.34, average: float = 0.3, strangers: float = 0.8, spread: float = 0.001
) -> xr.Dataset:
    """Twelve seeds: the last weights have 0.36 wrong labels' error, and 0.2 with true ones."""
    generator = np.random.default_rng(0)
    means = np.array([[0.36, decayed, average, strangers], [0.2, 0.2, 0.21, 0.8]])
    error = means + spread * generator.normal(size=(12, 2, 4))
    normalized = np.tile([0.4, 0.3, 0.35], (12, 1)) + spread * generator.normal(size=(12, 3))
    return xr.Dataset(
        {
            "error": (("seed", "labels", "kind"), error),
            "normalized_error": (("seed", "normalized"), normalized),
        },
        {
            "labels": [claim.NOISY, claim.CLEAN],
            "kind": list(claim.KINDS),
            "normalized": list(claim.NORMALIZED),
        },
    )


def test_gains_over_both_trainings_are_reproduced() -> None:
    # kills: the sign, the larger of both gains shown, true labels judged, the control left out.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(0.04, abs=0.002)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.corrected.effect == pytest.approx(0.06, abs=0.002)
    assert "With true labels, over last weights: -1" in verdict.explanation
    found = claim.estimates(planted())
    label = "gain over last weights, BatchNorm, average, own statistics, wrong labels"
    assert found[label].value == pytest.approx(0.1, abs=0.002)
    label = "gain over last weights, BatchNorm, average, statistics of the last weights"
    assert found[f"{label}, wrong labels"].value == pytest.approx(0.05, abs=0.002)


@pytest.mark.parametrize(
    ("how", "outcome", "corrected"),
    [
        ({"decayed": 0.3}, NOT_REPRODUCED, REPRODUCED),
        ({"average": 0.36}, NOT_REPRODUCED, NOT_REPRODUCED),
        ({"decayed": 0.312, "spread": 0.03}, INCONCLUSIVE, REPRODUCED),
        ({"strangers": 0.2}, INCONCLUSIVE, INCONCLUSIVE),
        ({"strangers": 0.34}, REPRODUCED, INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(how: dict, outcome: str, corrected: str) -> None:
    # kills: one of both gains left out, the interval left out, one control for both statements.
    verdict = claim.judge(planted(**how))
    assert (verdict.outcome, verdict.corrected.outcome) == (outcome, corrected)


def test_an_error_that_is_not_known_leaves_it_open() -> None:
    measured = planted()
    measured.error[4, 0, 1] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 11 of 12 pairs" in verdict.explanation
    assert verdict.corrected.outcome == REPRODUCED


def test_averages_are_of_the_second_half_of_each_run_and_of_all_runs() -> None:
    # kills: the start averaged in, runs averaged with each other, the lowered rate averaged.
    x, y = datasets.digits(0, limit=40, flatten=True).train
    settings = replace(claim.Settings(), runs=2, width=6, epochs=4, batch_size=20)
    ends = claim.trained(settings, (x, y), 3)
    seen = run_side_by_side(
        starting_weights(64, 6, 10, 2, 3),
        x,
        y,
        rate=constant(0.1),
        orders=own_orders(2),
        epochs=4,
        batch_size=20,
        seed=3,
        looks=(2, 3),
    )
    for k in range(4):
        average = (seen[2][k] + seen[3][k] + seen[4][k]) / 3
        assert torch.allclose(ends[claim.AVERAGE][k], average, atol=1e-6)
        assert torch.equal(ends[claim.LAST][k], seen[4][k])
        assert torch.allclose(ends[claim.STRANGERS][k][0], seen[4][k].mean(0), atol=1e-6)
    assert not torch.allclose(ends[claim.DECAYED][0], seen[4][0], atol=1e-3)


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=2, runs=2, width=16, examples=60, epochs=10)
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    assert dict(measured.error.sizes) == {"seed": 2, "labels": 2, "kind": 4}
    assert ((measured.error > 0) & (measured.error < 1)).all()
    assert (measured.error.sel(labels=claim.NOISY) != measured.error.sel(labels=claim.CLEAN)).any()
    worst = measured.error.sel(labels=claim.CLEAN).mean("seed")
    assert str(worst.kind.values[worst.values.argmax()]) == claim.STRANGERS
    own, stale = (
        measured.normalized_error.sel(normalized=k).values for k in (claim.RECOMPUTED, claim.STALE)
    )
    assert not np.array_equal(own, stale)
