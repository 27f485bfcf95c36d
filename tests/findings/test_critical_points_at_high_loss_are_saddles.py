"""Index and loss: the rule on planted points, and real searches at small cost.

Oracle: points planted with a known order.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.curvature.critical_points import critical_point
from theodolite.errors import NotConverged
from theodolite.findings import critical_points_at_high_loss_are_saddles as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.small_landscape import landscape, near_descent
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from theodolite.operators import hessian

TAUS = list(claim.TAUS)


def planted(
    negative: np.ndarray, *, loss: np.ndarray | None = None, refused: int = 4
) -> xr.Dataset:
    """Two seeds: accepted points in turn, and as many refused ones in each, whose index falls."""
    count = len(negative) // 2
    losses = np.arange(1.0, len(negative) + 1) if loss is None else loss
    shape = (2, count + refused)
    made = {k: np.zeros(shape) for k in ("accepted", "flat", "loss", "negative")}
    made["accepted"][:, :count] = 1
    made["flat"][0, count] = 1
    for row in range(2):
        made["loss"][row] = np.r_[losses[row::2], 100.0 + np.arange(refused) + 50 * row]
        made["negative"][row] = np.r_[negative[row::2], 50 - 20 * row - np.arange(refused)]
    cut = np.repeat(made.pop("negative")[:, :, None], len(TAUS), axis=2)
    cut[:, :, [0, 1, 3]] = 7.0  # other thresholds
    variables = {k: (("seed", "start"), v) for k, v in made.items()}
    return xr.Dataset(
        {**variables, "negative": (("seed", "start", "tau"), cut)},
        {"seed": [0, 1], "tau": TAUS},
        {"parameters": 69},
    )


def test_a_rising_index_is_reproduced() -> None:
    # kills: another threshold, refused points among those accepted, one seed only, a control
    # whose losses are not exchanged.
    verdict = claim.judge(planted(np.arange(24)))
    assert verdict.outcome == claim.FINDING.expected == REPRODUCED
    assert verdict.effect == pytest.approx(1)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert abs(verdict.negative_control.effect) < 0.1
    assert verdict.negative_control.interval[1] == pytest.approx(0.41, abs=0.08)
    assert "Of 32 starts, 24 were accepted (75%), 1 ended where" in verdict.explanation
    assert "7 did not converge; without copies, 24 points" in verdict.explanation


def test_a_falling_index_is_not_reproduced() -> None:
    # kills: the size of the correlation without its sign.
    verdict = claim.judge(planted(np.arange(24)[::-1]))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == pytest.approx(-1)


def test_an_unrelated_index_is_not_reproduced() -> None:
    wobble = np.array([3, 1, 4, 2] * 10)
    assert claim.judge(planted(wobble)).outcome == NOT_REPRODUCED


def test_minima_at_high_loss_refute_the_claim() -> None:
    # kills: saddles counted over all points, or over those of lower loss.
    index = np.r_[np.zeros(20), np.zeros(18), 1, 1]
    assert claim.higher_saddles(index).value == 0.1
    assert claim.judge(planted(index)).outcome == NOT_REPRODUCED
    assert claim.higher_saddles(index[::-1]).value == 0
    assert claim.higher_saddles(np.r_[np.zeros(12), np.ones(12)]).value == 1


@pytest.mark.parametrize(
    ("count", "outcome", "words"),
    [
        (14, INCONCLUSIVE, "Fewer than 15 points say nothing"),
        (16, INCONCLUSIVE, "Fewer than 20 points"),
        (20, REPRODUCED, "20 points"),
    ],
)
def test_few_points_are_inconclusive(count: int, outcome: str, words: str) -> None:
    verdict = claim.judge(planted(np.arange(count)))
    assert verdict.outcome == outcome
    assert words in verdict.explanation


def test_no_point_at_all_is_inconclusive() -> None:
    # kills: an acceptance rate that is not stated, a correlation of nothing.
    measured = planted(np.arange(24))
    measured.accepted[:] = 0
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "0 were accepted (0%)" in verdict.explanation
    assert "points without a negative direction" not in claim.estimates(measured)


def test_sixteen_falling_points_refute_the_claim() -> None:
    assert claim.judge(planted(np.arange(16)[::-1])).outcome == NOT_REPRODUCED


def test_copies_count_once() -> None:
    # kills: symmetric copies as evidence, neighbors that differ taken for copies.
    losses = np.repeat(np.arange(1.0, 13.0), 2)
    losses[1::2] *= 1 + 1e-9
    assert claim.points(planted(np.arange(24), loss=losses)).sizes["point"] == 12
    losses[1::2] *= 1 + 1e-4
    assert claim.points(planted(np.arange(24), loss=losses)).sizes["point"] == 24


def test_estimates_tell_accepted_from_refused() -> None:
    # kills: refused ends among the accepted, and the other way round.
    found = claim.estimates(planted(np.arange(24), refused=12))
    tau = f"tau = {claim.TAU:g}"
    assert found["starts accepted"].value == 0.5
    assert found[
        f"rank correlation of index and loss, accepted ends, {tau}"
    ].value == pytest.approx(1)
    assert found[f"rank correlation of index and loss, refused ends, {tau}"].value < -0.8
    assert found["rank correlation of index and loss, accepted ends, tau = 0.01"].value == 0
    assert found[f"index, accepted ends, {tau}"].value == pytest.approx(11.5 / 69)
    assert found["points without a negative direction"].value == pytest.approx(1 / 24)


def test_measured_at_small_cost() -> None:
    # kills: a refused end that stops the measurement, an index of another place.
    small = replace(claim.Settings(), seeds=2, steps=(5,), noises=(0.3,), examples=20, decay=0.5)
    measured = replicated(claim.FINDING, replace(small, max_products=300))
    judged(claim.FINDING, measured)
    assert measured.accepted.values.tolist() == measured.converged.values.tolist() == [[1], [1]]
    assert (measured.gradient_norm <= 1e-7).all()
    few = claim.measure(replace(small, max_products=1), 0)
    assert few.accepted.values.tolist() == few.converged.values.tolist() == [0.0]
    assert measured.flat.values.tolist() == [[0], [0]]
    other = claim.measure(replace(small, max_products=1), 1)
    assert not np.array_equal(other.loss, few.loss)


def test_an_end_has_the_signs_of_its_whole_spectrum() -> None:
    # kills: eigenvalues above the threshold, those of the start, a share for a number.
    objective = landscape(30, decay=0.05)
    generator = torch.Generator().manual_seed(5)
    start = near_descent(objective, steps=0, noise=1.0, generator=generator)
    few = replace(claim.Settings(), max_products=40)
    end = claim._end(objective, start, few, 0)
    with pytest.raises(NotConverged) as refused:
        critical_point(objective, start, tolerance=1e-14, max_products=40, index=False)
    point = torch.from_numpy(refused.value.result.point.values)
    assert end["loss"] == pytest.approx(float(objective.value(point)))
    values = torch.linalg.eigvalsh(hessian(objective, point).dense())
    expected = [int((values < -tau * values.abs().max()).sum()) for tau in claim.TAUS]
    assert end["negative"].tolist() == expected
    assert max(expected) > 1
