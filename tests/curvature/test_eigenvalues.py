"""The labeled result of the eigenvalue solver, against the matrix and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite.curvature.eigenvalues import eigenpairs
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SPECTRUM = torch.linspace(-2, 3, 60, dtype=torch.float64)
OPERATOR = oracles.operator_with_eigenvalues(SPECTRUM)


@pytest.mark.parametrize("which", ["largest", "smallest", "both", "magnitude"])
def test_values_descend_and_each_has_its_residual(which: str) -> None:
    # Kills: a coordinate in another order than its residuals and vectors.
    found = eigenpairs(OPERATOR, count=4, which=which, vectors=True)
    values = found.eigenvalue.values.copy()
    assert np.all(np.diff(values) < 0)
    assert found.residual.dims == ("eigenvalue",)
    assert found["vector"].dims == ("eigenvalue", "params")
    vectors = torch.from_numpy(found["vector"].values)
    lost = vectors @ OPERATOR.dense() - torch.from_numpy(values)[:, None] * vectors
    np.testing.assert_allclose(lost.norm(dim=1), found.residual, rtol=1e-5, atol=1e-12)
    exact = {"largest": 3.0, "smallest": -2.0, "both": 3.0, "magnitude": 3.0}[which]
    end = -1 if which == "smallest" else 0
    assert values[end] == pytest.approx(exact, abs=3e-4)


def test_settings_facts_and_cost_are_recorded() -> None:
    operator, made = oracles.counted(
        Operator(
            OPERATOR.matvec, 60, torch.float64, "mine", facts={"fingerprint": "f00d", "seed": 99}
        )
    )
    found = eigenpairs(operator, count=2, which="both", tolerance=1e-3, seed=7)
    expected = {
        "quantity": "eigenpairs",
        "which": "both",
        "tolerance": 1e-3,
        "seed": 7,
        "operator": "mine",
        "size": 60,
        "count": 2,
        "converged": "true",
        "products": sum(made),
        "fingerprint": "f00d",
    }
    assert expected.items() <= found.attrs.items()
    assert found.attrs["miss_probability"] <= 1
    assert found.attrs["asymmetry"] < 1e-12
    assert "vector" not in found
    assert all(found[name].attrs["long_name"] for name in ("eigenvalue", "residual"))


def test_vectors_of_one_result_start_the_next() -> None:
    # Kills: the start not passed on.
    first = eigenpairs(OPERATOR, count=3, tolerance=1e-6, vectors=True)
    again = eigenpairs(
        OPERATOR, count=3, tolerance=1e-6, start=torch.from_numpy(first["vector"].values)
    )
    assert again.attrs["products"] < first.attrs["products"] - 5
    np.testing.assert_allclose(again.eigenvalue, first.eigenvalue, rtol=0, atol=1e-5)


def test_not_converging_carries_the_labeled_result() -> None:
    # Kills: an error that carries the unlabeled pairs, or none.
    with pytest.raises(NotConverged, match=r"5 eigenpairs of 'chosen eigenvalues'") as caught:
        eigenpairs(OPERATOR, count=5, tolerance=1e-9, max_products=8)
    reached = caught.value.result
    assert isinstance(reached, xr.Dataset)
    assert reached.attrs["converged"] == "false"
    assert reached.attrs["products"] == 8
    assert reached.sizes["eigenvalue"] == 5
    assert float(reached.residual.max()) > 1e-9


def test_linear_regression_has_the_eigenvalues_of_its_closed_form_hessian() -> None:
    # Oracle: 2 X'X / N, from NumPy.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(40, 1, generator=generator, dtype=torch.float64)
    model = torch.nn.Linear(6, 1, bias=False).double()
    objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    found = td.eigenpairs(td.hessian(objective), count=3)
    exact = np.linalg.eigvalsh(2 * x.numpy().T @ x.numpy() / 40)[::-1][:3]
    np.testing.assert_allclose(found.eigenvalue, exact, rtol=0, atol=1e-8)
    assert found.attrs["fingerprint"] == objective.fingerprint


def test_progress_ends_with_every_pair() -> None:
    calls: list[tuple[int, int]] = []
    eigenpairs(OPERATOR, count=3, progress=lambda *done: calls.append(done))
    assert calls[-1] == (3, 3)


def test_bad_arguments_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"count must lie between 1 and .* 60; got 61"):
        eigenpairs(OPERATOR, count=61)
    with pytest.raises(InvalidArgument, match="max_products must be at least 5 here; got 4"):
        eigenpairs(OPERATOR, count=5, max_products=4)


def test_a_small_matrix_gives_all_its_pairs_by_default() -> None:
    # Kills: ten pairs asked of three parameters.
    found = eigenpairs(Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0, 4.0]))))
    assert found.eigenvalue.values == pytest.approx([4.0, 2.0, 1.0])
