"""The gradient in the top subspace: its rule on planted shares, and real networks at small cost.

Oracles: planted shares; dense eigenvectors.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import gradients_lie_in_the_top_hessian_subspace as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.training_moments import digits_recipe, objectives_at
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.operators import hessian

FACTORS = np.array([0.99, 1.0, 1.01])
PASSING = (0.17, 0.61, 0.80, 0.007)
Shares = tuple[float, float, float, float, float]


def planted(*gradient: float, batch: float = 0.7, random: float = 0.007) -> xr.Dataset:
    """Shares of three seeds at four moments; single batches count at the last alone."""
    row = np.stack([np.array(gradient), np.full(4, random), np.array([0.1] * 3 + [batch])], axis=1)
    return xr.Dataset(
        {
            "share": (("seed", "epoch", "vector"), FACTORS[:, None, None] * row),
            "loss": (("seed", "epoch"), np.full((3, 4), 0.25)),
        },
        {"epoch": [0, 10, 50, 400], "vector": list(claim.VECTORS)},
    )


def test_a_share_that_goes_again_refutes_the_claim_and_bears_out_the_correction() -> None:
    # Kills: another vector, the largest share shown in place of the least, moments mixed up.
    verdict = claim.judge(planted(*PASSING))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(0.007)
    assert verdict.interval[0] < verdict.effect < verdict.interval[1]
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.corrected.outcome == REPRODUCED
    assert verdict.corrected.effect == pytest.approx(0.80)
    assert verdict.corrected.negative_control.outcome == NOT_REPRODUCED


def test_the_verdict_says_where_it_holds() -> None:
    verdict = claim.judge(planted(*PASSING))
    assert "By epochs: reproduced after 50; not reproduced after 400." in verdict.explanation
    said = verdict.corrected.explanation
    assert "By epochs: reproduced after 50." in said
    assert "After 400 epochs that of the gradient vector is 0.007" in said
    assert "that of the batch vector 0.7" in said


@pytest.mark.parametrize(
    ("shares", "outcome", "corrected"),
    [
        ((0.1, 0.1, 0.51, 0.51, 0.7), REPRODUCED, NOT_REPRODUCED),
        ((0.1, 0.1, 0.8, 0.3, 0.51), NOT_REPRODUCED, REPRODUCED),
        ((0.1, 0.1, 0.8, 0.3, 0.4), NOT_REPRODUCED, NOT_REPRODUCED),
        ((0.9, 0.9, 0.4, 0.3, 0.7), NOT_REPRODUCED, NOT_REPRODUCED),
        ((0.9, 0.9, 0.4, 0.9, 0.7), NOT_REPRODUCED, NOT_REPRODUCED),
    ],
)
def test_the_last_two_moments_count(shares: Shares, outcome: str, corrected: str) -> None:
    # Kills: earlier moments judged with the rest, one moment of two, one of the three parts.
    verdict = claim.judge(planted(*shares[:4], batch=shares[4]))
    assert (verdict.outcome, verdict.corrected.outcome) == (outcome, corrected)


def test_seeds_that_disagree_are_inconclusive() -> None:
    measured = planted(0.17, 0.6, 0.8, 0.6)
    measured.share.loc[{"epoch": 400, "vector": "gradient"}] = [0.1, 0.8, 0.9]
    verdict = claim.judge(measured)
    assert verdict.outcome == verdict.corrected.outcome == INCONCLUSIVE
    assert "inconclusive after 400" in verdict.explanation


def test_a_share_must_be_above_chance() -> None:
    # Kills: an interval that reaches down to chance.
    measured = planted(0.17, 0.6, 0.8, 0.6)
    measured.share.loc[{"epoch": 50, "vector": "gradient"}] = [0.4, 0.6, 0.82]
    assert claim.judge(measured).outcome == INCONCLUSIVE


def test_a_random_vector_that_lies_there_blocks_both_statements() -> None:
    # Kills: the negative controls left out of the judgment.
    measured = planted(0.17, 0.6, 0.8, 0.6)
    measured.share.loc[{"epoch": [50, 400], "vector": "random"}] = 0.9
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "negative control" in verdict.explanation
    measured = planted(*PASSING)
    measured.share.loc[{"epoch": [50, 400], "vector": "random"}] = 0.9
    assert claim.judge(measured).corrected.outcome == INCONCLUSIVE
    measured.share.loc[{"epoch": 400, "vector": "random"}] = 0.1
    assert claim.judge(measured).corrected.outcome == REPRODUCED


def test_measured_at_small_cost() -> None:
    # Kills: eigenvectors of another moment, the smallest eigenvalues, shares not squared.
    small = replace(claim.Settings(), seeds=2, width=4, examples=60, epochs=(0, 10, 20))
    measured = replicated(claim.FINDING, replace(small, batches=2))
    judged(claim.FINDING, measured)
    recipe = digits_recipe(width=4, examples=60, seed=1)
    for i, objective in enumerate(objectives_at(recipe, small.epochs)):
        gradient = objective.gradient()
        top = torch.linalg.eigh(hessian(objective).dense()).eigenvectors[:, -10:]
        expected = float((top.T @ gradient).norm() ** 2 / gradient.norm() ** 2)
        at = measured.sel(seed=1).isel(epoch=i)
        assert float(at.share.sel(vector="gradient")) == pytest.approx(expected, rel=1e-3)
        assert float(at.loss) == pytest.approx(float(objective.value()))
    random = measured.share.sel(vector="random").values
    assert 0 < random.min() < random.max() < 6 * 10 / 310
    batch, whole = (measured.share.sel(vector=v).values for v in ("batch", "gradient"))
    assert not np.isclose(batch, whole, rtol=1e-3).any()
    found = claim.estimates(measured)
    assert found["share of the gradient over all examples, after 10 epochs"].count == 2
    assert found["share of the gradient over 32 examples, after 20 epochs"].value == pytest.approx(
        measured.share.sel(vector="batch", epoch=20).values.mean()
    )
