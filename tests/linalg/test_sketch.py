"""Blocks of test vectors: the numbers they hold, and inner products in float64."""

from __future__ import annotations

import numpy as np
import torch

from theodolite.linalg import sketch
from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs, sphere
from theodolite.linalg.sketch import (
    Tally,
    exact_trace,
    gram,
    gram_diagonal,
    images,
    probe_columns,
    together,
)
from theodolite.testing import oracles

OPERATOR = oracles.operator_with_eigenvalues(torch.linspace(-1, 3, 30, dtype=torch.float64))


def test_a_column_depends_on_its_number_alone() -> None:
    # Kills: one generator for all columns.
    few, many = (probe_columns(OPERATOR, 3, "a", k) for k in (2, 9))
    assert torch.equal(few, many[:, :2])
    assert torch.equal(many[:, 5], signs(OPERATOR, 3, "a", 5))
    round_ones = probe_columns(OPERATOR, 3, "a", 4, spherical=True)
    assert torch.equal(round_ones[:, 2], sphere(OPERATOR, 3, "a", 2))


def test_points_of_the_sphere_are_uniform_on_it() -> None:
    # Kills: a Gaussian vector not scaled, a cube normalized.
    columns = probe_columns(OPERATOR, 0, "a", 400, spherical=True)
    np.testing.assert_allclose((columns**2).sum(0), 30, rtol=1e-13)
    fourth = float((columns**4).mean())  # 3 n / (n + 2)
    assert abs(fourth - 90 / 32) < 0.12
    assert abs(float(columns.mean())) < 4 / 12000**0.5


def test_images_are_products_in_the_same_order() -> None:
    # Kills: a batch written to the wrong columns, the last one lost.
    calls: list[tuple[int, int]] = []
    columns = probe_columns(OPERATOR, 0, "a", 11)
    made = images(OPERATOR, columns, Tally(11, lambda *done: calls.append(done)))
    torch.testing.assert_close(made, OPERATOR.dense() @ columns)
    assert calls == [(8, 11), (11, 11)]


def test_long_vectors_are_multiplied_a_few_at_once() -> None:
    # Kills: no limit on the memory of a batch.
    assert [together(Operator(lambda v: v, n, torch.float32, "id")) for n in (9, 2**23, 2**25)] == [
        8,
        2,
        1,
    ]


def test_inner_products_are_those_of_float64(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    # Kills: sums in float32; rows lost between two blocks.
    monkeypatch.setattr(sketch, "ROWS", 1000)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(4321, 3, generator=generator) for _ in range(2))
    exact = left.double().T @ right.double()
    np.testing.assert_allclose(gram(left, right), exact, rtol=1e-14)
    np.testing.assert_allclose(gram_diagonal(left, right), exact.diagonal(), rtol=1e-7)


def test_unit_vectors_give_the_trace_of_any_matrix() -> None:
    # Kills: the last block of rows lost.
    matrix = torch.arange(121.0, dtype=torch.float64).reshape(11, 11)
    operator = Operator(lambda v: matrix @ v, 11, torch.float64, "not symmetric")
    tally = Tally(11)
    assert exact_trace(operator, tally) == float(matrix.trace())
    assert tally.done == 11
