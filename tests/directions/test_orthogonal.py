"""Orthogonal directions.

Oracle: QR factorization; the inner product of two orthogonal vectors is zero.
"""

from __future__ import annotations

import pytest
import torch

import theodolite as td
from theodolite.directions import normalized
from theodolite.errors import InvalidArgument, InvalidType, NotFinite

from .networks import DTYPES, NAMES, objective


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.to(dtype)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.double(), b.double()
    return float(a @ b / a.norm() / b.norm())


@pytest.mark.parametrize("seed", range(4))
def test_orthogonal_directions_are_orthogonal_whatever_their_lengths(seed):
    """Non-orthogonal "orthogonal" directions: a projection that is not divided by its length.

    Gram-Schmidt without the division leaves two directions of length 60 almost parallel, and
    draws a round bowl as a flat valley.
    """
    # kills: d - <d, r> r without the division by <r, r>
    drawn = normal(2, 4000, seed=seed)
    drawn[1] += 0.5 * drawn[0]
    made = td.orthogonalized(drawn)
    assert abs(cosine(*made)) < 1e-14
    data = torch.zeros(1, 1), torch.zeros(1, 4000, dtype=torch.float64)
    bowl = td.plane(
        td.Objective(Still(4000), half_squares, data),
        made / made.norm(dim=1, keepdim=True),
        steps=(3, 3),
    ).loss
    assert float(bowl[0, 0]) == pytest.approx(float(bowl[0, 2]), rel=1e-12)


class Still(torch.nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = torch.nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta.expand(len(x), -1)


def half_squares(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return ((outputs - targets) ** 2).sum(1) / 2


def test_the_result_is_that_of_qr():
    # kills: subtraction of the first direction only, wrong order
    drawn = normal(5, 40)
    q, r = torch.linalg.qr(drawn.T)
    expected = (q * r.diag().sign()).T * drawn.norm(dim=1, keepdim=True)
    torch.testing.assert_close(td.orthogonalized(drawn), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_lengths_signs_and_the_first_direction_stay(dtype):
    # kills: unit vectors in place of the lengths given
    drawn = normal(3, 500, seed=2, dtype=dtype)
    drawn[2] *= 30
    made = td.orthogonalized(drawn)
    assert made.dtype == dtype
    assert torch.equal(made[0], drawn[0])
    torch.testing.assert_close(made.norm(dim=1), drawn.norm(dim=1))
    assert all(cosine(a, b) > 0.9 for a, b in zip(made, drawn, strict=True))
    limit = 1e-14 if dtype == torch.float64 else 1e-7
    assert max(abs(cosine(made[i], made[j])) for i in range(3) for j in range(i)) < limit


def test_nearly_parallel_directions_come_out_orthogonal():
    # kills: Gram-Schmidt done once: it loses as many digits as the directions share
    first, other = normal(2, 300, seed=3)
    made = td.orthogonalized(torch.stack([first, first + 1e-4 * other]))
    assert abs(cosine(*made)) < 1e-14


@pytest.mark.parametrize("name", NAMES)
def test_normalizing_afterwards_undoes_it(name):
    """Why normalization comes first: filters scaled apart make directions oblique again."""
    made = objective(name)
    straight = td.orthogonalized(td.random_directions(made, normalize=None))
    after = torch.stack([normalized(d, made.start, made.space) for d in straight])
    before = td.orthogonalized(td.random_directions(made))
    assert abs(cosine(*before)) < 1e-14
    assert abs(cosine(*after)) > 1e-3
    surface = td.plane(made, after, steps=(2, 2))
    assert surface.attrs["axis_cosine"] == pytest.approx(cosine(*after), rel=1e-12)


def test_the_directions_given_are_not_written_to():
    drawn = normal(2, 30)
    kept = drawn.clone()
    td.orthogonalized(drawn).zero_()
    assert torch.equal(drawn, kept)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (torch.ones(2, 5), InvalidArgument, r"directions\[1\] is zero, or a combination"),
        (torch.zeros(1, 5), InvalidArgument, r"directions\[0\] is zero"),
        (normal(3, 2), InvalidArgument, r"directions\[2\] is zero, or a combination"),
        (torch.ones(2, 5, dtype=torch.int64), InvalidType, "must be floats"),
        (torch.tensor([[1.0, torch.inf]]), NotFinite, r"directions\[0\] must be finite"),
    ],
)
def test_directions_that_span_too_little_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        td.orthogonalized(value)
