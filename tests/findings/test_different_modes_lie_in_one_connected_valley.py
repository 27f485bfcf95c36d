"""Modes as parts of one valley: the rule on planted distances, and real networks.

Oracle: disagreements, rises and barriers planted by kind; pairs counted by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from theodolite.findings import different_modes_lie_in_one_connected_valley as claim
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

FACTORS = np.array([0.9, 1.0, 1.0, 1.1])


def planted(
    *,
    apart: float = 5.0,
    others: float = 1.0,
    untrained: float = 20.0,
    rise: float = 0.003,
    barrier: float = 0.5,
) -> xr.Dataset:
    """Four seeds: independent runs are `apart` times as far apart as snapshots of a run."""
    ratio = np.array([apart, 1.0, others, untrained])
    known = 0.05 * np.tile(ratio, (4, 1)) * FACTORS[:, None] ** np.array([1, 0, 0, 0])
    heights = {
        "curve_excess": np.tile([rise, 0.0, 0.001, 0.0], (4, 1)),
        "barrier": np.tile([barrier, 0.0, 0.0, 0.0], (4, 1)) * FACTORS[:, None],
    }
    columns = dict.fromkeys(claim.FUNCTIONS, known) | heights
    return xr.Dataset(
        {k: (("seed", "kind"), v) for k, v in columns.items()}, {"kind": list(claim.KINDS)}
    )


def test_modes_that_differ_as_functions_are_no_parts_of_one_valley() -> None:
    # kills: the ratio upside down, snapshots of another run judged, the corrected statement
    # without its barrier.
    verdict = claim.judge(planted())
    assert (verdict.outcome, claim.FINDING.expected) == (NOT_REPRODUCED, NOT_REPRODUCED)
    assert verdict.effect == pytest.approx(5.0, rel=0.01)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED
    found = claim.estimates(planted())
    label = "normalized disagreement, a run and its start, over that of snapshots of a run"
    assert found[label].value == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("how", "outcome", "corrected"),
    [
        ({"apart": 1.2}, REPRODUCED, NOT_REPRODUCED),
        ({"apart": 1.48}, INCONCLUSIVE, NOT_REPRODUCED),
        ({"apart": 1.9}, NOT_REPRODUCED, INCONCLUSIVE),
        ({"apart": 1.2, "rise": 0.1}, NOT_REPRODUCED, NOT_REPRODUCED),
        ({"rise": 0.1}, NOT_REPRODUCED, NOT_REPRODUCED),
        ({"barrier": 0.05}, NOT_REPRODUCED, NOT_REPRODUCED),
        ({"others": 1.7}, INCONCLUSIVE, REPRODUCED),
        ({"apart": 1.2, "untrained": 1.2}, INCONCLUSIVE, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(how: dict, outcome: str, corrected: str) -> None:
    # kills: one part of a rule left out, a control left out, the interval left out.
    verdict = claim.judge(planted(**how))
    assert (verdict.outcome, verdict.corrected.outcome) == (outcome, corrected)


def test_snapshots_that_never_differ_leave_it_open() -> None:
    measured = planted()
    measured.normalized_disagreement[1, 1] = 0.0
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 3 of 4 seeds" in verdict.explanation


def test_functions_are_compared_over_all_pairs() -> None:
    # kills: the first pair alone, a network compared with itself.
    def fixed(answer: int) -> nn.Module:
        network = nn.Linear(1, 3).double()
        with torch.no_grad():
            network.weight.zero_()
            network.bias.copy_(torch.eye(3)[answer] * 50)
        return network

    x, y = torch.zeros(4, 1, dtype=torch.float64), torch.tensor([0, 0, 1, 2])
    found = claim.functions([fixed(0), fixed(0), fixed(1)], (x, y))
    assert found["disagreement"] == pytest.approx(2 / 3)
    # mean errors of the pairs: 1/2, 5/8, 5/8
    assert found["normalized_disagreement"] == pytest.approx((0 + 1 / 0.625 + 1 / 0.625) / 3)
    assert found["jensen_shannon"] == pytest.approx(2 / 3 * np.log(2))


def test_measured_at_small_cost() -> None:
    small = claim.Settings(
        members=2, width=16, examples=60, epochs=30, cycle=3, batch_size=20, steps=100
    )
    measured = claim.measure(small, 0)
    assert measured.kind.values.tolist() == list(claim.KINDS)
    found = {kind: measured.sel(kind=kind) for kind in claim.KINDS}
    apart, near = found[claim.INDEPENDENT], found[claim.SNAPSHOT]
    assert float(apart.normalized_disagreement) > 1.5 * float(near.normalized_disagreement)
    assert float(apart.barrier) > 5 * float(near.barrier)
    assert float(apart.curve_excess) < float(apart.barrier)
    assert float(found[claim.UNTRAINED].disagreement) > float(apart.disagreement)
    assert not found[claim.OTHERS].identical(near.assign_coords(kind=claim.OTHERS))
