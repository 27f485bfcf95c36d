"""Traces against matrices whose trace is known and a closed-form Hessian."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite.curvature.traces import trace
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SPECTRUM = torch.linspace(0.2, 2, 30, dtype=torch.float64)


@pytest.mark.parametrize("method", ["auto", "hutchinson"])
def test_the_estimate_lies_within_its_error_of_the_trace(method: str) -> None:
    # Kills: a factor in the estimate, the method not recorded as what was used.
    operator = oracles.operator_with_eigenvalues(SPECTRUM)
    found = trace(operator, method=method, tolerance=0.02, seed=2)
    assert abs(float(found.trace) - float(SPECTRUM.sum())) <= 4 * float(found.standard_error)
    assert float(found.standard_error) <= 0.03 * float(found.trace)
    assert found.attrs["method"] == "hutchinson"


def test_samples_settings_and_cost_are_recorded() -> None:
    # Kills: the pilot left out of the cost or put into the samples.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRUM))
    operator = Operator(
        operator.matvec,
        30,
        torch.float64,
        "mine",
        matmat=operator.matmat,
        facts={"fingerprint": "f00d"},
    )
    calls: list[tuple[int, int]] = []
    found = trace(operator, tolerance=0.05, seed=3, progress=lambda *done: calls.append(done))
    expected = {
        "quantity": "trace",
        "operator": "mine",
        "size": 30,
        "seed": 3,
        "tolerance": 0.05,
        "products": sum(made),
        "fingerprint": "f00d",
    }
    assert expected.items() <= found.attrs.items()
    assert found.attrs["reached"] in ("true", "false")
    assert found.sizes["probe"] == sum(made) - found.attrs["pilot"]
    assert float(found.trace) == pytest.approx(float(found["sample"].mean()), rel=1e-13)
    spread = float(found["sample"].std(ddof=1)) / np.sqrt(found.sizes["probe"])
    assert float(found.standard_error) == pytest.approx(spread, rel=1e-12)
    assert calls[-1] == (sum(made), sum(made))


def test_a_cap_that_does_not_suffice_is_told() -> None:
    operator = oracles.operator_with_eigenvalues(torch.linspace(-1, 1, 30, dtype=torch.float64))
    found = trace(operator, max_products=50)
    assert (found.attrs["products"], found.attrs["reached"]) == (50, "false")


def test_an_objective_stands_for_its_hessian() -> None:
    # Oracle: tr 2 X'X / N of linear regression.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    y = torch.randn(40, 1, generator=generator, dtype=torch.float64)
    model = torch.nn.Linear(6, 1, bias=False).double()
    found = td.trace(td.Objective(model, torch.nn.MSELoss(), (x, y)), tolerance=0.02)
    exact = 2 * float((x**2).sum()) / 40
    assert float(found.trace) == pytest.approx(exact, rel=1e-12)  # few outputs: no sample
    assert float(found.standard_error) == 0
    assert found.attrs["operator"] == "Hessian"


def test_bad_arguments_are_refused_by_name() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRUM)
    unchecked = getattr(trace, "__wrapped__", trace)
    with pytest.raises(InvalidArgument, match=r"method must be one of 'auto', .*; got 'hutch'"):
        unchecked(operator, method="hutch")
    with pytest.raises(InvalidArgument, match="tolerance must be above 0; got 0"):
        trace(operator, tolerance=0.0)
    with pytest.raises(InvalidArgument, match="max_products must be at least 32; got 5"):
        trace(operator, max_products=5)
