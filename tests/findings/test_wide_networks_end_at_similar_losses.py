"""Spread of final losses: the rule on planted losses, and real networks at small cost.

Oracle: losses planted with known standard deviations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import wide_networks_end_at_similar_losses as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

FACTORS = np.array([0.9, 1.0, 1.0, 1.1])
UNIT = np.array([-1.0, 0.0, 1.0])  # standard deviation 1


def planted(ratio: float, *, same: float = 1.0, noise: float = 0.0) -> xr.Dataset:
    """Four seeds at widths 2, 4, 8, 16, of three starts: spread 0.01 at 8, `ratio` times at 2."""
    spread = np.full((4, 4, 2), 0.5)
    spread[:, 2, 0] = 0.01
    spread[:, 0, 0] = 0.01 * ratio * FACTORS ** (1 + noise)
    spread[:, 0, 1] = spread[:, 0, 0] / same
    mean = np.array([10.0, 1.0, 0.05, 1.0])[:, None, None]
    dims = ("seed", "width", "group", "start")
    return xr.Dataset(
        {
            "loss": (dims, mean + spread[..., None] * UNIT),
            "gradient": (dims, np.full((4, 4, 2, 3), 1e-3)),
        },
        {"width": [2, 4, 8, 16], "group": [0, 1]},
    )


def test_planted_spreads_are_reproduced() -> None:
    # kills: the ratio upside down, other widths, the other group, variances in place of
    # deviations, a deviation over n, the spread over the mean.
    verdict = claim.judge(planted(300.0))
    assert (verdict.outcome, verdict.effect) == (REPRODUCED, pytest.approx(300.0, rel=5e-3))
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(1.0)
    found = claim.estimates(planted(300.0))
    label = "final loss, standard deviation over starts, 8 units"
    assert found[label].value == pytest.approx(0.01)
    label = "standard deviation over mean of the final loss, 8 units"
    assert found[label].value == pytest.approx(0.2)
    assert "from 0.299 to 0.2" in verdict.explanation
    assert found["final loss, largest of the starts, 8 units"].value == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("ratio", "noise", "outcome"),
    [
        (103.0, 0.0, REPRODUCED),
        (95.0, 0.0, INCONCLUSIVE),
        (60.0, 0.0, NOT_REPRODUCED),
        (0.5, 0.0, NOT_REPRODUCED),
        (150.0, 40.0, INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(ratio: float, noise: float, outcome: str) -> None:
    assert claim.judge(planted(ratio, noise=noise)).outcome == outcome


def test_groups_of_one_width_that_differ_block_the_claim() -> None:
    # kills: the negative control left out.
    verdict = claim.judge(planted(300.0, same=200.0))
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.negative_control.outcome == REPRODUCED


def test_losses_that_are_not_finite_or_all_equal_are_inconclusive() -> None:
    # kills: a seed passed over in silence, a missing start skipped.
    measured = planted(300.0)
    measured.loss[1, 0, 0, 2] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 3 of 4 seeds" in verdict.explanation
    measured.loss[:, 2] = 0.0
    assert claim.judge(measured).outcome == INCONCLUSIVE
    assert claim.estimates(measured)["final loss, mean over starts, 8 units"].count == 0


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=2, widths=(2, 8), starts=3, examples=60, epochs=120)
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    assert dict(measured.loss.sizes) == {"seed": 2, "width": 2, "group": 2, "start": 3}
    mean = measured.loss.mean(("seed", "group", "start"))
    assert float(mean.sel(width=2)) > 5 * float(mean.sel(width=8))
    pooled = measured.loss.std(("seed", "group", "start"))
    assert float(pooled.sel(width=2)) > 3 * float(pooled.sel(width=8))
    assert float(measured.gradient.min()) > 0
    assert len(np.unique(measured.loss)) == 24
    assert np.array_equal(claim.measure(small, 1).loss, measured.loss[1])
