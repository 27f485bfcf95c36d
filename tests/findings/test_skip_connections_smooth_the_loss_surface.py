"""Smooth surfaces: the rule on planted roughness, planted surfaces, and networks at small cost.

Oracle: roughness planted with known excess; bowls and waves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import skip_connections_smooth_the_loss_surface as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

WOBBLE = 0.001 * np.array([-1.0, 0.0, 1.0])
PLAIN = claim.DESIGNS.index("plain, norm")


def planted(curvature: float, variation: float, *, shallow: float = 0.0) -> xr.Dataset:
    """Roughness of three seeds and two planes: 0.2, and more in plain networks with norm."""
    dims = ("seed", "design", "depth", "plane")
    made = {}
    for name, deep in (("negative_curvature", curvature), ("variation", variation), ("minima", 1)):
        values = np.full((3, 4, 2, 2), 0.2)
        values[:, PLAIN, 1] += deep + WOBBLE[:, None] + [0.01, -0.01]
        values[:, PLAIN, 0] += shallow + WOBBLE[:, None]
        made[name] = (dims, values)
    flat = {k: (dims[:3], np.full((3, 4, 2), v)) for k, v in (("loss", 0.1), ("reached", 1.0))}
    coords = {"design": list(claim.DESIGNS), "depth": [claim.SHALLOW, claim.DEEP]}
    return xr.Dataset(made | flat, coords)


def test_planted_roughness_is_reproduced() -> None:
    # kills: plain less residual the other way round, planes not averaged, depths exchanged.
    verdict = claim.judge(planted(0.3, 0.4))
    assert verdict.outcome == verdict.corrected.outcome == REPRODUCED
    assert verdict.effect == verdict.corrected.effect == pytest.approx(0.3)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_negative_curvature_without_ups_and_downs_is_not_chaos() -> None:
    # kills: the corrected statement judged by both measures, or the claim by one.
    verdict = claim.judge(planted(0.3, 0.0))
    assert (verdict.outcome, verdict.corrected.outcome) == (NOT_REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(0.0, abs=1e-9)
    assert claim.judge(planted(0.0, 0.4)).corrected.outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("curvature", "variation", "outcome"),
    [
        (0.0505, 0.0505, REPRODUCED),
        (0.0495, 0.3, INCONCLUSIVE),
        (0.3, 0.04, NOT_REPRODUCED),  # kills: the second measure left out
        (0.04, 0.3, NOT_REPRODUCED),
        (-0.1, -0.1, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(curvature: float, variation: float, outcome: str) -> None:
    assert claim.judge(planted(curvature, variation)).outcome == outcome


def test_rough_shallow_networks_block_the_claim() -> None:
    verdict = claim.judge(planted(0.3, 0.4, shallow=0.3))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_networks_at_another_loss_are_not_compared() -> None:
    # kills: a missing pair filled with zero, or passed over in silence.
    measured = planted(0.3, 0.4)
    for name in claim.MEASURES:
        measured[name][0, PLAIN, 1] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 2 of 3 pairs" in verdict.explanation
    for name in claim.MEASURES:
        measured[name][:, PLAIN, 1] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "fewer than two pairs" in verdict.explanation
    assert claim.estimates(measured)


def test_planted_surfaces_are_told_apart() -> None:
    # kills: rays that do not start at the center, one axis taken twice.
    x, y = np.meshgrid(np.linspace(-1, 1, 25), np.linspace(-1, 1, 25))
    assert claim.surface_roughness(x**2 + 2 * y**2) == (0.0, 0.0, 1.0)
    waves = x**2 + y**2 + 0.5 * np.cos(8 * np.pi * x)
    curvature, variation, minima = claim.surface_roughness(waves)
    assert curvature > 0.3
    assert variation > 1  # only rays along x have waves
    assert claim.surface_roughness(waves.T)[1] == pytest.approx(variation)
    assert minima == 8


def test_measured_at_small_cost() -> None:
    small = replace(
        claim.Settings(), width=16, examples=40, rate=0.03, epochs=20, target=1.5, steps=5
    )
    measured = replicated(claim.FINDING, replace(small, seeds=2))
    judged(claim.FINDING, measured)
    claim.estimates(measured)
    reached = measured.reached > 0
    assert bool((measured.loss.where(reached, 0) <= 1.5).all())
    assert bool(reached.sel(depth=claim.SHALLOW, design="residual, norm").all())
    assert not bool(reached.all())
    for name in claim.MEASURES:  # kills: roughness measured where the loss was not reached
        assert bool((np.isfinite(measured[name]).all("plane") == reached).all())
    again = claim.measure(small, 1).variation
    assert np.array_equal(again, measured.variation[1], equal_nan=True)
