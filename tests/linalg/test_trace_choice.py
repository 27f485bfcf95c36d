"""Which method is chosen, what it costs, and that the choice leaves no bias."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg import trace_choice
from theodolite.linalg.hutchinson import PILOT, trace_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs
from theodolite.linalg.trace_choice import chosen_trace
from theodolite.testing import oracles

SIZE = 120
RANK = torch.arange(1, SIZE + 1, dtype=torch.float64)
STEEP, FLAT = 0.8**RANK, torch.linspace(0.5, 1.5, SIZE, dtype=torch.float64)
TRACELESS = torch.linspace(-1, 1.05, SIZE, dtype=torch.float64)
LOW_RANK = ["hutch++", "xtrace", "xnystrace"]


def made(eigenvalues: Tensor, *, declared: bool = False) -> Operator:
    operator = oracles.operator_with_eigenvalues(eigenvalues, seed=1)
    return dataclasses.replace(operator, facts={"positive_semidefinite": True} if declared else {})


@pytest.mark.parametrize(
    ("eigenvalues", "declared", "method"),
    [
        (STEEP, True, "xnystrace"),
        (STEEP, False, "xtrace"),
        (FLAT, True, "hutchinson"),
        (FLAT, False, "hutchinson"),
        (TRACELESS, False, "hutchinson"),
        (-STEEP, False, "xtrace"),
    ],
)
def test_auto_takes_what_suits_the_spectrum(
    eigenvalues: Tensor, declared: bool, method: str
) -> None:
    # Kills: XNysTrace where nothing is declared; low-rank methods on a flat or a nearly
    # traceless spectrum, where they need twice the products; one method whatever the pilot says.
    operator = made(eigenvalues, declared=declared)
    found = [chosen_trace(operator, tolerance=0.02, seed=s, max_products=400) for s in range(8)]
    assert [f.method for f in found] == [method] * 8
    assert all(method in f.reason for f in found)


def test_auto_costs_less_than_hutchinson_for_the_same_tolerance() -> None:
    # Kills: a plan with far more test vectors than needed, the margin taken twice.
    operator = made(STEEP, declared=True)
    plain = trace_estimate(operator, tolerance=0.02, max_products=4000)
    found = chosen_trace(operator, tolerance=0.02, max_products=4000)
    assert found.estimate.reached
    assert found.estimate.products < plain.products / 10


def test_a_false_declaration_is_not_believed() -> None:
    # Kills: XNysTrace on an operator whose pilot shows negative forms.
    found = chosen_trace(made(TRACELESS, declared=True), tolerance=0.02)
    assert found.method != "xnystrace"
    with pytest.raises(InvalidArgument, match="must be positive semidefinite"):
        chosen_trace(made(TRACELESS, declared=True), method="xnystrace")


@pytest.mark.parametrize("method", [*LOW_RANK, "auto", "hutchinson"])
def test_choice_and_budget_leave_no_bias_and_honest_intervals(method: str) -> None:
    # Kills: the pilot's probes used again, the best of several methods reported. The tolerance
    # lies where pilots disagree about method and number.
    eigenvalues = 1 / RANK
    operator, trace = made(eigenvalues, declared=True), float(eigenvalues.sum())
    found = [chosen_trace(operator, method=method, tolerance=0.04, seed=s) for s in range(150)]
    errors = np.array([f.estimate.trace - trace for f in found])
    assert abs(errors.mean()) <= 4 * errors.std(ddof=1) / math.sqrt(150)
    covered = [
        abs(e) <= student.ppf(0.975, len(f.estimate.samples) - 1) * f.estimate.standard_error
        for e, f in zip(errors, found, strict=True)
    ]
    assert 0.90 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("method", LOW_RANK)
def test_the_tolerance_is_mostly_met(method: str) -> None:
    # Kills: the tolerance not squared, no margin.
    found = [chosen_trace(made(STEEP), method=method, tolerance=0.03, seed=s) for s in range(40)]
    reached = [f.estimate.standard_error <= 0.03 * f.estimate.trace for f in found]
    assert [f.estimate.reached for f in found] == reached
    assert np.mean(reached) >= 0.7


@pytest.mark.parametrize("method", [*LOW_RANK, "auto"])
def test_pilot_and_estimate_share_no_probe_and_all_products_count(method: str) -> None:
    # Kills: one stream for both; the pilot not counted; more products than allowed.
    drawn: list[bytes] = []
    matrix = made(STEEP).dense()

    def matmat(m: Tensor) -> Tensor:
        drawn.extend(column.numpy().tobytes() for column in m.T.contiguous())
        return matrix @ m

    facts = {"positive_semidefinite": True}
    operator = Operator(
        lambda v: matrix @ v, SIZE, torch.float64, "seen", matmat=matmat, facts=facts
    )
    calls: list[tuple[int, int]] = []
    found = chosen_trace(
        operator,
        method=method,
        tolerance=1e-9,
        max_products=60,
        progress=lambda *done: calls.append(done),
    )
    assert len(drawn) == len(set(drawn)) == found.estimate.products <= 60
    assert found.estimate.pilot == PILOT
    assert not found.estimate.reached
    assert calls[-1] == (found.estimate.products, found.estimate.products)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.parametrize("method", LOW_RANK)
@pytest.mark.parametrize("size", [1, 3, 12, 60])
def test_a_small_operator_is_exact_where_nothing_else_will_do(method: str, size: int) -> None:
    # Kills: no room for two test vectors taken for an error.
    operator = made(torch.linspace(1, 2, size, dtype=torch.float64))
    found = chosen_trace(operator, method=method, tolerance=1e-9)
    assert (found.method, found.estimate.standard_error) == ("exact", 0.0)
    assert found.estimate.trace == pytest.approx(1.5 * size if size > 1 else 1, rel=1e-12)
    assert found.estimate.products == PILOT + size
    assert found.estimate.reached


@pytest.mark.parametrize("method", [*LOW_RANK, "auto"])
def test_the_zero_operator_is_exact(method: str) -> None:
    found = chosen_trace(made(torch.zeros(SIZE, dtype=torch.float64)), method=method)
    assert (found.estimate.trace, found.estimate.standard_error) == (0.0, 0.0)
    assert found.estimate.reached


def test_hutchinson_is_bit_for_bit_what_it_was() -> None:
    # Kills: other probes, or another stream, by any of the three ways to it.
    operator = made(FLAT)
    plain = trace_estimate(operator, tolerance=0.002, seed=3)
    z = torch.stack([signs(operator, 3, "trace", i) for i in range(len(plain.samples))])
    exact = ((z @ operator.dense()) * z).sum(1)
    np.testing.assert_allclose(plain.samples, exact, rtol=1e-12)
    for method in ("hutchinson", "auto"):
        found = chosen_trace(operator, method=method, tolerance=0.002, seed=3)
        assert found.method == "hutchinson"
        np.testing.assert_array_equal(found.estimate.samples, plain.samples)


def test_vectors_that_do_not_fit_are_not_held(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    # Kills: no limit on memory.
    monkeypatch.setattr(trace_choice, "HELD", 3 * SIZE * 10)
    found = chosen_trace(made(STEEP), tolerance=0.02)
    assert found.method == "hutchinson"
    assert "too large" in found.reason
    named = chosen_trace(made(STEEP), method="xtrace", tolerance=1e-9, max_products=SIZE)
    assert len(named.estimate.samples) == 10


def test_the_caps_of_hutchinson_hold_for_all() -> None:
    for method in (*LOW_RANK, "auto"):
        with pytest.raises(InvalidArgument, match="max_products must be at least 32; got 31"):
            chosen_trace(made(FLAT), method=method, max_products=31)
        with pytest.raises(InvalidArgument, match="tolerance must be above 0; got 0"):
            chosen_trace(made(FLAT), method=method, tolerance=0.0)
