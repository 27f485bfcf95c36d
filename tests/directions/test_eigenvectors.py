"""Eigenvectors as axes.

Oracle: a quadratic whose Hessian was chosen: eigenvectors and eigenvalues are known, and so is
the loss on the plane along them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.directions import Eigenvectors
from theodolite.errors import InvalidArgument, InvalidType, NotConverged
from theodolite.linalg import Operator

from .networks import DTYPES, NAMES, objective

VALUES = (5.0, 3.0, 1.0, 0.5, -0.25, -2.0)


def basis(dtype: torch.dtype = torch.float64) -> Tensor:
    """Orthonormal columns that are not the coordinate axes."""
    generator = torch.Generator().manual_seed(4)
    drawn = torch.randn(len(VALUES), len(VALUES), generator=generator, dtype=torch.float64)
    return torch.linalg.qr(drawn).Q.to(dtype)


class Quadratic(nn.Module):
    """``theta' A theta / 2`` with the eigenvalues and eigenvectors above."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(len(VALUES), dtype=dtype))
        q = basis(dtype)
        self.register_buffer("matrix", q @ torch.diag(torch.tensor(VALUES, dtype=dtype)) @ q.T)

    def forward(self, x: Tensor) -> Tensor:
        return (self.theta @ self.matrix @ self.theta / 2).expand(len(x))


def quadratic(dtype: torch.dtype = torch.float64) -> td.Objective:
    data = torch.zeros(1, 1, dtype=dtype), torch.zeros(1, dtype=dtype)
    return td.Objective(Quadratic(dtype), lambda outputs, targets: outputs - targets, data)


def operator(dtype: torch.dtype = torch.float64) -> Operator:
    return Operator.from_matrix(Quadratic(dtype).matrix)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_eigenvectors_of_a_known_quadratic_are_recovered(dtype):
    # kills: another rank, rows for columns, vectors rescaled to the norms of theta
    made = quadratic(dtype)
    found = td.eigenvector_directions(td.hessian(made, engine="kept"), tolerance=0.0)
    digits = 1e-9 if dtype == torch.float64 else 1e-4
    assert found.directions.dtype == dtype
    overlap = (found.directions @ basis(dtype)[:, [0, -1]]).abs()
    torch.testing.assert_close(overlap, torch.eye(2, dtype=dtype), rtol=0, atol=digits)
    assert found.eigenvalues == pytest.approx((5, -2), rel=digits)
    assert found.labels == ("eigenvector 1 (eigenvalue 5)", "last eigenvector (eigenvalue -2)")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_plane_along_them_is_a_saddle_of_their_eigenvalues(dtype):
    """Eigenvectors rescaled before plotting are eigenvectors no more."""
    # kills: any rescaling, by tensor, filter or model
    made = quadratic(dtype)
    axes = td.eigenvector_directions(operator(dtype), tolerance=0.0).directions
    theta = torch.zeros_like(made.start)
    surface = td.plane(made, axes, theta=theta, steps=(5, 5), normalize="none")
    a, b = surface.alpha.values[:, None], surface.beta.values[None, :]
    digits = 1e-9 if dtype == torch.float64 else 1e-4
    np.testing.assert_allclose(surface.loss, (5 * a**2 - 2 * b**2) / 2, atol=digits)
    for axis in ("alpha", "beta"):
        assert surface.attrs[f"direction_norm_{axis}"] == pytest.approx(1, abs=digits)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ((1,), (5,)),
        ((-1, 1), (-2, 5)),
        ((2, 3), (3, 1)),
        ((-2, -1), (-0.25, -2)),
        ((3, -3), (1, 0.5)),
        ((3, -1), (1, -2)),
    ],
    ids=str,
)
def test_ranks_count_from_either_end(ranks, expected):
    # kills: ranks counted from zero, too few pairs computed for the larger end
    found = td.eigenvector_directions(operator(), ranks=ranks)
    assert found.eigenvalues == pytest.approx(expected, rel=1e-4)
    image = Quadratic(torch.float64).matrix @ found.directions.T
    scaled = found.directions.T * torch.tensor(found.eigenvalues)
    assert float((image - scaled).norm(dim=0).max()) < 1e-3


@pytest.mark.parametrize("which", ["both", "magnitude"])
def test_pairs_that_were_computed_before_give_the_same(which):
    # kills: rows of the result read in another order
    pairs = td.eigenpairs(operator(), count=4, which=which, vectors=True, tolerance=1e-8)
    found = td.eigenvector_directions(pairs)
    direct = td.eigenvector_directions(operator(), tolerance=1e-8)
    torch.testing.assert_close(found.directions, direct.directions, rtol=0, atol=1e-7)
    assert found.residuals == tuple(float(pairs.residual[k]) for k in (0, -1))


def test_the_sign_is_settled():
    # kills: the sign left to the start vector
    found = [td.eigenvector_directions(operator(), seed=s).directions for s in range(4)]
    for directions in found:
        assert all(float(d[d.abs().argmax()]) > 0 for d in directions)
        torch.testing.assert_close(directions, found[0], rtol=0, atol=1e-2)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_curves_along_them_as_their_eigenvalues_say(name):
    # kills: vectors of another point, of the Gauss-Newton matrix
    made = objective(name)
    found = td.eigenvector_directions(td.hessian(made, engine="kept"), tolerance=1e-8)
    gradient = made.gradient()
    for d, value in zip(found.directions, found.eigenvalues, strict=True):
        h = 1e-4
        up, down = (made.gradient(made.start + s * h * d) for s in (1, -1))
        assert float(d @ (up - down)) / (2 * h) == pytest.approx(value, rel=1e-4, abs=1e-6)
        assert float(d @ gradient) == pytest.approx(float(gradient @ d))


def test_pairs_that_did_not_converge_come_with_the_error():
    wide = Operator.from_matrix(torch.diag(torch.linspace(1, 2, 200, dtype=torch.float64)))
    with pytest.raises(NotConverged) as caught:
        td.eigenvector_directions(wide, tolerance=1e-12, max_products=8)
    assert isinstance(caught.value.result, Eigenvectors)
    assert max(caught.value.result.residuals) > 1e-12


def pairs(**settings: object):
    return td.eigenpairs(operator(), **{"count": 2, "vectors": True, **settings})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: td.eigenvector_directions(3), InvalidType, "result of eigenpairs"),
        (lambda: td.eigenvector_directions(pairs(vectors=False)), InvalidArgument, "no vectors"),
        (lambda: td.eigenvector_directions(pairs()), InvalidArgument, "ranks: -1 is not among"),
        (
            lambda: td.eigenvector_directions(pairs(count=3, which="magnitude"), ranks=(1, 3)),
            InvalidArgument,
            "ranks: 3 is not among",
        ),
        (lambda: td.eigenvector_directions(operator(), ranks=()), InvalidArgument, "not 0"),
        (lambda: td.eigenvector_directions(operator(), ranks=(0, 1)), InvalidArgument, "not 0"),
        (lambda: td.eigenvector_directions(operator(), ranks=(1, 1)), InvalidArgument, "different"),
        (lambda: td.eigenvector_directions(operator(), ranks=(7,)), InvalidArgument, "the 6 eig"),
        (lambda: td.eigenvector_directions(pairs(), ranks=(3,)), InvalidArgument, "the 2 eig"),
    ],
)
def test_what_holds_no_such_vectors_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_all_pairs_hold_both_ends_whatever_was_wanted():
    found = td.eigenvector_directions(pairs(count=6))
    assert found.eigenvalues == pytest.approx((5, -2), rel=1e-4)
