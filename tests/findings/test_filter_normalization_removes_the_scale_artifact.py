"""Filter normalization: its rule on planted slices, and real rescaled networks at small cost.

Oracles: changes planted with known sizes; outputs of networks that must be the same function.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from theodolite import models
from theodolite.findings import filter_normalization_removes_the_scale_artifact as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

ALPHA = np.linspace(-1, 1, 11)


def planted(*filtered: float, raw: float = 7.7, function: float = 1e-15) -> xr.Dataset:
    """Slices with a peak of 2 that move by a given share of it, one share a seed."""
    base = np.broadcast_to(1 + ALPHA**2, (len(filtered), 3, 2, 11)).copy()
    for seed, share in enumerate(filtered):
        base[seed, 1, 0, 3] += share
        base[seed, 2, 0, 5] -= 2 * share  # the larger change, at the second factor
        base[seed, 2, 1, 5] += 2 * raw * (1 + 0.1 * seed)
    return xr.Dataset(
        {
            "loss": (("seed", "c", "normalization", "alpha"), base),
            "output_change": (("seed", "c"), np.full((len(filtered), 3), function)),
            "largest_eigenvalue": (("seed", "c"), np.ones((len(filtered), 3)) * [1.0, 2.0, 30.0]),
        },
        {"c": [1.0, 2.0, 10.0], "normalization": list(claim.NORMALIZATIONS), "alpha": ALPHA},
    )


def test_planted_invariance_is_reproduced() -> None:
    # Kills: normalizations swapped, the smallest change over c, a change below its original
    # ignored, a change not taken relative to the peak.
    verdict = claim.judge(planted(1e-13, 2e-13, 4e-13))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(2e-13, rel=1e-2, abs=0)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == pytest.approx(7.7 * (1.1 * 1.2) ** (1 / 3))


def test_planted_moves_are_not_reproduced() -> None:
    assert claim.judge(planted(1e-3, 2e-3, 3e-3)).outcome == NOT_REPRODUCED


@pytest.mark.parametrize(
    "shares",
    [
        (1e-8, 1e-8, 1.1e-8),  # neither invariant nor moved
        (1e-14, 1e-14, 1e-4),  # one network disagrees
        (1e-14,),
    ],
)
def test_in_between_is_inconclusive(shares: tuple[float, ...]) -> None:
    assert claim.judge(planted(*shares)).outcome == INCONCLUSIVE


def test_raw_slices_that_do_not_move_block_the_claim() -> None:
    # Kills: the negative control left out of the judgment.
    verdict = claim.judge(planted(1e-14, 1e-14, 1e-14, raw=1e-12))
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation


def test_another_function_is_inconclusive() -> None:
    verdict = claim.judge(planted(1e-14, 1e-14, 1e-14, function=1e-9))
    assert verdict.outcome == INCONCLUSIVE
    assert "not the same function" in verdict.explanation


def test_no_change_at_all_counts_as_one_rounding() -> None:
    verdict = claim.judge(planted(0.0, 0.0, 0.0))
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(claim.SMALLEST, rel=1e-6, abs=0)


def test_ratios_of_eigenvalues_are_to_the_original() -> None:
    found = claim.estimates(planted(1e-14, 1e-14))
    assert found["ratio of the largest eigenvalues, c = 10"].value == pytest.approx(30.0)


def test_rescaling_keeps_the_function_and_moves_the_parameters() -> None:
    # Kills: a bias of layer 1 left as it was, a bias of layer 2 divided, the original changed.
    torch.manual_seed(0)
    network = models.mlp((6, 5, 3)).double()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.3)
    kept = [p.clone() for p in network.parameters()]
    twin = claim.rescaled(network, 10.0)
    x = torch.randn(9, 6, dtype=torch.float64)
    assert torch.allclose(twin(x), network(x), rtol=1e-13, atol=1e-13)
    first, second = (m for m in twin.modules() if isinstance(m, nn.Linear))
    assert torch.equal(first.weight, 10 * kept[0])
    assert torch.allclose(second.weight, kept[2] / 10)
    assert all(torch.equal(a, b) for a, b in zip(kept, network.parameters(), strict=True))


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=2, scales=(2.0, 10.0), sizes=(64, 8, 10))
    measured = replicated(claim.FINDING, replace(small, examples=60, epochs=4, steps=5))
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == claim.FINDING.expected == REPRODUCED
    assert verdict.effect < 1e-12
    assert verdict.negative_control.effect > 0.1
    assert float(measured.output_change.max()) <= claim.SAME_FUNCTION
    ratio = claim.estimates(measured)["ratio of the largest eigenvalues, c = 10"]
    assert ratio.value > 3
