"""Dinh's rescaling: the rule on planted factors, and real networks at small cost.

Oracles: factors planted; losses of networks that must be the same function, and of one that is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from theodolite import models
from theodolite.findings import sharpness_belongs_to_the_network_not_to_its_parameters as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.networks import cross_entropy
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SPREAD = np.array([0.98, 1.0, 1.0, 1.02])
CHANGES = [claim.RESCALED, claim.PERMUTED, claim.ALONE]


def planted(
    plain: float, adaptive: float, *, permuted: float = 1e-9, alone: float = 40.0
) -> xr.Dataset:
    """Changes of four networks: the given ones at the second of two factors, half at the first."""
    original = np.arange(1.0, 8.0) * SPREAD[:, None]
    change = np.empty((4, 3, 2, 7))
    change[:, 0, 1, :3], change[:, 0, 1, 3:] = plain, adaptive
    change[:, 1, 1], change[:, 2, 1] = permuted, alone
    change[:, :, 0] = change[:, :, 1] / 2
    factor = 1 + change * SPREAD[:, None, None, None]
    factor[:, 0, :, 1] = 1 / factor[:, 0, :, 1]  # the trace shrinks
    function = np.broadcast_to([[1e-15], [1e-15], [0.5]], (4, 3, 2)).copy()
    return xr.Dataset(
        {
            "original": (("seed", "measure"), original),
            "value": (("seed", "change", "c", "measure"), original[:, None, None] * factor),
            "function_change": (("seed", "change", "c"), function),
            "train_loss": (("seed",), np.full(4, 0.01)),
            "test_loss": (("seed",), np.full(4, 0.3)),
        },
        {"change": CHANGES, "c": [2.0, 10.0], "measure": list(claim.MEASURES)},
    )


def test_large_factors_refute_the_claim_and_leave_the_corrected_one() -> None:
    # kills: the smallest change over c, the factor in place of the change, a change not relative
    # to the original, measures mixed up.
    verdict = claim.judge(planted(900.0, 1e-9))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(900.0, rel=1e-3)
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(40.0, rel=1e-3)
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(1e-9, rel=1e-3, abs=0)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_a_measure_that_shrinks_has_changed_too() -> None:
    # kills: a change without its absolute value.
    measured = planted(5.0, 1e-9)
    for name in ("largest_eigenvalue", "sam"):
        measured.value.loc[{"change": claim.RESCALED, "measure": name}] = measured.original.sel(
            measure=name
        )
    assert claim.judge(measured).outcome == NOT_REPRODUCED
    found = claim.estimates(measured)
    assert found["factor of the trace of the Hessian, c = 10"].value == pytest.approx(6.0, rel=1e-2)
    assert found["training loss, of all rescaled twins alike"].value == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("plain", "adaptive", "outcome", "corrected"),
    [
        (1e-9, 1e-9, REPRODUCED, REPRODUCED),
        (9e-6, 1e-9, REPRODUCED, REPRODUCED),
        (1.1e-5, 1e-9, INCONCLUSIVE, REPRODUCED),
        (0.9, 1e-9, INCONCLUSIVE, REPRODUCED),
        (1.1, 1e-9, NOT_REPRODUCED, REPRODUCED),
        (1e-9, 1e-3, INCONCLUSIVE, INCONCLUSIVE),
        (50.0, 3.0, NOT_REPRODUCED, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(plain: float, adaptive: float, outcome: str, corrected: str) -> None:
    verdict = claim.judge(planted(plain, adaptive))
    assert (verdict.outcome, verdict.corrected.outcome) == (outcome, corrected)


def test_controls_that_fail_block_the_verdicts() -> None:
    # kills: either control left out of the judgment; the control shown that moves most.
    assert claim.judge(planted(900.0, 1e-9, permuted=1e-3)).outcome == INCONCLUSIVE
    blind = claim.judge(planted(1e-9, 1e-9, alone=0.5))
    assert blind.outcome == blind.corrected.outcome == INCONCLUSIVE
    measured = planted(1e-9, 1e-9)
    where = {"change": claim.ALONE, "measure": "fisher_rao"}
    measured.value.loc[where] = measured.original.sel(measure="fisher_rao")
    verdict = claim.judge(measured)
    assert verdict.outcome == verdict.corrected.outcome == INCONCLUSIVE
    assert verdict.negative_control.effect == pytest.approx(claim.SMALLEST, rel=1e-6, abs=0)


def test_a_control_of_which_one_measure_is_uncertain_blocks_the_claim() -> None:
    # kills: the outcome of the measure shown alone in the negative control.
    measured = planted(1e-9, 1e-9)
    factor = xr.DataArray([1.5, 1e4, 1.5, 1e4], dims="seed")
    where = {"change": claim.ALONE, "measure": "trace"}
    measured.value.loc[where] = (factor * measured.original.sel(measure="trace")).values[:, None]
    verdict = claim.judge(measured)
    assert verdict.negative_control.outcome == verdict.outcome == INCONCLUSIVE
    assert verdict.corrected.outcome == REPRODUCED


def test_another_function_is_inconclusive() -> None:
    measured = planted(900.0, 1e-9)
    measured.function_change[1, 0, 0] = 1e-9
    verdict = claim.judge(measured)
    assert verdict.outcome == verdict.corrected.outcome == INCONCLUSIVE
    assert "not the same network" in verdict.explanation
    measured = planted(900.0, 1e-9)
    measured.function_change[1, 2, 0] = 0.0  # a control that is the same network after all
    assert claim.judge(measured).corrected.outcome == INCONCLUSIVE


def test_changes_keep_the_network_or_do_not() -> None:
    # kills: a bias left behind, rows permuted without columns, the start changed.
    torch.manual_seed(0)
    network = models.mlp((6, 5, 3)).double()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.3)
    x = torch.randn(9, 6, dtype=torch.float64)
    objective = cross_entropy(network, (x, torch.arange(9) % 3))
    start, before = objective.start.clone(), objective.losses()
    points = {change: claim.changed(objective, change, 10.0, 1) for change in CHANGES}
    for change in (claim.RESCALED, claim.PERMUTED):
        assert not torch.equal(points[change], start)
        assert torch.allclose(objective.losses(points[change]), before, rtol=1e-12)
    assert torch.equal(points[claim.PERMUTED].sort().values, start.sort().values)
    assert not torch.allclose(objective.losses(points[claim.ALONE]), before, rtol=1e-2)
    first, second = (m for m in network if isinstance(m, nn.Linear))
    views = objective.space.views(points[claim.ALONE])
    kept = list(views.values())
    assert torch.equal(kept[0], 10 * first.weight)
    assert torch.equal(kept[1], 10 * first.bias)
    assert torch.equal(kept[2], second.weight)
    assert torch.equal(objective.start, start)


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), scales=(30.0,), sizes=(64, 4, 10), examples=40, epochs=8)
    measured = replicated(claim.FINDING, replace(small, seeds=1), seed=1)
    verdict = judged(claim.FINDING, measured)
    moved = measured.function_change.max(("seed", "c"))
    assert float(moved.sel(change=claim.RESCALED)) <= claim.SAME_FUNCTION
    assert float(moved.sel(change=claim.PERMUTED)) <= claim.SAME_FUNCTION
    assert float(moved.sel(change=claim.ALONE)) > 1e-3
    assert float(claim.factors(measured, claim.PERMUTED).max()) - 1 < 1e-6
    grown = claim.factors(measured, claim.RESCALED).isel(seed=0, c=0)
    assert bool((grown.sel(measure=list(claim.PLAIN)) > 5).all())
    assert float(grown.sel(measure=list(claim.ADAPTIVE)).max()) - 1 < 1e-6
    assert verdict.corrected.effect < claim.TOLERANCE
    assert verdict.outcome == INCONCLUSIVE  # one network says nothing of others
    assert np.array_equal(claim.measure(small, 1).value, measured.value[0])
