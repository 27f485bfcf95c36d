"""Ensembles of snapshots: the rule on planted errors, and real networks at small cost.

Oracle: gains planted by kind of ensemble.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import (
    snapshots_of_one_run_ensemble_as_well_as_independent_runs as claim,
)
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

KINDS = (claim.INDEPENDENT, claim.OTHERS, claim.SNAPSHOT, claim.WHOLE, claim.COPIES)


def planted(
    *,
    independent: float = 0.004,
    others: float = 0.004,
    snapshot: float = 0.001,
    spread: float = 0.0005,
) -> xr.Dataset:
    """Twelve seeds, two ensembles a kind: gains as given; copies gain nothing."""
    generator = np.random.default_rng(0)
    gains = np.repeat([independent, others, snapshot, 0.003, 0.0], 2)
    member = np.full((12, 10), 0.2)
    noise = spread * generator.normal(size=(12, 10)) * (np.repeat([1, 1, 1, 1, 0], 2))
    columns = {
        "member_error": member,
        "ensemble_error": member - gains + noise,
        "disagreement": np.full((12, 10), 0.05),
    }
    return xr.Dataset(
        {k: (("seed", "ensemble"), v) for k, v in columns.items()},
        {"kind": ("ensemble", np.repeat(KINDS, 2))},
    )


def test_snapshots_that_gain_less_are_not_as_good() -> None:
    # kills: the sign, ensembles of whole cycles judged, the margin left out, controls left out.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (NOT_REPRODUCED, NOT_REPRODUCED)
    assert verdict.effect == pytest.approx(-0.003, abs=0.0004)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED
    found = claim.estimates(planted())
    label = "gain of the ensemble minus that of independent runs, snapshots after whole cycles"
    assert found[label].value == pytest.approx(-0.001, abs=0.0004)


@pytest.mark.parametrize(
    ("how", "outcome", "corrected"),
    [
        ({"snapshot": 0.004}, REPRODUCED, NOT_REPRODUCED),
        ({"snapshot": 0.006}, REPRODUCED, NOT_REPRODUCED),
        ({"snapshot": 0.003, "spread": 0.002}, INCONCLUSIVE, INCONCLUSIVE),
        ({"others": 0.0}, INCONCLUSIVE, INCONCLUSIVE),
        ({"independent": 0.0, "others": 0.0, "snapshot": 0.0}, INCONCLUSIVE, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(how: dict, outcome: str, corrected: str) -> None:
    # kills: the positive or the negative control left out, the interval left out.
    verdict = claim.judge(planted(**how))
    assert (verdict.outcome, verdict.corrected.outcome) == (outcome, corrected)


def test_gains_are_means_over_the_ensembles_of_a_kind() -> None:
    # kills: the first ensemble alone, errors added, an unknown one skipped.
    measured = planted(spread=0.0)
    measured.ensemble_error[:, 5] -= 0.002
    assert claim.gain(measured, claim.SNAPSHOT) == pytest.approx(np.full(12, 0.002))
    measured.ensemble_error[3, 5] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 11 of 12 pairs" in verdict.explanation


def test_measured_at_small_cost() -> None:
    small = replace(
        claim.FINDING.preset("quick"),
        seeds=2,
        members=3,
        groups=2,
        width=16,
        examples=60,
        epochs=8,
        cycle=2,
        batch_size=20,
    )
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert measured.kind.values.tolist() == [
        claim.INDEPENDENT,
        claim.OTHERS,
        *[claim.SNAPSHOT] * 2,
        *[claim.WHOLE] * 2,
        claim.COPIES,
    ]
    assert (claim.gain(measured, claim.COPIES) == 0).all()
    assert (claim.column(measured, claim.COPIES, "disagreement") == 0).all()
    assert (claim.column(measured, claim.INDEPENDENT, "disagreement") > 0.02).all()
    assert verdict.seeds == 2
