"""The state of thick restart against the identity it must keep through every operation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg import krylov as states
from theodolite.linalg.krylov import Krylov
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SIZE = 40
OPERATOR = oracles.operator_with_eigenvalues(torch.linspace(-2, 3, SIZE, dtype=torch.float64))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grown(steps: int, *, rows: int = 3, capacity: int = 25) -> Krylov:
    """A state with `rows` start vectors after `steps` products."""
    start = torch.randn(rows, SIZE, generator=generator(1), dtype=torch.float64)
    krylov = states.with_rows(states.empty(OPERATOR, capacity), start)
    for _ in range(steps):
        krylov = states.expanded(krylov)
    return krylov


def defects(krylov: Krylov) -> tuple[float, float]:
    """How far the rows are from orthonormal, and A row_j from sum_i coefficients[i, j] row_i."""
    known = krylov.rows[: krylov.known]
    multiplied = known[: krylov.multiplied]
    weights = torch.from_numpy(krylov.coefficients[: krylov.known, : krylov.multiplied])
    gap = multiplied @ krylov.operator.dense() - weights.T @ known
    lost = known @ known.T - torch.eye(krylov.known, dtype=torch.float64)
    return float(lost.abs().max()), float(gap.abs().max())


def assert_sound(krylov: Krylov) -> None:
    assert max(defects(krylov)) < 1e-13


@pytest.mark.parametrize("rows", [1, 3])
def test_products_are_combinations_of_all_rows(rows: int) -> None:
    # Kills: coefficients in the wrong row or column, a remainder not appended.
    krylov = grown(9, rows=rows)
    assert (krylov.multiplied, krylov.pending, krylov.products) == (9, rows, 9)
    assert_sound(krylov)


def test_one_start_vector_gives_a_tridiagonal_section() -> None:
    section = states.section(grown(9, rows=1))
    outside_the_band = np.abs(np.subtract.outer(range(9), range(9))) > 1
    assert np.abs(section[outside_the_band]).max() < 1e-13


def test_turning_puts_the_wanted_direction_first_and_keeps_the_identity() -> None:
    # Kills: the rows turned without their coefficients, the mirror image of the direction.
    krylov = grown(6)
    direction = np.array([0.6, 0.0, -0.8])
    wanted = torch.from_numpy(direction) @ krylov.rows[6:9]
    krylov = states.turned(krylov, 3 * direction)
    assert abs(float(krylov.rows[6] @ wanted)) == pytest.approx(1, abs=1e-14)
    assert_sound(krylov)
    assert_sound(states.expanded(krylov))


@pytest.mark.parametrize("keep", [2, 5])
def test_a_restart_keeps_ritz_pairs_and_their_residuals(keep: int) -> None:
    # Kills: pending rows lost, coefficients not rotated, a wrong diagonal.
    krylov = grown(12)
    values, vectors = np.linalg.eigh(states.section(krylov))
    residuals = np.linalg.norm(states.outside(krylov, vectors), axis=0)
    krylov = states.restarted(krylov, vectors[:, -keep:].copy())
    assert (krylov.multiplied, krylov.pending) == (keep, 3)
    np.testing.assert_allclose(np.diag(states.section(krylov)), values[-keep:], atol=1e-13)
    after = np.linalg.norm(states.outside(krylov, np.eye(keep)), axis=0)
    np.testing.assert_allclose(after, residuals[-keep:], atol=1e-13)
    assert_sound(krylov)
    for _ in range(5):
        krylov = states.expanded(krylov)
    assert_sound(krylov)


def test_a_restart_works_on_pieces_of_the_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kills: pieces of columns that overlap or leave some out.
    monkeypatch.setattr(states, "COLUMNS", 7)
    krylov = grown(12)
    _, vectors = np.linalg.eigh(states.section(krylov))
    assert_sound(states.restarted(krylov, vectors[:, :4].copy()))


def test_a_random_row_is_orthogonal_to_what_was_multiplied_but_not_to_what_is_pending() -> None:
    # Kills: a row orthogonal to the pending ones too, which would hide what they hold.
    krylov = states.with_random_row(grown(6), generator(5))
    assert (krylov.multiplied, krylov.pending) == (6, 4)
    assert_sound(krylov)
    drawn = torch.randn(SIZE, generator=generator(5), dtype=torch.float64)
    multiplied = krylov.rows[:6]
    expected = drawn - multiplied.T @ (multiplied @ drawn)
    assert abs(float(krylov.rows[6] @ expected)) == pytest.approx(float(expected.norm()), rel=1e-12)
    assert_sound(states.expanded(krylov))


def test_start_vectors_that_depend_on_each_other_count_once() -> None:
    # Kills: a row of noise for a dependent or zero vector.
    start = torch.randn(2, SIZE, generator=generator(2), dtype=torch.float64)
    combined = torch.stack([start[0], start[1], start[0] + start[1], 0 * start[0]])
    krylov = states.with_rows(states.empty(OPERATOR, 25), combined)
    assert krylov.known == 2
    assert_sound(states.expanded(krylov))


def test_the_whole_space_is_complete_and_its_section_has_the_spectrum() -> None:
    # Kills: a row added beyond the dimension, `complete` one product early.
    krylov = grown(39, rows=1, capacity=SIZE)
    assert not krylov.complete
    krylov = states.expanded(krylov)
    assert krylov.complete
    assert (krylov.known, krylov.pending) == (SIZE, 0)
    found = np.linalg.eigvalsh(states.section(krylov))
    np.testing.assert_allclose(found, np.linspace(-2, 3, SIZE), rtol=0, atol=1e-12)


def noisy(matrix: Tensor, size: float) -> Operator:
    """Products with an error of relative `size` that differs from call to call."""
    source = generator(7)

    def matvec(v: Tensor) -> Tensor:
        image = matrix @ v
        error = torch.randn(SIZE, generator=source, dtype=torch.float64)
        return image + size * image.norm() * error / error.norm()

    return Operator(matvec, SIZE, torch.float64, "noisy")


def from_random_row(operator: Operator, steps: int) -> Krylov:
    krylov = states.with_random_row(states.empty(operator, 25), generator())
    for _ in range(steps):
        krylov = states.expanded(krylov)
    return krylov


def test_products_that_do_not_fit_together_are_refused() -> None:
    # Kills: the symmetry check removed or scaled away.
    triangular = torch.triu(OPERATOR.dense())
    for operator in (
        Operator(lambda v: triangular @ v, SIZE, torch.float64, "triangular"),
        noisy(OPERATOR.dense(), 0.5),
    ):
        with pytest.raises(InvalidArgument, match=r"must be symmetric; <u, A v> and <v, A u>"):
            from_random_row(operator, 20)


def test_the_asymmetry_measures_the_noise_of_the_products() -> None:
    krylov = from_random_row(noisy(OPERATOR.dense(), 1e-5), 20)
    assert 1e-7 < krylov.asymmetry / krylov.scale < 1e-4
