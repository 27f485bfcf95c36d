"""Hutchinson's trace against traces that are known, and its error bar against its errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from theodolite.errors import InvalidArgument
from theodolite.linalg.hutchinson import PILOT, TraceEstimate, trace_estimate
from theodolite.testing import oracles

SPECTRUM = torch.linspace(1, 10, 30, dtype=torch.float64)
OPERATOR = oracles.operator_with_eigenvalues(SPECTRUM, seed=4)
TRACE = float(SPECTRUM.sum())


@pytest.fixture(scope="module")
def estimates() -> list[TraceEstimate]:
    return [trace_estimate(OPERATOR, tolerance=0.03, seed=s, batch=64) for s in range(200)]


def test_the_interval_covers_as_often_as_it_says(estimates: list[TraceEstimate]) -> None:
    # Kills: a deviation with ddof=0 or not divided by the root of the count (or by the count),
    # the pilot averaged in, the error of the pilot reported.
    covered = [
        abs(e.trace - TRACE) <= student.ppf(0.975, len(e.samples) - 1) * e.standard_error
        for e in estimates
    ]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_the_mean_is_unbiased(estimates: list[TraceEstimate]) -> None:
    # Kills: optional stopping, probes that are not signs, a factor in the quadratic form.
    errors = np.array([e.trace - TRACE for e in estimates])
    assert abs(errors.mean()) <= 4 * errors.std(ddof=1) / math.sqrt(len(errors))


def test_enough_probes_are_drawn_for_the_tolerance(estimates: list[TraceEstimate]) -> None:
    # Kills: the tolerance not squared, no margin for the pilot, `reached` always true.
    reached = [e.standard_error <= 0.03 * e.trace for e in estimates]
    assert [e.reached for e in estimates] == reached
    assert 0.7 <= np.mean(reached) <= 0.95
    matrix = OPERATOR.dense()
    variance = 2 * float((matrix**2).sum() - (matrix.diagonal() ** 2).sum())
    needed = variance / (0.03 * TRACE) ** 2
    assert 1.0 <= np.median([len(e.samples) for e in estimates]) / needed <= 2.0


def test_the_standard_error_is_that_of_the_samples(estimates: list[TraceEstimate]) -> None:
    # Kills: ddof=0, which the coverage of long samples does not notice.
    for e in estimates[:5]:
        assert e.trace == pytest.approx(e.samples.mean(), rel=1e-14)
        exact = math.sqrt(((e.samples - e.trace) ** 2).sum() / (len(e.samples) - 1))
        assert e.standard_error == pytest.approx(exact / math.sqrt(len(e.samples)), rel=1e-12)
        assert e.products == len(e.samples) + PILOT


def test_the_pilot_and_the_estimate_share_no_probe() -> None:
    # Kills: one stream for both, which brings the stopping bias back.
    drawn: list[bytes] = []
    operator, _ = oracles.counted(OPERATOR)

    def matmat(m: torch.Tensor) -> torch.Tensor:
        drawn.extend(column.numpy().tobytes() for column in m.T.contiguous())
        return OPERATOR.dense() @ m

    object.__setattr__(operator, "matmat", matmat)
    estimate = trace_estimate(operator, tolerance=0.05)
    assert len(drawn) == estimate.products
    assert len(set(drawn)) == len(drawn)


def test_probes_depend_on_their_number_alone() -> None:
    # Kills: one generator for all probes: then batch, tolerance and cap would change the numbers.
    reference = trace_estimate(OPERATOR, tolerance=0.02, seed=3, batch=8)
    for other in (
        trace_estimate(OPERATOR, tolerance=0.02, seed=3, batch=5),
        trace_estimate(OPERATOR, tolerance=0.04, seed=3, batch=1),
        trace_estimate(OPERATOR, tolerance=0.02, seed=3, max_products=40),
    ):
        shared = min(len(reference.samples), len(other.samples))
        assert shared >= PILOT
        np.testing.assert_allclose(
            other.samples[:shared], reference.samples[:shared], rtol=1e-13, atol=0
        )


def test_a_trace_near_zero_stops_at_the_cap_and_says_so() -> None:
    # Kills: probes without end, the cap ignored or exceeded, the pilot not counted.
    indefinite = torch.linspace(-1, 1, 30, dtype=torch.float64)
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(indefinite))
    calls: list[tuple[int, int]] = []
    estimate = trace_estimate(operator, max_products=60, progress=lambda *done: calls.append(done))
    assert sum(made) == estimate.products == 60
    assert not estimate.reached
    assert calls[-1] == (60, 60)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert abs(estimate.trace) <= 4 * estimate.standard_error


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_diagonal_matrix_is_exact(dtype: torch.dtype) -> None:
    operator = oracles.Operator.from_matrix(torch.diag(torch.arange(1.0, 6.0)).to(dtype))
    estimate = trace_estimate(operator)
    assert (estimate.trace, estimate.standard_error) == (15.0, 0.0)
    assert estimate.reached
    assert estimate.products == 2 * PILOT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tolerance": 0.0}, "tolerance must be above 0; got 0"),
        ({"max_products": 31}, "max_products must be at least 32; got 31"),
        ({"batch": 0}, "batch must be at least 1; got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        trace_estimate(OPERATOR, **arguments)  # type: ignore[arg-type]
