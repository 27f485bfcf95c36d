"""The residual gradient: its rule on planted gains, and real blocks at small cost.

Oracle: gains planted above, below and around 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import the_residual_gradient_is_at_least_one as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS, DRAWS = 4, 25


def planted(
    random: np.ndarray | float,
    *,
    monotone: float = 1.2,
    zero: float = 0.0,
    small: float = 1.02,
    large: float = 5.0,
    draws: int = DRAWS,
) -> xr.Dataset:
    """Gains with the given smallest values; chains with the given factors around 1."""

    def pair(smallest: np.ndarray | float, shape: tuple[int, ...]) -> np.ndarray:
        values = np.broadcast_to(smallest, shape)
        return np.stack([values, values + 1], axis=-1)

    wobble = 1 + 0.001 * np.arange(SEEDS)
    chains = np.stack([np.outer(wobble, [1 / f, f]) for f in (small, large)], axis=1)
    return xr.Dataset(
        {
            "gain": (("seed", "case", "end"), pair(zero, (SEEDS, 3))),
            "random_gain": (("seed", "draw", "end"), pair(random, (SEEDS, draws))),
            "monotone_gain": (("seed", "draw", "end"), pair(monotone, (SEEDS, draws))),
            "network_gain": (("seed", "scale", "end"), pair(0.3, (SEEDS, 3))),
            "chain_gain": (("seed", "norm", "end"), chains),
        },
        {
            "case": list(claim.blocks.CASES),
            "end": list(claim.ENDS),
            "norm": [claim.SMALL, claim.LARGE],
            "scale": list(claim.blocks.SCALES),
        },
    )


def test_planted_gains_below_one_refute_the_claim() -> None:
    verdict = claim.judge(planted(0.5))
    assert verdict.outcome == NOT_REPRODUCED
    assert (verdict.effect, verdict.interval[0]) == (0.0, 0.0)
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED
    assert "0 of 4 trained" in verdict.explanation


def test_one_counterexample_is_enough() -> None:
    # Kills: a mean or a majority where the claim says "ensures"; ends swapped.
    random = np.full((SEEDS, DRAWS), 1.5)
    random[2, 7] = 0.999
    verdict = claim.judge(planted(random))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(0.99)
    assert "0.999" in verdict.explanation


def test_planted_gains_of_one_and_more_are_reproduced() -> None:
    # Kills: a strict comparison, rounding not allowed for.
    assert claim.judge(planted(1.0 - 1e-12)).outcome == REPRODUCED


def test_few_blocks_without_a_counterexample_are_inconclusive() -> None:
    # 4 x 10 = 40 blocks: the exact interval begins at 0.025 ** (1 / 40) = 0.912.
    verdict = claim.judge(planted(1.2, draws=10))
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.interval[0] == pytest.approx(0.025 ** (1 / 40))


def test_a_negative_control_that_holds_blocks_the_claim() -> None:
    assert claim.judge(planted(1.2, zero=1.0)).outcome == INCONCLUSIVE


def test_a_positive_control_that_fails_blocks_the_refutation() -> None:
    verdict = claim.judge(planted(0.5, monotone=0.9))
    assert verdict.outcome == INCONCLUSIVE
    assert "positive control" in verdict.explanation


@pytest.mark.parametrize(
    ("small", "large", "outcome"),
    [(1.02, 5.0, REPRODUCED), (1.3, 5.0, NOT_REPRODUCED), (1.0995, 5.0, INCONCLUSIVE)],
)
def test_the_corrected_statement(small: float, large: float, outcome: str) -> None:
    assert claim.judge(planted(0.5, small=small, large=large)).corrected.outcome == outcome


def test_large_blocks_that_stay_near_one_block_the_correction() -> None:
    verdict = claim.judge(planted(0.5, large=1.02)).corrected
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_gains_outside_the_theorem_refute_the_correction() -> None:
    # Kills: the bound left unchecked: 1.0995 is within a tenth of 1 but 1.106 is no product of
    # ten blocks of norm 0.01.
    measured = planted(0.5)
    measured.chain_gain[0, 0, 1] = 1.106
    verdict = claim.judge(measured).corrected
    assert verdict.outcome == NOT_REPRODUCED
    assert "cannot be" in verdict.explanation


def test_means_of_gains_are_geometric_unless_one_is_zero() -> None:
    measured = planted(0.5)
    measured.network_gain[:, 0, 0] = [0.1, 1.0, 1.0, 10.0]
    found = claim.estimates(measured)
    assert found["trained ResNet block, F times 1: smallest gain"].value == pytest.approx(1.0)
    assert found["F = -x: smallest gain"].value == 0.0


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=4, size=8, width=2, examples=20, epochs=1)
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == claim.FINDING.expected == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    half = measured.gain.sel(case="F = -x/2")
    assert half.values == pytest.approx(0.5)
    assert measured.gain.sel(case="F = -x").values == pytest.approx(0.0, abs=1e-15)
