"""Batch size and sharpness: the rule on planted ratios, and real networks at small cost.

Oracle: sharpness planted as known functions of batch size and rate.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import large_batches_end_at_sharper_minima as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.network_grid import MEASURES
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SMALL, LARGE = 8, 200
RUNS = ((SMALL, 0.02), (LARGE, 0.02), (LARGE, 0.32))


def planted(
    *, ratio: float = 4.0, own_rate: float = 1.0, one: float | None = None, spread: float = 0.1
) -> xr.Dataset:
    """The large batch is `ratio` times sharper at one rate, and `own_rate` times at its own.

    ``one`` is the ratio of the last measure.
    """
    generator = np.random.default_rng(0)
    shape = (8, 2, len(RUNS))
    columns = {}
    for name in MEASURES:
        at = one if one is not None and name == "adaptive" else ratio
        means = np.array([1.0, at, own_rate])
        columns[name] = means * np.exp(spread * generator.normal(size=shape))
    columns["validation_error"] = np.tile([0.2, 0.3, 0.1], (8, 2, 1))
    columns["error"] = np.tile([0.2, 0.3, 0.1], (8, 2, 1))
    columns["reached"] = np.ones(shape)
    batch_size, rate = zip(*RUNS, strict=True)
    return xr.Dataset(
        {k: (("seed", "copy", "run"), v) for k, v in columns.items()},
        {"batch_size": ("run", list(batch_size)), "rate": ("run", list(rate))},
    )


def test_sharper_at_one_rate_and_not_at_a_rate_of_its_own() -> None:
    # kills: the ratio upside down, the large batch at another rate, the controls exchanged.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(4.0, rel=0.1)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(1.0, rel=0.1)
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(1.0, rel=0.1)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_a_large_batch_that_stays_sharp_contradicts_the_corrected_statement() -> None:
    verdict = claim.judge(planted(own_rate=4.0))
    assert verdict.outcome == REPRODUCED
    assert verdict.corrected.outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    ("one", "spread", "outcome"),
    [(1.0, 0.1, NOT_REPRODUCED), (1.8, 1.0, INCONCLUSIVE), (3.0, 0.1, REPRODUCED)],
)
def test_every_measure_must_rise(one: float, spread: float, outcome: str) -> None:
    # kills: the largest of the ratios, their mean.
    assert claim.judge(planted(one=one, ratio=40.0, spread=spread)).outcome == outcome


def test_a_network_that_missed_the_loss_leaves_it_open() -> None:
    measured = planted()
    for name in MEASURES:
        measured[name][0, 0, 1] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 7 of 8 pairs" in verdict.explanation


def test_estimates_show_the_sweep() -> None:
    found = claim.estimates(planted())
    label = "largest Hessian eigenvalue, 200 a batch, rate 0.02"
    assert found[label].value == pytest.approx(4.0, rel=0.1)
    (most,) = (e for k, e in found.items() if k.startswith("ratio") and k.endswith("the Hessian"))
    assert most.value == pytest.approx(1.0, rel=0.1)
    assert found["share of wrong answers on test data, 200 a batch, rate 0.32"].value == 0.1


def test_measured_at_small_cost() -> None:
    rates = ((5, (0.02,)), (60, (0.02,)))
    small = replace(claim.FINDING.preset("quick"), seeds=2, rates=rates, examples=60, width=24)
    measured = replicated(claim.FINDING, replace(small, directions=1, target=0.4))
    verdict = judged(claim.FINDING, measured)
    assert int(measured.reached.sum()) == 8
    assert (claim.fixed(measured, 60)["trace"] > claim.fixed(measured, 5)["trace"]).all()
    assert verdict.negative_control.outcome != REPRODUCED
