"""Shattered gradients: the rule on planted correlations, and real networks at small cost.

Oracle: correlations planted with known gains; a linear network, whose gradient is constant.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import skip_connections_keep_gradients_from_shattering as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

WOBBLE = 0.01 * np.array([-1.0, 0.0, 1.0])


def planted(gain: float, *, bare: float = 0.2, wobble: float = 1.0) -> xr.Dataset:
    """Correlations of three seeds with the given gains at 24 blocks, and none at 2 and 50."""
    found = np.full((3, 4, 3), 0.1)
    found += 0.2 * WOBBLE[:, None, None]  # what a seed does to both designs
    found[:, 3, 1] += gain + wobble * WOBBLE
    found[:, 2, 1] += bare + WOBBLE
    return xr.Dataset(
        {"correlation": (("seed", "design", "depth"), found)},
        {"design": list(claim.DESIGNS), "depth": [2, claim.JUDGED, 50]},
    )


def test_planted_gains_are_reproduced() -> None:
    # kills: designs or depths exchanged, seeds not paired.
    verdict = claim.judge(planted(0.7))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(0.7)
    half = 4.302653 * 0.01 / np.sqrt(3)
    assert verdict.interval == pytest.approx((0.7 - half, 0.7 + half))
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("gain", "wobble", "outcome"),
    [
        (0.501, 1.0, REPRODUCED),
        (0.499, 1.0, INCONCLUSIVE),  # the interval still reaches the minimum
        (0.47, 1.0, NOT_REPRODUCED),
        (-0.7, 1.0, NOT_REPRODUCED),
        (0.7, 40.0, INCONCLUSIVE),  # the interval holds zero
    ],
)
def test_the_rule_at_its_edges(gain: float, wobble: float, outcome: str) -> None:
    assert claim.judge(planted(gain, wobble=wobble)).outcome == outcome


def test_a_gain_without_norm_blocks_the_claim() -> None:
    # kills: the negative control left out.
    verdict = claim.judge(planted(0.8, bare=0.8))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_started_networks_share_their_values_and_have_biases() -> None:
    # kills: unpaired initial values, biases of zero, which put every kink at zero.
    inputs = torch.linspace(-2, 2, 8, dtype=torch.float64)[:, None]
    small = replace(claim.Settings(), width=6)
    a, b = (
        claim.started(d, 3, small, inputs, 5).state_dict()
        for d in ("plain, norm", "residual, norm")
    )
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert float(a["stem.bias"].abs().min()) > 0
    assert a["stem.weight"].dtype == torch.float64


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=4, depths=(2, 24))
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == claim.FINDING.expected == REPRODUCED
    at = measured.correlation.mean("seed")
    assert float(at.sel(design="plain, norm", depth=2)) > 0.5
    assert abs(float(at.sel(design="plain, norm", depth=24))) < 0.2
    assert float(at.sel(design="plain", depth=24)) > 0.6
    again = claim.measure(small, 1).correlation
    assert np.array_equal(measured.correlation[1], again)
    assert f"plain, norm, {claim.JUDGED} blocks" in claim.estimates(measured)
