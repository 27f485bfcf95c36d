"""The 2^-n claim: its rule on planted counts, and the real counts at small cost.

Oracle: counts planted from known probabilities.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import (
    local_minima_have_probability_two_to_the_minus_n as claim,
)
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.random_matrices import EXACT
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

HALVES = {n: 2.0**-n for n in claim.SIZES}
GOE = {2: EXACT[2], 3: EXACT[3], 4: 2.5e-3, 5: 1.25e-4, 6: 3e-6}
COIN = dict.fromkeys(claim.SIZES, 0.5)
ENSEMBLES = [claim.GAUSSIAN, claim.INDEPENDENT, claim.ONE_COIN]


def planted(*probabilities: dict[int, float], draws: int = 1_000_000) -> xr.Dataset:
    """Two seeds of counts that have exactly the given probabilities, in the order of ENSEMBLES."""
    counts = [[[round(p[n] * draws) for n in claim.SIZES] for p in probabilities]] * 2
    return xr.Dataset(
        {"minima": (("seed", "ensemble", "size"), counts), "draws": ("seed", [draws] * 2)},
        {"ensemble": ENSEMBLES, "size": list(claim.SIZES), "seed": [0, 1]},
    )


def test_planted_goe_refutes_the_claim_and_bears_out_the_correction() -> None:
    # Kills: n off by one in 2^-n or in the exact values, pooling over the wrong dimension.
    verdict = claim.judge(planted(GOE, HALVES, COIN))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(4 * EXACT[2], rel=1e-5)
    assert verdict.interval[0] < verdict.effect < verdict.interval[1] < 0.6
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    expected = np.log(GOE[4] / GOE[5]) - np.log(GOE[2] / GOE[3])
    assert verdict.corrected.effect == pytest.approx(expected, rel=1e-3)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_planted_halves_would_be_reproduced() -> None:
    verdict = claim.judge(planted(HALVES, HALVES, COIN))
    assert verdict.outcome == REPRODUCED
    assert verdict.corrected.outcome == NOT_REPRODUCED


def test_one_wrong_size_refutes_the_claim() -> None:
    # Kills: any for all over sizes.
    verdict = claim.judge(planted({**HALVES, 6: 1.5 * HALVES[6]}, HALVES, COIN))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(1.5, rel=1e-4)


def test_few_draws_are_inconclusive() -> None:
    verdict = claim.judge(planted(HALVES, HALVES, COIN, draws=300))
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.interval[0] < 1 < verdict.interval[1]


def test_a_negative_control_that_holds_blocks_the_claim() -> None:
    verdict = claim.judge(planted(HALVES, HALVES, HALVES))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_a_positive_control_that_fails_blocks_the_refutation() -> None:
    verdict = claim.judge(planted(GOE, GOE, COIN))
    assert verdict.outcome == INCONCLUSIVE
    assert "positive control" in verdict.explanation


def test_a_steady_decay_does_not_bear_out_the_correction() -> None:
    # The exact values alone are not enough.
    steady = {n: EXACT[2] * (EXACT[3] / EXACT[2]) ** (n - 2) for n in claim.SIZES}
    assert claim.judge(planted(steady, HALVES, COIN)).corrected.outcome != REPRODUCED


def test_no_minimum_at_all_is_still_a_count() -> None:
    # Kills: a logarithm of zero that raises or warns.
    verdict = claim.judge(planted({**GOE, 5: 0.0, 6: 0.0}, HALVES, COIN))
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.as_dict()["effect"] is None


def test_the_levels_hold_together() -> None:
    # Kills: five intervals at 95 % each.
    shares = claim.probabilities(planted(GOE, HALVES, COIN), claim.GAUSSIAN)
    assert [e.level for e in shares.values()] == pytest.approx([0.99] * 5)
    assert {e.count for e in shares.values()} == {2_000_000}


def test_the_quadratic_decay_of_planted_laws() -> None:
    # Kills: the sign or half of the second difference, a weight of the wrong size.
    gaussian = {n: 0.9 * np.exp(-0.2 * n**2 - 0.1 * n) for n in claim.SIZES}
    measured = planted(gaussian, HALVES, COIN, draws=10_000_000)
    for n in (3, 4, 5):
        assert claim.quadratic_decay(measured, claim.GAUSSIAN, n).value == pytest.approx(
            0.2, abs=5e-3
        )
        assert claim.quadratic_decay(measured, claim.INDEPENDENT, n).value == pytest.approx(
            0.0, abs=1e-5
        )
    none = claim.quadratic_decay(planted({**GOE, 6: 0.0}, HALVES, COIN), claim.GAUSSIAN, 5)
    assert np.isnan(none.value)


def test_the_interval_of_the_quadratic_decay_holds_the_truth() -> None:
    # Kills: a variance without its squared weights, one end alone.
    generator, held = np.random.default_rng(0), 0
    for _ in range(200):
        drawn = {n: generator.binomial(40_000, p) / 40_000 for n, p in HALVES.items()}
        measured = planted(drawn, HALVES, COIN, draws=40_000).isel(seed=[0])
        found = claim.quadratic_decay(measured, claim.GAUSSIAN, 4)
        held += found.low <= 0.0 <= found.high
    assert 0.89 <= held / 200 <= 0.99


@pytest.fixture(scope="module")
def measured() -> xr.Dataset:
    small = replace(claim.Settings(), seeds=2, draws=250_000, sizes=(64, 2, 10), examples=60)
    return replicated(claim.FINDING, replace(small, epochs=15))


def test_measured_at_small_cost(measured: xr.Dataset) -> None:
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == claim.FINDING.expected == NOT_REPRODUCED
    deviations = float(re.search(r"(\S+) standard deviations", verdict.explanation)[1])
    assert deviations < -100
    assert verdict.corrected.outcome == REPRODUCED
    assert 0.57 < verdict.effect < 0.60


def test_trained_networks_are_neither_ensemble(measured: xr.Dataset) -> None:
    # The spectrum is the whole one: its size is the number of parameters.
    assert measured.sizes["index"] == 64 * 2 + 2 + 2 * 10 + 10
    found = claim.estimates(measured)
    start, trained = (
        found[f"a network's Hessian, {m}: share of those that is negative"] for m in claim.MOMENTS
    )
    assert trained.value < start.value < 0.5
    spectrum = measured.eigenvalue.sel(moment="trained").isel(seed=0).values
    clear = spectrum[np.abs(spectrum) > claim.ZERO * np.abs(spectrum).max()]
    assert 0 <= (clear < 0).mean() < 0.4
