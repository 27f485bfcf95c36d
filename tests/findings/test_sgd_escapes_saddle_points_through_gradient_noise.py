"""Escape by noise: the rule on planted escapes, and the real saddles at small cost.

Oracle: counts and steps planted from the linear law.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import noisy_saddles
from theodolite.findings import sgd_escapes_saddle_points_through_gradient_noise as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS, RUNS = 5, 2
TRAPS = {claim.VALLEY: 2, claim.ACROSS: 0, claim.ZEROS: 0, claim.DUPLICATES: 0}
OPEN = dict.fromkeys(claim.SADDLES, 2)
SPREAD = np.array([0.99, 1.0, 1.0, 1.0, 1.01])


def planted(
    escapes: dict[str, int], *, nudged: int = 2, slope: float = 1.0, still: int = 0
) -> xr.Dataset:
    """Escapes of two runs in each of five seeds, and steps of `slope` times the linear law."""
    counts = [[escapes[k], nudged] for k in claim.SADDLES]
    lengths = np.log(1 / np.array(claim.SIZES)) / math.log(1.1)
    steps = np.stack([slope * lengths, np.full(4, 25.0)])
    return xr.Dataset(
        {
            "escaped": (("seed", "saddle", "start"), np.array([counts] * SEEDS)),
            "steps": (("seed", "saddle", "start"), np.full((SEEDS, 4, 2), 50.0)),
            "noise_share": (("seed", "saddle"), np.full((SEEDS, 4), 0.5)),
            "still_escaped": ("seed", np.full(SEEDS, float(still))),
            "runs": ("seed", np.full(SEEDS, RUNS)),
            "size_escaped": (("seed", "place", "size"), np.full((SEEDS, 2, 4), 2)),
            "size_steps": (("seed", "place", "size"), SPREAD[:, None, None] * steps),
        },
        {
            "seed": range(SEEDS),
            "saddle": list(claim.SADDLES),
            "start": list(claim.STARTS),
            "place": list(claim.PLACES),
            "size": list(claim.SIZES),
        },
    )


def test_symmetric_traps_refute_the_claim_and_leave_the_generic_law() -> None:
    # kills: the best saddle for the worst, nudged starts for those at the saddle, a slope without
    # ln(1 + eta) or against ln(s).
    verdict = claim.judge(planted(TRAPS))
    assert verdict.outcome == claim.FINDING.expected == NOT_REPRODUCED
    assert verdict.effect == 0
    assert verdict.interval == pytest.approx((0, 1 - 0.00625**0.1))  # four intervals at 95 %
    assert "valley: 100% of 10 runs" in verdict.explanation
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(1.0)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED
    assert verdict.corrected.negative_control.effect == pytest.approx(0, abs=1e-12)


def test_escape_from_all_saddles_would_be_reproduced() -> None:
    assert claim.judge(planted(OPEN)).outcome == REPRODUCED


def test_one_trap_refutes_the_claim() -> None:
    # kills: any for all over saddles, shares pooled over saddles.
    assert claim.judge(planted({**OPEN, claim.DUPLICATES: 0})).outcome == NOT_REPRODUCED


def test_escape_in_half_of_the_runs_is_inconclusive() -> None:
    assert claim.judge(planted({**OPEN, claim.ZEROS: 1})).outcome == INCONCLUSIVE


def test_escape_without_noise_blocks_the_claim() -> None:
    # kills: a negative control left out.
    assert claim.judge(planted(OPEN, still=2)).outcome == INCONCLUSIVE


def test_a_valley_that_is_not_left_blocks_the_refutation() -> None:
    # kills: a positive control left out.
    verdict = claim.judge(planted(dict.fromkeys(claim.SADDLES, 0)))
    assert verdict.outcome == INCONCLUSIVE
    assert "positive control" in verdict.explanation


@pytest.mark.parametrize(
    ("slope", "nudged", "outcome"),
    [
        (1.08, 2, REPRODUCED),
        (1.1, 2, INCONCLUSIVE),
        (1.15, 2, NOT_REPRODUCED),
        (0.85, 2, NOT_REPRODUCED),
        (1.0, 0, NOT_REPRODUCED),
    ],
)
def test_the_law_at_its_edges(slope: float, nudged: int, outcome: str) -> None:
    # kills: the law judged without the nudges.
    verdict = claim.judge(planted(TRAPS, slope=slope, nudged=nudged))
    assert verdict.corrected.outcome == outcome
    assert verdict.corrected.effect == pytest.approx(slope, rel=1e-6)


def test_a_seed_without_a_slope_is_inconclusive() -> None:
    # kills: missing medians dropped in silence.
    measured = planted(TRAPS)
    measured.size_steps[0, 0, 2] = np.nan
    verdict = claim.judge(measured).corrected
    assert verdict.outcome == INCONCLUSIVE
    assert "only 4 of 5 seeds" in verdict.explanation
    measured.size_steps[:, 0, 2] = np.nan
    assert claim.judge(measured).corrected.outcome == INCONCLUSIVE
    assert claim.judge(measured).corrected.as_dict()["effect"] is None
    assert "median steps, valley, noise 1e-05" not in claim.estimates(measured)


def test_measured_at_small_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    # kills: runs given up too soon, noise along the fall where there should be none.
    monkeypatch.setattr(claim, "SIZES", (1e-6, 1e-5, 1e-4, 1e-3))
    for module in (claim, noisy_saddles):
        monkeypatch.setattr(module, "GROWTH", 0.5)
    small = replace(claim.Settings(), seeds=1, runs=1, examples=50, foldings=16.0)
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    assert measured.escaped.sel(start=claim.NUDGED).values.tolist() == [[1] * 4]
    assert measured.escaped.sel(start=claim.AT).values.tolist() == [[1, 0, 0, 0]]
    assert measured.still_escaped.values.tolist() == [0]
    assert claim.slopes(measured, claim.AT) == pytest.approx([1], abs=0.1)
    assert claim.slopes(measured, claim.BESIDE) == pytest.approx([0], abs=0.05)
    (share,) = measured.noise_share.transpose("seed", "saddle").values
    assert share[0] > 1e-3
    assert (share[1:] < 1e-12).all()
    found = claim.estimates(measured)
    assert "median steps, valley, nudged" in found
    assert "median steps, duplicated units, at the saddle" not in found
