"""Shifted copies: the rule on planted valleys, and a real network at small cost.

Oracle: excess, curvature and shift planted line by line.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import a_shift_costs_half_the_curvature_times_its_square as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.networks import cross_entropy, trained_perceptron
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.operators import hessian

SEEDS = 4


def planted(random: int = 10, sharpest: int = 10, *, off: float = 2.0) -> xr.Dataset:
    """Ten lines of each kind; along so many the excess is as predicted, else `off` times."""
    shift = 0.01 * 3.0 ** np.arange(10)
    predicted = np.tile(0.5 * 2.0 * shift**2, 2)
    factor = np.ones(20)
    factor[random:10] = off
    factor[10 + sharpest :] = off
    shape = (SEEDS, 1)
    columns = {
        "excess": np.tile(predicted * factor, shape),
        "predicted_excess": np.tile(predicted, shape),
        "train_curvature": np.ones((SEEDS, 20)),
        "test_curvature": np.full((SEEDS, 20), 1.9),
        "shift": np.tile(np.tile(shift, 2), shape),
        "gap": np.ones((SEEDS, 20)),
    }
    kinds = [claim.RANDOM] * 10 + [claim.SHARPEST] * 10
    return xr.Dataset(
        {name: (("seed", "line"), v) for name, v in columns.items()}, {"kind": ("line", kinds)}
    )


def test_planted_copies_are_reproduced() -> None:
    # kills: predictions not exchanged in the control, a control over both kinds at once.
    verdict = claim.judge(planted())
    assert (verdict.outcome, verdict.effect) == (REPRODUCED, 1.0)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == 0.0
    mean = float(planted().excess[0, 10:].mean())
    assert f"makes up {mean:.2g} of the gap" in verdict.explanation


@pytest.mark.parametrize(
    ("random", "sharpest", "off", "outcome"),
    [
        (8, 8, 2.0, REPRODUCED),
        (7, 10, 2.0, NOT_REPRODUCED),
        (10, 7, 2.0, NOT_REPRODUCED),
        (10, 7, 0.5, NOT_REPRODUCED),
        (0, 0, 1.4, REPRODUCED),
        (0, 0, 0.7, REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(random: int, sharpest: int, off: float, outcome: str) -> None:
    # kills: one kind for both, a ratio without its absolute logarithm.
    assert claim.judge(planted(random, sharpest, off=off)).outcome == outcome


def test_seeds_that_disagree_are_inconclusive() -> None:
    measured = planted()
    measured.excess[0, 10:] *= 3.0
    assert claim.judge(measured).outcome == INCONCLUSIVE


@pytest.mark.parametrize("curvature", [2.1, 0.45, -1.0, np.nan])
def test_valleys_of_other_widths_are_no_copies(curvature: float) -> None:
    # kills: curvatures left out; a line without a valley left out of the count.
    measured = planted()
    measured.test_curvature[:, 10:13] = curvature
    verdict = claim.judge(measured)
    assert (verdict.outcome, verdict.effect) == (NOT_REPRODUCED, pytest.approx(0.7))


def test_a_control_that_agrees_blocks_the_claim() -> None:
    # kills: the negative control left out.
    measured = planted()
    measured.excess[:] = measured.predicted_excess[:] = 1e-3
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.negative_control.outcome == REPRODUCED


def test_what_else_is_seen_is_reported() -> None:
    measured = planted()
    measured.train_curvature[:] = np.tile(np.arange(10.0) + 1, 2)
    measured["shift"][:, 0] = np.nan
    measured.excess[:, 0] = np.nan
    found = claim.estimates(measured)
    assert found["share of lines with both valleys: random lines"].value == pytest.approx(0.9)
    label = "rank correlation of excess and training curvature: random lines"
    assert found[label].value == pytest.approx(1.0)
    total = float(measured.excess[0, 10:].sum())
    label = "excess over gap, of the means: sharpest lines"
    assert found[label].value == pytest.approx(total / 10)


def test_sharpest_lines_rise_by_one_nat() -> None:
    network, data = trained_perceptron(
        (64, 3, 10), activation="tanh", examples=40, epochs=3, seed=0
    )
    objective = cross_entropy(network, data)
    lines = claim.sharpest(objective, count=2, seed=0)
    dense = hessian(objective).dense()
    forms = torch.stack([0.5 * v @ dense @ v for v in lines])
    assert torch.allclose(forms, torch.ones(2, dtype=forms.dtype), rtol=1e-3)


def test_measured_at_small_cost() -> None:
    small = replace(
        claim.Settings(), seeds=2, sizes=(64, 4, 10), examples=60, random=4, sharpest=3, steps=21
    )
    measured = replicated(claim.FINDING, replace(small, epochs=10))
    judged(claim.FINDING, measured)
    assert measured.kind.values.tolist() == [claim.RANDOM] * 4 + [claim.SHARPEST] * 3
    assert float(np.isfinite(measured["shift"]).mean()) > 0.5
    known = measured.gap.values[np.isfinite(measured.gap.values)]
    assert known.mean() > 0  # kills: training and test exchanged
    again = claim.measure(replace(small, epochs=10), 1)
    assert np.array_equal(again.excess, measured.excess[1], equal_nan=True)
