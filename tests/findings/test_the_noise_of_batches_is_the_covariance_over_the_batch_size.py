"""Noise of batches: the rule on planted spreads, the draws against enumeration, a small run.

Oracles: all batches of a small data set listed; planted spreads.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import datasets
from theodolite.findings import (
    the_noise_of_batches_is_the_covariance_over_the_batch_size as claim,
)
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.many_starts import each_gradient, starting_weights
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SIZES = (4, 256)


def planted(*, power: float = 1.0, population: bool = True, spread: float = 0.005) -> xr.Dataset:
    """Spreads that fall as ``B ** -power``, with the factor of a finite population or without."""
    generator = np.random.default_rng(0)
    sizes = np.array(SIZES, dtype=float)
    exact = 10.0 / sizes**power * ((1 - sizes / 512) if population else 1.0)
    seen = exact * np.exp(spread * generator.normal(size=(6, 2)))
    return xr.Dataset(
        {
            "spread": (("seed", "batch_size"), seen),
            "spread_replaced": (("seed", "batch_size"), np.tile(10.0 * 511 / 512 / sizes, (6, 1))),
            "covariance_trace": ("seed", np.full(6, 10.0)),
            "examples": ("seed", np.full(6, 512)),
            "loss": ("seed", np.full(6, 0.3)),
        },
        {"batch_size": ("batch_size", list(SIZES))},
    )


def test_the_law_is_reproduced_and_its_control_is_not() -> None:
    # kills: the ratio upside down, the factor left out of the claim or put into the control.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (REPRODUCED, REPRODUCED)
    assert verdict.effect == pytest.approx(1.0, abs=0.02)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({"power": 0.9}, NOT_REPRODUCED),
        ({"population": False}, NOT_REPRODUCED),
        ({"spread": 0.2}, INCONCLUSIVE),
    ],
)
def test_another_law_is_not(how: dict, outcome: str) -> None:
    # kills: only the first batch size judged, an interval of one size alone taken for all.
    assert claim.judge(planted(**how)).outcome == outcome


def test_draws_agree_with_all_batches_listed() -> None:
    # kills: draws with replacement, an uneven choice, gradients summed instead of averaged,
    # distances from another point than the gradient of the whole.
    x, y = datasets.digits(0, limit=6, flatten=True).train
    weights = starting_weights(64, 3, int(y.max()) + 1, 1, 0)
    whole = each_gradient(weights, x, y)

    def apart(rows: list[int]) -> float:
        found = each_gradient(weights, x[rows], y[rows])
        return float(sum((a - b).square().sum() for a, b in zip(found, whole, strict=True)))

    for size in (1, 2, 4):
        listed = [apart(list(rows)) for rows in combinations(range(6), size)]
        drawn = [claim.spread(weights, x, y, size, draws=400, seed=s) for s in range(4)]
        error = np.std(listed) / np.sqrt(1600)
        assert np.mean(drawn) == pytest.approx(np.mean(listed), abs=4 * error)
    pairs = [apart([a, b]) for a in range(6) for b in range(6)]
    drawn = [claim.spread(weights, x, y, 2, draws=400, seed=s, replace=True) for s in range(4)]
    assert np.mean(drawn) == pytest.approx(np.mean(pairs), abs=4 * np.std(pairs) / 40)
    assert np.mean(pairs) > 1.2 * np.mean([apart(list(r)) for r in combinations(range(6), 2)])


def test_chunks_of_draws_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # kills: a last chunk dropped or counted as a whole one.
    x, y = datasets.digits(0, limit=20, flatten=True).train
    weights = starting_weights(64, 3, 10, 1, 0)
    one = claim.spread(weights, x, y, 5, draws=17, seed=0)
    monkeypatch.setattr(claim, "AT_ONCE", 40)
    assert claim.spread(weights, x, y, 5, draws=17, seed=0) == pytest.approx(one, rel=1e-5)


def test_estimates_know_both_ways_of_drawing() -> None:
    found = claim.estimates(planted())
    assert found["measured over tr(Sigma)/B, 256 a batch"].value == pytest.approx(0.5, rel=0.02)
    label = "with replacement, measured over tr(Sigma)/B (1 - 1/N), 4 a batch"
    assert found[label].value == pytest.approx(1.0)


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=2, batch_sizes=(8, 50), draws=600, examples=100)
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert (measured.loss < 0.31).all()
    assert verdict.negative_control.outcome != REPRODUCED
    for size in (8, 50):
        assert claim.ratio(measured, size).value == pytest.approx(1.0, abs=0.12)
    assert torch.get_default_dtype() == torch.float32
