"""Signs of eigenvalues: the rule on planted counts, and real polynomials at small cost.

Oracle: natures known from how the polynomials are made.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import hessian_eigenvalues_classify_critical_points as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED


def planted(right: int, left_open: int, bare: int, *, draws: int = 20) -> xr.Dataset:
    """Two seeds and two sizes of counts out of 20, and wrong ones where no rule should look."""
    both = {"right": (right, 1), "undetermined": (2, left_open), "bare": (3, bare)}
    over = ("seed", "kind", "size")
    return xr.Dataset(
        {k: (over, np.broadcast_to(np.array(v)[:, None], (2, 2, 2))) for k, v in both.items()}
        | {"draws": ("seed", [draws] * 2)},
        {"kind": list(claim.KINDS), "size": [2, 3], "seed": [0, 1]},
    )


def test_signs_that_tell_and_zeros_left_open_are_reproduced() -> None:
    # kills: kinds swapped, a share out of the functions of one size or one seed.
    verdict = claim.judge(planted(20, 20, 10))
    assert verdict.outcome == claim.FINDING.expected == REPRODUCED
    assert verdict.effect == 1
    assert "Of 80 points" in verdict.explanation
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == 0.5
    found = claim.estimates(planted(20, 19, 10))
    assert found["undetermined, degenerate"].value == 0.95
    assert found["bare signs are right, regular"].value == 0.15


@pytest.mark.parametrize(("right", "left_open"), [(10, 20), (20, 10)])
def test_one_half_of_the_rule_refutes_the_claim(right: int, left_open: int) -> None:
    # kills: any for all, the better share for the worse.
    verdict = claim.judge(planted(right, left_open, 10))
    assert verdict.outcome == NOT_REPRODUCED
    assert verdict.effect == 0.5


def test_bare_signs_that_always_tell_block_the_claim() -> None:
    assert claim.judge(planted(20, 20, 20)).outcome == INCONCLUSIVE


def test_few_points_are_inconclusive() -> None:
    assert claim.judge(planted(3, 3, 1, draws=3)).outcome == INCONCLUSIVE


def test_one_hessian_and_three_natures() -> None:
    # kills: a degenerate point told by its positive eigenvalues, values at one side only.
    natures, hessians = [], []
    for draw in range(3):
        generator = torch.Generator().manual_seed(0)
        function = claim.polynomial("degenerate", 3, draw, generator)
        natures.append(claim.nature_by_values(function, points=50, generator=generator))
        hessians.append(claim.hessian_of(function))
        assert claim.nature_by_eigenvalues(hessians[-1]) == claim.UNDETERMINED
    assert natures == [claim.MINIMUM, claim.SADDLE, claim.SADDLE]
    assert torch.allclose(hessians[0], hessians[1])
    assert torch.allclose(hessians[0], hessians[2])


@pytest.mark.parametrize("size", [2, 5])
def test_regular_points_come_in_all_three_kinds(size: int) -> None:
    # kills: minima and maxima swapped, saddles with one count of directions, no higher terms.
    expected = [claim.MINIMUM, claim.MAXIMUM, claim.SADDLE]
    for draw in range(6):
        generator = torch.Generator().manual_seed(draw)
        function = claim.polynomial("regular", size, draw, generator)
        hessian = claim.hessian_of(function)
        values = torch.linalg.eigvalsh(hessian)
        assert torch.allclose(values, function.eigenvalues.sort().values)
        assert claim.nature_by_eigenvalues(hessian) == expected[draw % 3]
        assert (
            claim.nature_by_values(function, points=50, generator=generator) == expected[draw % 3]
        )
        x = 2.0 * function.basis[:, -1]
        quadratic = float(x @ hessian @ x) / 2
        assert float(function(x)) - quadratic == pytest.approx(0.8)  # the cube along one axis


@pytest.mark.parametrize(
    ("diagonal", "nature"),
    [
        ((2.0, 1.0), claim.MINIMUM),
        ((-2.0, -1.0), claim.MAXIMUM),
        ((2.0, -1.0), claim.SADDLE),
        ((2.0, -1.0, 0.0), claim.SADDLE),
        ((2.0, 1.0, 1e-9), claim.UNDETERMINED),
        ((-2.0, -1.0, -1e-9), claim.UNDETERMINED),
        ((2.0, 0.0), claim.UNDETERMINED),
    ],
)
def test_signs_beyond_their_errors(diagonal: tuple[float, ...], nature: str) -> None:
    # kills: bare signs, a zero that hides a clear saddle.
    assert claim.nature_by_eigenvalues(torch.diag(torch.tensor(diagonal).double())) == nature


def test_bare_signs_take_rounding_at_face_value() -> None:
    natures = [
        claim.nature_by_bare_signs(torch.diag(torch.tensor([1.0, s]).double()))
        for s in (1e-18, -1e-18)
    ]
    assert natures == [claim.MINIMUM, claim.SADDLE]
    assert claim.nature_by_bare_signs(-torch.eye(2).double()) == claim.MAXIMUM


def test_measured_at_small_cost() -> None:
    measured = replicated(claim.FINDING, claim.Settings(seeds=2, draws=6, points=60))
    verdict = judged(claim.FINDING, measured)
    assert claim.share(measured, "right", "regular").value == 1
    assert claim.share(measured, "undetermined", "degenerate").value == 1
    assert 0.2 < verdict.negative_control.effect < 0.8
    assert not np.array_equal(measured.bare[0], measured.bare[1])
