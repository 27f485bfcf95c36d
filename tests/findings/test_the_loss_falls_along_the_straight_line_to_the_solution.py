"""The straight line: the rule on planted profiles, and real trainings at small cost.

Oracle: profiles planted with known climbs; the loss of both ends by torch itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from theodolite.findings import the_loss_falls_along_the_straight_line_to_the_solution as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS, NETWORKS, STEPS = 6, 6, 11


def planted(climbing: int, *, height: float = 0.5, between: float = 1.0) -> xr.Dataset:
    """36 lines a condition from 10 down to 0, of which so many climb by `height` on the way."""
    names = [*claim.CONDITIONS, claim.OTHER]
    falling = np.linspace(10, 0, STEPS)
    lines = np.broadcast_to(falling, (SEEDS, len(names), NETWORKS, STEPS)).copy()
    chosen = lines[:, 0].reshape(-1, STEPS)
    chosen[:climbing, 5] = chosen[:climbing, 4] + height
    lines[:, 0] = chosen.reshape(SEEDS, NETWORKS, STEPS)
    lines[:, -1, :, 5] = falling[4] + between
    return xr.Dataset(
        {"loss": (("seed", "condition", "network", "alpha"), lines)},
        {"condition": names, "alpha": np.linspace(0, 1, STEPS)},
    )


@pytest.mark.parametrize(
    ("climbing", "outcome"),
    [(0, REPRODUCED), (1, INCONCLUSIVE), (7, INCONCLUSIVE), (8, NOT_REPRODUCED)],
)
def test_the_rule_at_its_edges(climbing: int, outcome: str) -> None:
    # The exact interval of 0 of 36 ends at 1 - 0.025 ** (1 / 36) = 0.0974, that of 7 begins at
    # 0.082 and that of 8 at 0.101. kills: conditions pooled, one line a seed.
    verdict = claim.judge(planted(climbing))
    assert verdict.effect == pytest.approx(climbing / 36)
    assert verdict.outcome == outcome
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    if climbing == 0:
        assert verdict.interval[1] == pytest.approx(1 - 0.025 ** (1 / 36))


def test_small_climbs_are_tolerated_to_a_thousandth_of_the_range() -> None:
    # kills: a climb not taken relative to the range; every climb counted.
    assert claim.judge(planted(36, height=0.009)).outcome == REPRODUCED
    assert claim.judge(planted(36, height=0.011)).outcome == NOT_REPRODUCED


def test_lines_between_solutions_that_fall_block_the_claim() -> None:
    verdict = claim.judge(planted(0, between=0.0))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_other_conditions_are_counted_apart_and_diverged_trainings_left_out() -> None:
    measured = planted(0)
    row = list(claim.CONDITIONS).index("Adam, large rate")
    measured.loss[:, row, :3, 7] = 20.0
    measured.loss[0, row, 5] = np.nan
    found = claim.estimates(measured)["share of lines that climb, Adam, large rate"]
    assert (round(found.value * found.count), found.count) == (18, 35)
    verdict = claim.judge(measured)
    assert verdict.outcome == REPRODUCED
    assert "Adam, large rate 51%" in verdict.explanation
    measured.loss[:, row] = np.nan
    assert "Adam, large rate none" in claim.judge(measured).explanation
    assert "share of lines that climb, Adam, large rate" not in claim.estimates(measured)


def small(**changed: object) -> claim.Settings:
    given = {"width": 8, "depths": (1,), "examples": 40, "epochs": 3, "steps": 5} | changed
    return replace(claim.Settings(), **given)


@pytest.mark.parametrize("condition", [claim.CLAIMED, "Adam, large rate, BatchNorm"])
def test_a_profile_runs_from_the_start_to_the_end(condition: str) -> None:
    # Oracle: the loss of both networks, BatchNorm with statistics of the whole training set.
    # kills: ends exchanged, the trained network's statistics kept along the line.
    (run, *_) = claim._runs(small(), claim.CONDITIONS[condition], seed=2)
    start = claim._start(run)
    found = claim.profile(start, run, 5)
    x, y = run.recipe.data.train
    for value, network in ((found[0], claim._start(run)), (found[-1], run.model)):
        network = network.double()
        for norm in network.modules():
            if isinstance(norm, nn.BatchNorm1d):
                norm.track_running_stats = False
                norm.running_mean = norm.running_var = None
        with torch.no_grad():
            expected = nn.CrossEntropyLoss()(network(x.double()), y)
        assert value == pytest.approx(float(expected), rel=1e-3)
    assert found[-1] < found[0]


def test_measured_at_small_cost() -> None:
    measured = replicated(claim.FINDING, small(seeds=2))
    judged(claim.FINDING, measured)
    claim.estimates(measured)
    assert measured.sizes == {"seed": 2, "condition": 7, "network": 2, "alpha": 5}
    start = measured.loss.isel(alpha=0)
    sgd, adam = (start.sel(condition=c) for c in (claim.CLAIMED, "Adam"))
    assert np.array_equal(sgd, adam)  # kills: conditions that do not start from one network
    end = measured.loss.isel(alpha=-1).sel(condition=claim.CLAIMED)
    assert np.allclose(measured.loss.isel(alpha=0).sel(condition=claim.OTHER), end)
    assert np.array_equal(claim.measure(small(), 1).loss, measured.loss[1])
