"""Diagonals as labelled results, against a Hessian known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.linalg.diagonals import diagonal_estimate
from theodolite.testing import oracles

OPERATOR = oracles.operator_with_eigenvalues(torch.linspace(-1, 2, 60, dtype=torch.float64))


def test_entries_settings_and_cost_are_recorded() -> None:
    # Kills: diagonal and error exchanged, the seed or the probes not passed on.
    operator, made = oracles.counted(OPERATOR)
    found = td.diagonal(operator, probes=9, seed=3)
    plain = diagonal_estimate(OPERATOR, probes=9, seed=3)
    np.testing.assert_array_equal(found.diagonal, plain.diagonal)
    np.testing.assert_array_equal(found.standard_error, plain.standard_error)
    assert found.diagonal.dims == found.standard_error.dims == ("params",)
    expected = {"quantity": "diagonal", "size": 60, "seed": 3, "probes": 9, "products": sum(made)}
    assert expected.items() <= found.attrs.items()
    assert found.attrs["exact"] == "false"


def test_an_objective_stands_for_its_hessian() -> None:
    # Oracle: 2 X'X / N of linear regression.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(40, 1, generator=generator, dtype=torch.float64)
    model = torch.nn.Linear(6, 1, bias=False).double()
    found = td.diagonal(td.Objective(model, torch.nn.MSELoss(), (x, y)))
    np.testing.assert_allclose(found.diagonal, 2 * (x**2).sum(0) / 40, rtol=1e-12)
    assert (found.attrs["exact"], found.attrs["products"]) == ("true", 6)


def test_too_few_probes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="probes must be at least 2; got 0"):
        td.diagonal(OPERATOR, probes=0)
