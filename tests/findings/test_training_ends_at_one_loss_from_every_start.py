"""Spread of the final loss over runs: the rule on planted losses, and real networks.

Oracle: losses planted with known standard deviations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import datasets
from theodolite.findings import training_ends_at_one_loss_from_every_start as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

UNIT = np.array([-1.0, 0.0, 1.0])  # standard deviation 1
FACTORS = np.array([0.9, 1.0, 1.0, 1.1])


def planted(*, wide: float = 0.005, narrow: float = 0.3, noise: float = 1.0) -> xr.Dataset:
    """Four seeds at widths 2, 8, 16, 64 and two rates: spread `wide` at 64 and the higher rate."""
    spread = np.full((4, 4, 2), 0.001)
    spread[:, 0] = [[2 * narrow, narrow]]
    spread[:, 1] = 9.0
    spread[:, 3, 1] = wide
    spread = spread * (FACTORS**noise)[:, None, None]
    loss = 10.0 + spread[..., None] * UNIT
    return xr.Dataset(
        {
            k: (("seed", "width", "rate", "run"), v)
            for k, v in zip(claim.COLUMNS, (loss, loss / 50), strict=True)
        },
        {"width": [2, 8, 16, 64], "rate": [0.02, 0.1]},
    )


def test_planted_spreads_are_reproduced() -> None:
    # kills: the smallest spread in place of the largest, networks between narrow and wide judged,
    # a variance, a deviation over n, a spread over seeds.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(0.005)
    control = verdict.negative_control
    assert (control.outcome, control.effect) == (NOT_REPRODUCED, pytest.approx(0.3))
    found = claim.estimates(planted())
    label = "final training loss, standard deviation over mean, 64 units, rate 0.1"
    assert found[label].value == pytest.approx(0.0005)
    label = "test error, largest of the runs, 64 units, rate 0.1"
    assert found[label].value == pytest.approx(10.005 / 50)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"wide": 0.0099, "noise": 0.01}, REPRODUCED),
        ({"wide": 0.0099}, INCONCLUSIVE),
        ({"wide": 0.02}, NOT_REPRODUCED),
        ({"narrow": 0.001}, INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(how: dict, outcome: str) -> None:
    # kills: the interval left out, the control left out.
    assert claim.judge(planted(**how)).outcome == outcome


def test_a_run_that_diverged_leaves_it_open() -> None:
    # kills: a run skipped.
    measured = planted()
    measured.loss[1, 3, 1, 2] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 3 of 4 seeds" in verdict.explanation


def test_runs_of_one_rate_are_those_of_this_rate_alone() -> None:
    # kills: rates that go with runs, starts or orders that differ by rate.
    data = datasets.digits(0, limit=40, flatten=True).train
    small = claim.Settings(rates=(0.05, 0.1), runs=2, examples=40, epochs=3, batch_size=20)
    both = claim.ends_of(small, data, 6, 1)
    for k, rate in enumerate(small.rates):
        alone = claim.ends_of(replace(small, rates=(rate,)), data, 6, 1)
        for w, own in zip(both, alone, strict=True):
            assert torch.allclose(w[2 * k :][:2], own, atol=1e-5)
    assert not torch.allclose(both[0][0], both[0][2], atol=1e-3)


def test_measured_at_small_cost() -> None:
    small = claim.Settings(
        seeds=2, widths=(2, 32), rates=(0.05, 0.1), runs=3, examples=60, epochs=60, batch_size=20
    )
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert dict(measured.loss.sizes) == {"seed": 2, "width": 2, "rate": 2, "run": 3}
    assert float(measured.loss.sel(width=32).max()) < 0.1 < float(measured.loss.sel(width=2).mean())
    assert verdict.negative_control.effect > 5 * verdict.effect
    assert ((measured.test_error > 0) & (measured.test_error < 1)).all()
    assert len(np.unique(measured.loss)) == 24
