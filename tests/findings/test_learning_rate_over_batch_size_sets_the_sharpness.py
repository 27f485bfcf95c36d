"""Temperature and sharpness: the rule on planted laws, and real networks at small cost.

Oracle: sharpness planted as a function of the rate over the batch size, or of the rate alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import learning_rate_over_batch_size_sets_the_sharpness as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.network_grid import MEASURES
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

RUNS = [(b, r) for b, rates in claim.RATES for r in rates]


def planted(*, power: float = 1.0, spread: float = 0.1, one: float = 1.0) -> xr.Dataset:
    """Sharpness that falls as ``rate / batch_size ** power``; `one` scales one cell."""
    generator = np.random.default_rng(0)
    batch_size, rate = (np.array(v) for v in zip(*RUNS, strict=True))
    shape = (12, 1, len(RUNS))
    columns = {
        name: batch_size**power / rate * np.exp(spread * generator.normal(size=shape))
        for name in MEASURES
    }
    columns["adaptive"][..., -1] *= one
    columns |= {k: np.full(shape, 0.2) for k in ("error", "validation_error")}
    columns["reached"] = np.ones(shape)
    return xr.Dataset(
        {k: (("seed", "copy", "run"), v) for k, v in columns.items()},
        {"batch_size": ("run", batch_size), "rate": ("run", rate)},
    )


def test_pairs_have_equal_ratios_or_equal_rates() -> None:
    # kills: a pair of another temperature, the control at equal temperature.
    assert claim.alike(planted()) == [((4, 0.005), (16, 0.02)), ((4, 0.01), (16, 0.04))]
    assert claim.unlike(planted()) == [((4, 0.01), (16, 0.01))]


def test_a_law_of_the_ratio_is_reproduced_and_its_control_is_not() -> None:
    # kills: the ratio upside down in the control, one measure alone, the first pair alone.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(1.0, abs=0.15)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"power": 0.0}, NOT_REPRODUCED),
        ({"power": 2.0}, NOT_REPRODUCED),
        ({"one": 3.0}, NOT_REPRODUCED),
        ({"one": 0.3}, NOT_REPRODUCED),
        ({"spread": 1.0}, INCONCLUSIVE),
    ],
)
def test_another_law_is_not(how: dict, outcome: str) -> None:
    # kills: the mean over measures, one side of the range, the interval left out.
    assert claim.judge(planted(**how)).outcome == outcome


def test_a_network_that_missed_the_loss_leaves_it_open() -> None:
    measured = planted()
    for name in MEASURES:
        measured[name][3, 0, 0] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 11 of 12 pairs" in verdict.explanation
    assert claim.estimates(measured)["trace of the Hessian, 4 a batch, rate 0.005"].count == 11


def test_measured_at_small_cost() -> None:
    rates = ((4, (0.01, 0.02)), (8, (0.02, 0.04)))
    small = replace(claim.FINDING.preset("quick"), seeds=2, rates=rates, examples=40, width=24)
    measured = replicated(claim.FINDING, replace(small, directions=1, target=0.3))
    verdict = judged(claim.FINDING, measured)
    assert int(measured.reached.sum()) == 8
    assert len(claim.alike(measured)) == 2
    assert np.isfinite(verdict.effect)
    assert verdict.negative_control.outcome != REPRODUCED
