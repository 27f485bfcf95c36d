"""Width: the rule on planted ratios, and real networks at small cost.

Oracle: measures planted with known ratios.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import wider_networks_have_smoother_surfaces as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

FACTORS = np.array([0.99, 1.0, 1.0, 1.01])


def planted(rise: float, eigenvalue: float, trace: float, *, same: float = 1.0) -> xr.Dataset:
    """Measures of four seeds at three widths: 1 at the widest, the given ones at the narrowest."""
    made = {}
    for name, ratio in zip(claim.MEASURES, (rise, eigenvalue, trace), strict=True):
        values = np.full((4, 3, 2), 77.0)
        values[:, 0, 0] = ratio * FACTORS
        values[:, 2, 0] = 1.0
        values[:, 2, 1] = FACTORS / same
        made[name] = (("seed", "width", "copy"), values)
    flat = {"loss": 0.02, "reached": 1.0}
    made |= {k: (("seed", "width", "copy"), np.full((4, 3, 2), v)) for k, v in flat.items()}
    return xr.Dataset(made, {"width": [8, 32, 128], "copy": [0, 1]})


def test_raw_curvature_that_does_not_fall_refutes_the_wide_claim() -> None:
    # kills: the ratio upside down, another width, the other initialization, one measure for all.
    verdict = claim.judge(planted(50.0, 1.1, 1.2))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(1.1, rel=1e-3)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(50.0, rel=1e-3)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("ratios", "outcome"),
    [
        ((2.05, 2.05, 2.05), REPRODUCED),
        ((3.0, 3.0, 1.99), INCONCLUSIVE),
        ((3.0, 3.0, 1.9), NOT_REPRODUCED),
        ((1.5, 3.0, 3.0), NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(ratios: tuple[float, float, float], outcome: str) -> None:
    assert claim.judge(planted(*ratios)).outcome == outcome


def test_equal_widths_that_differ_block_both_statements() -> None:
    # kills: a negative control left out; the first of three controls shown in place of the worst.
    verdict = claim.judge(planted(5.0, 5.0, 5.0, same=3.0))
    assert verdict.outcome == verdict.corrected.outcome == INCONCLUSIVE
    measured = planted(5.0, 5.0, 5.0)
    measured["trace"][:, 2, 1] = 0.2
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "trace" in verdict.negative_control.explanation
    assert verdict.corrected.outcome == REPRODUCED


def test_networks_at_another_loss_are_not_compared() -> None:
    # kills: the curvature of a network that did not reach the loss.
    measured = planted(5.0, 5.0, 5.0)
    measured.reached[1, 0, 0] = 0.0
    measured.trace[1, 0, 0] = 1e9
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 3 of 4 pairs" in verdict.explanation
    assert claim.ratio(measured, "trace").value == pytest.approx(5.0, rel=1e-2)
    measured.reached[:, 0, 0] = 0.0
    assert claim.judge(measured).outcome == INCONCLUSIVE
    assert not any(label.endswith(", 8 units") for label in claim.estimates(measured))


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), widths=(4, 64), examples=40, target=0.2, directions=2)
    measured = replicated(claim.FINDING, replace(small, seeds=2, products=32))
    judged(claim.FINDING, measured)
    assert bool((measured.reached.sel(width=64) > 0).all())
    kept = measured.loss.where(measured.reached > 0)
    assert float(kept.max()) <= 0.2
    assert float(kept.min()) > 0.1  # one loss level, not one training length
    rise = measured.rise.where(measured.reached > 0).mean(("seed", "copy"))
    assert float(rise.sel(width=4)) > 3 * float(rise.sel(width=64))
    assert not np.array_equal(measured.trace.sel(copy=0), measured.trace.sel(copy=1))
    again = claim.measure(replace(small, products=32), 1).trace
    assert np.array_equal(again, measured.trace[1], equal_nan=True)
