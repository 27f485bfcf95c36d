"""`trace` by each method: what is recorded, and operators that declare what they are.

Oracles: chosen eigenvalues, and matrices of small objectives in full.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite.testing import oracles

METHODS = ["hutchinson", "hutch++", "xtrace", "xnystrace"]
STEEP = 0.8 ** torch.arange(100, dtype=torch.float64)


@pytest.mark.parametrize("method", METHODS)
def test_the_method_named_is_the_method_used(method: str) -> None:
    # Kills: a method that falls back on another; samples that are not those of the mean; the
    # reason left out.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(STEEP))
    found = td.trace(operator, method=method, tolerance=0.05, seed=2)
    assert found.attrs["method"] == method
    assert found.attrs["method_reason"] == "it was asked for by name"
    assert found.attrs["products"] == sum(made)
    assert found.attrs["pilot"] == 16
    assert abs(float(found.trace) - float(STEEP.sum())) <= 4 * float(found.standard_error)
    assert float(found.trace) == pytest.approx(float(found["sample"].mean()), rel=1e-13)


def test_auto_says_what_it_took_and_why() -> None:
    # Kills: "auto" recorded as the method; the declaration not passed on.
    operator = oracles.operator_with_eigenvalues(STEEP)
    declared = dataclasses.replace(operator, facts={"positive_semidefinite": True})
    for given, method in ((declared, "xnystrace"), (operator, "xtrace")):
        found = td.trace(given, tolerance=0.03)
        assert found.attrs["method"] == method
        assert found.attrs["method_reason"].startswith("products the pilot expects")


def test_exact_is_said_where_unit_vectors_were_multiplied() -> None:
    # Kills: the exact trace passed off as an estimate.
    operator = oracles.operator_with_eigenvalues(torch.linspace(-1, 1.1, 40, dtype=torch.float64))
    found = td.trace(operator, method="xtrace")
    assert found.attrs["method"] == "exact"
    assert "40 unit vectors" in found.attrs["method_reason"]
    assert float(found.trace) == pytest.approx(2.0, rel=1e-12)
    assert float(found.standard_error) == 0


def objective() -> td.Objective:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (30,), generator=generator)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    return td.Objective(model.double(), torch.nn.CrossEntropyLoss(), (x, y))


@pytest.mark.parametrize("matrix", [td.ggn, td.fisher, td.empirical_fisher, td.gradient_covariance])
def test_semidefinite_matrices_say_so_and_are(matrix) -> None:  # type: ignore[no-untyped-def]
    # Kills: the fact missing from one of the four, or set on the Hessian.
    operator = matrix(objective())
    assert operator.facts["positive_semidefinite"] is True
    dense = operator.dense()
    values = torch.linalg.eigvalsh((dense + dense.T) / 2)
    assert float(values[0]) >= -1e-10 * float(values[-1])
    found = td.trace(operator, method="xnystrace", tolerance=0.02)
    assert abs(float(found.trace) - float(dense.trace())) <= 4 * float(found.standard_error) + 1e-9
    blocks = td.blocks(objective(), matrix=matrix)
    assert all(b.facts["positive_semidefinite"] is True for b in blocks.values())


def test_the_hessian_does_not_say_so() -> None:
    assert "positive_semidefinite" not in td.hessian(objective()).facts


def test_results_survive_the_disk(tmp_path) -> None:  # type: ignore[no-untyped-def]
    # Kills: an attribute netCDF cannot hold.
    import xarray as xr

    operator = oracles.operator_with_eigenvalues(STEEP)
    for made in (
        td.trace(operator, method="xtrace", tolerance=0.1),
        td.diagonal(operator, probes=4),
        td.frobenius_norm(operator, probes=4),
        td.effective_dimension(operator, 0.1, probes=2, steps=10),
    ):
        made.to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
        with xr.open_dataset(tmp_path / "r.nc", engine="h5netcdf") as read:
            for name, variable in made.variables.items():
                np.testing.assert_array_equal(read[name], variable)
            assert read.attrs["quantity"] == made.attrs["quantity"]
