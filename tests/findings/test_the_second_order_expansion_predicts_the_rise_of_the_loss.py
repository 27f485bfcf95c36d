"""The rise predicted by curvature: its rule on planted rises, and real networks at small cost.

Oracles: rises planted with known errors; a dense Hessian.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import (
    the_second_order_expansion_predicts_the_rise_of_the_loss as claim,
)
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.training_moments import digits_recipe, objectives_at
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.operators import hessian

FACTORS = np.array([0.99, 1.0, 1.01])
BENDS = np.array([1.0, 2.0, 4.0, 8.0])


def planted(random: float, top: float, *, bends: np.ndarray = BENDS) -> xr.Dataset:
    """Three seeds whose predictions err by so much at the distance judged, less nearer by.

    Half of the directions are predicted too high, half too low. Farther, errors are wild, but
    small once more at the end.
    """
    size = np.full((2, len(claim.SHARES)), 7.0)
    at = claim.SHARES.index(claim.SMALL)
    size[:, :at], size[:, -1] = 1e-4, 1e-4
    size[0, at], size[1, at] = random, top
    size[0, at + 1] = 0.05
    rise = np.broadcast_to(bends[:, None], (3, 2, 4, len(claim.SHARES)))
    signs = np.array([1, -1, 1, -1])[:, None]
    predicted = rise * (1 + FACTORS[:, None, None, None] * signs * size[:, None, :])
    dims = ("seed", "family", "direction", "radius")
    return xr.Dataset(
        {
            "measured": (dims, rise),
            "predicted": (dims, predicted),
            "loss": ("seed", [0.01, 0.01, 0.01]),
        },
        {"family": list(claim.FAMILIES), "radius": list(claim.SHARES)},
    )


def test_planted_small_errors_are_reproduced() -> None:
    # Kills: another distance, errors with a sign that cancel, the smaller error shown.
    verdict = claim.judge(planted(0.02, 0.05))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(0.05, rel=1e-3)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect > 1
    assert "up to: 0.01 along random, 0.003 along top directions" in verdict.explanation


@pytest.mark.parametrize(
    ("random", "top", "outcome"),
    [
        (0.097, 0.097, REPRODUCED),
        (0.104, 0.02, NOT_REPRODUCED),
        (0.02, 0.104, NOT_REPRODUCED),
        (0.02, 0.1, INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(random: float, top: float, outcome: str) -> None:
    # Kills: one of the two kinds left out.
    assert claim.judge(planted(random, top)).outcome == outcome


def test_directions_that_are_alike_block_the_claim() -> None:
    # Kills: the negative control left out: any prediction would do here.
    verdict = claim.judge(planted(0.02, 0.02, bends=np.ones(4)))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_an_exact_prediction_has_a_logarithm() -> None:
    # Kills: a logarithm of zero that raises or warns.
    assert claim.judge(planted(0.0, 0.0)).outcome == REPRODUCED


def test_measured_at_small_cost() -> None:
    # Kills: one side, a direction not scaled, the half or the square forgotten, kinds swapped.
    small = replace(claim.Settings(), seeds=2, width=4, examples=60, epochs=100, directions=3)
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    (objective,) = objectives_at(digits_recipe(width=4, examples=60, seed=1), (100,))
    values, vectors = torch.linalg.eigh(hessian(objective).dense())
    theta, top = objective.start, vectors[:, -1]
    at = measured.sel(seed=1, radius=claim.SMALL)
    distance = claim.SMALL * float(theta.norm())
    expected = 0.5 * distance**2 * values[[-1, -2, -3]].numpy()
    assert at.predicted.sel(family="top").values == pytest.approx(expected, rel=1e-3)
    sides = [float(objective.value(theta + s * distance * top)) for s in (1, -1)]
    rise = sum(sides) / 2 - float(objective.value())
    assert float(at.measured.sel(family="top")[0]) == pytest.approx(rise, rel=1e-3)
    random = at.predicted.sel(family="random").values
    assert 0 < random.max() < 0.5 * expected[0]
    near = measured.sel(radius=claim.SHARES[0])
    assert near.predicted.values == pytest.approx(near.measured.values, rel=1e-3)
    found = claim.estimates(measured)
    assert found["relative error, top directions, at 0.0001 of the norm"].value < 1e-3
    assert found["training loss"].count == 2
