"""Curves of low loss: the rule on planted rises, and real networks at small cost.

Oracle: rises planted on either side of the bound; exact binomial intervals.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import a_curved_path_of_low_loss_connects_independent_runs as claim
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED


def planted(*, wide: int = 20, wider: int = 20, narrow: int = 8) -> xr.Dataset:
    """So many of 20 pairs are joined at 32, 128 and 6 units, half that at 4; by the line none."""
    good, bad = claim.RISE, claim.RISE * 1.01
    rise = np.array([[good] * n + [bad] * (20 - n) for n in (narrow // 2, narrow, wide, wider)]).T
    columns = {name: np.full(rise.shape, 0.5) for name in claim.MEASURES} | {"curve_excess": rise}
    return xr.Dataset(
        {k: (("seed", "width"), v) for k, v in columns.items()}, {"width": [4, 6, 32, 128]}
    )


def test_planted_curves_are_reproduced() -> None:
    # kills: the straight line judged, narrow networks judged with the wide ones, a bound that
    # leaves itself out.
    verdict = claim.judge(planted(wider=19))
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == 0.95
    assert (verdict.negative_control.outcome, verdict.negative_control.effect) == (
        NOT_REPRODUCED,
        0.4,
    )
    found = claim.estimates(planted())
    assert found["share of pairs joined within 0.02 nats by the straight line, 32 units"].value == 0
    # 1 - 0.025 ** (1 / 20): what 20 of 20 leave open.
    label = "share of pairs joined within 0.02 nats by the curve, 32 units"
    assert found[label].low == pytest.approx(0.025 ** (1 / 20))


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"wide": 18}, INCONCLUSIVE),
        ({"wider": 12}, NOT_REPRODUCED),
        ({"wide": 0}, NOT_REPRODUCED),
        ({"narrow": 20}, INCONCLUSIVE),
        ({"narrow": 19}, INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(how: dict, outcome: str) -> None:
    # kills: the largest share in place of the smallest, the other way round for the control, the
    # control left out.
    assert claim.judge(planted(**how)).outcome == outcome


def test_a_path_that_could_not_be_measured_leaves_it_open() -> None:
    measured = planted()
    measured.curve_excess[3, 2] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 19 of 20 pairs" in verdict.explanation
    measured.curve_excess[:] = np.nan
    assert claim.judge(measured).outcome == INCONCLUSIVE


def test_measured_at_small_cost() -> None:
    small = claim.Settings(
        widths=(3, 32), steps=64, examples=60, epochs=40, rate=0.1, batch_size=20
    )
    measured = claim.measure(small, 0)
    wide = measured.sel(width=32)
    assert float(wide.curve_excess) < 0.5 * float(wide.line_excess)
    assert float(measured.length_ratio.min()) > 1.0
    assert float(measured.end_loss.sel(width=3)) > 3 * float(wide.end_loss)
    assert (measured.test_error_excess >= 0).all()
