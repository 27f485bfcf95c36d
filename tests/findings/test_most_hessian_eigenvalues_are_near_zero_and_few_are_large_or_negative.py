"""The Hessian spectrum: its rule on planted spectra, forced zeros, and real networks.

Oracles: spectra planted with known counts; the zeros of dense matrices at random weights.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import (
    most_hessian_eigenvalues_are_near_zero_and_few_are_large_or_negative as claim,
)
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.networks import cross_entropy
from theodolite.findings.training_moments import digits_recipe, objectives_at
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.operators import ggn, hessian

SIZE, FORCED = 1000, 100
TYPICAL = (900, 40, 22)
START = (700, 200, 60)
Counts = tuple[int, int, int]


def spectrum(near: int, negative: int, large: int, *, scale: float = 7.0) -> np.ndarray:
    """As many eigenvalues near zero, negative and large as asked for; the rest in between."""
    rest = SIZE - near - negative - large
    shares = [1.0] + [0.11] * (large - 1) + [0.09] * rest
    shares += [0.009, -0.0009] * (near // 2) + [-0.011] * negative
    return scale * np.sort(shares)


def planted(*last: Counts, start: Counts = START, loss: float = 0.01) -> xr.Dataset:
    """One seed for each of `last`; the middle moment would refute anything."""
    middle = spectrum(400, 300, 200)
    values = [[spectrum(*start), middle, spectrum(*counts)] for counts in last]
    seeds = len(last)
    return xr.Dataset(
        {
            "eigenvalue": (("seed", "epoch", "index"), values),
            "loss": (("seed", "epoch"), [[2.3, 0.5, loss]] * seeds),
            "forced": ("seed", [FORCED] * seeds),
            "few_eigenvalue": (("seed", "index"), [np.r_[np.zeros(850), [0.5] * 149, 1.0]] * seeds),
            "few_forced": ("seed", [800] * seeds),
        },
        {"epoch": [0, 50, 400]},
    )


def test_a_planted_bulk_with_outliers_is_reproduced() -> None:
    # Kills: another moment, zeros that are forced counted as bulk or left in the total.
    verdict = claim.judge(planted(TYPICAL, TYPICAL, TYPICAL))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(800 / 900)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(600 / 900)
    assert "4.0%" in verdict.explanation
    assert "22.0" in verdict.explanation


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ((866, 50, 30), REPRODUCED),
        ((864, 40, 22), NOT_REPRODUCED),  # 86.4 % of all, 84.9 % of those not forced
        ((900, 51, 22), NOT_REPRODUCED),
        ((900, 40, 31), NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(counts: Counts, outcome: str) -> None:
    # Kills: one of the three parts left out, a bound moved, the sign of negative.
    assert claim.judge(planted(counts, counts)).outcome == outcome


def test_seeds_that_disagree_are_inconclusive() -> None:
    assert claim.judge(planted((880, 40, 22), (920, 40, 22), (840, 40, 22))).outcome == INCONCLUSIVE
    assert claim.judge(planted(TYPICAL)).outcome == INCONCLUSIVE


def test_a_start_like_the_end_blocks_the_claim() -> None:
    verdict = claim.judge(planted(TYPICAL, TYPICAL, start=TYPICAL))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


@pytest.mark.parametrize("loss", [0.11, np.nan])
def test_networks_that_are_not_trained_say_nothing(loss: float) -> None:
    # Kills: the loss of the first moment, a loss that is not a number taken for a small one.
    for counts in (TYPICAL, START):
        verdict = claim.judge(planted(counts, counts, loss=loss))
        assert verdict.outcome == INCONCLUSIVE
        assert "no solution" in verdict.explanation


def test_zeros_forced_by_few_examples_are_told_apart() -> None:
    found = claim.estimates(planted(TYPICAL, TYPICAL))
    few = "few examples, Gauss-Newton, at the start: share forced to zero"
    assert found[few].value == pytest.approx(0.8)
    assert found["the same: share exactly zero"].value == pytest.approx(0.85)
    assert found["the same: share near zero, of all"].value == pytest.approx(0.85)
    assert found["the same: share near zero, of those not forced"].value == pytest.approx(0.25)
    assert found["share of eigenvalues forced to zero"].value == pytest.approx(0.1)
    assert found["large eigenvalues, after 50 epochs"].value == pytest.approx(200)
    depth = found["depth of the most negative over the largest, after 400 epochs"]
    assert depth.value == pytest.approx(0.011)
    assert found["training loss, after 400 epochs"].value == pytest.approx(0.01)


@pytest.mark.parametrize(("examples", "width"), [(100, 3), (20, 20)])
def test_forced_zeros_are_those_of_a_matrix_at_random_weights(examples: int, width: int) -> None:
    # Kills: the bias, the shifts or the rank of the Gauss-Newton matrix left out. In the first
    # case zeros come from what no example sees, in the second from the rank.
    recipe = digits_recipe(width=width, examples=examples, seed=1)
    (start,) = objectives_at(recipe, (0,))
    matrix = ggn(start).dense()
    values = torch.linalg.eigvalsh(matrix)
    zeros = int((values.abs() < claim.EXACT * values.max()).sum())
    assert zeros == claim.forced_zeros(recipe.data.train[0], width)


def test_measured_at_small_cost() -> None:
    # Kills: a Gauss-Newton matrix in place of the Hessian, one moment for all, few examples
    # that are not few.
    small = replace(claim.Settings(), seeds=2, width=4, examples=60, epochs=(0, 300))
    measured = replicated(claim.FINDING, replace(small, few_examples=3))
    assert judged(claim.FINDING, measured).negative_control.outcome == NOT_REPRODUCED
    value = measured.eigenvalue
    assert measured.sizes["index"] == 4 * 65 + 10 * 5
    zeros = (np.abs(value) < claim.EXACT * value.max("index")).sum("index")
    assert (zeros == measured.forced).all()
    few = measured.few_eigenvalue
    zeros = (np.abs(few) < claim.EXACT * few.max("index")).sum("index")
    assert (zeros == measured.few_forced).all()
    recipe = digits_recipe(width=4, examples=60, seed=1)
    start, last = objectives_at(recipe, (0, 300))
    trace = [float(hessian(m).dense().trace()) for m in (start, last)]
    assert value.sel(seed=1).sum("index").values == pytest.approx(trace)
    assert measured.loss.sel(seed=1).values == pytest.approx(
        [float(m.value()) for m in (start, last)]
    )
    x, y = recipe.data.train
    matrix = ggn(cross_entropy(start.model, (x[:3].double(), y[:3]))).dense()
    assert float(few.sel(seed=1).sum()) == pytest.approx(float(matrix.trace()))
    assert float(claim.negative(value.sel(epoch=300)).max()) < float(
        claim.negative(value.sel(epoch=0)).min()
    )
