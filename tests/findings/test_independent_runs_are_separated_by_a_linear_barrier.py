"""Barriers between independent runs: the rule on planted barriers, and real networks.

Oracle: barriers planted with known means by width and pair.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import independent_runs_are_separated_by_a_linear_barrier as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SETTINGS = claim.Settings(partings=(0, 5))
NOISE = np.array([-1.0, 0.0, 1.0, 0.0])


def planted(
    *, narrow: float = 0.9, wide: float = 0.4, copied: float = 0.001, spread: float = 0.02
) -> xr.Dataset:
    """Four seeds at widths 8 and 16; copies that part at epoch 5 have a barrier of `copied`."""
    heights = np.array([[narrow, 0.05, 0.0001], [wide, 0.01, copied]])
    barrier = heights[None] + spread * NOISE[:, None, None] * np.array([1.0, 0.01, 0.01])
    columns = dict.fromkeys(claim.MEASURES, barrier) | {"loss": np.full(barrier.shape, 0.01)}
    return xr.Dataset(
        {k: (("seed", "width", "pair"), v) for k, v in columns.items()},
        {"width": [8, 16], "pair": claim.pairs(SETTINGS), "latest": claim.copies(5)},
    )


def test_planted_barriers_are_reproduced() -> None:
    # kills: the highest width judged in place of the lowest, copies judged as independent runs,
    # a control that looks at copies that part first, or at the width where they differ least.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(0.4)
    control = verdict.negative_control
    assert (control.outcome, control.effect) == (NOT_REPRODUCED, pytest.approx(0.001))
    assert "copies from epoch 5: 8 units 0.0001" in control.explanation


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"wide": 0.11}, REPRODUCED),
        ({"wide": 0.09}, INCONCLUSIVE),
        ({"wide": 0.2, "spread": 0.2}, INCONCLUSIVE),
        ({"wide": 0.01, "spread": 0.001}, NOT_REPRODUCED),
        ({"wide": -0.1}, NOT_REPRODUCED),
        ({"copied": 0.2}, INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(how: dict, outcome: str) -> None:
    # kills: the least height left out, the interval left out, the negative control left out.
    assert claim.judge(planted(**how)).outcome == outcome


def test_a_network_that_diverged_leaves_it_open() -> None:
    measured = planted()
    measured.barrier[2, 0, 0] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 3 of 4 pairs" in verdict.explanation


def test_estimates_count_high_barriers_and_compare_widths() -> None:
    measured = planted(wide=0.1, spread=0.02)
    found = claim.estimates(measured)
    assert found["share of independent pairs above 0.1 nats, 16 units"].value == 0.75
    label = "barrier between independent runs, 16 units minus 8"
    assert found[label].value == pytest.approx(-0.8)
    label = "barrier of the test error, copies from the start, 8 units"
    assert found[label].value == pytest.approx(0.05)


def test_copies_part_when_they_should() -> None:
    orders = claim.orders_of((0, 5))
    assert [orders(e) for e in (0, 4, 5)] == [[0, 1, 2, 0], [0, 1, 2, 0], [0, 1, 2, 3]]
    assert claim.pairs(SETTINGS)[1:] == ["copies from the start", "copies from epoch 5"]


def test_measured_at_small_cost() -> None:
    small = claim.Settings(
        seeds=2, widths=(16,), partings=(0, 10), examples=60, epochs=30, rate=0.1, batch_size=20
    )
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert dict(measured.barrier.sizes) == {"seed": 2, "width": 1, "pair": 3}
    assert float(measured.loss.max()) < 0.2
    apart = measured.barrier.sel(pair=claim.INDEPENDENT)
    assert float(apart.min()) > 10 * float(measured.barrier.sel(pair="copies from epoch 10").max())
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert len(np.unique(apart)) == 2
    assert "copies from epoch 10: 16 units" in verdict.negative_control.explanation
