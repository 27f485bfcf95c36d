"""What the pilot expects, against remainders and errors known from the matrix itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.linalg.exchangeable import xtrace
from theodolite.linalg.hutchinson import PILOT
from theodolite.linalg.nystrom import xnystrace
from theodolite.linalg.sketch import Tally, probe_columns
from theodolite.linalg.trace_pilot import TracePilot, remainders, trace_pilot
from theodolite.testing import oracles

SIZE = 80
FALLING = 1 / torch.arange(1, SIZE + 1, dtype=torch.float64)
OPERATOR = oracles.operator_with_eigenvalues(FALLING, seed=1)


@pytest.fixture(scope="module")
def pilots() -> list[TracePilot]:
    return [trace_pilot(OPERATOR, s, Tally(16), semidefinite=True) for s in range(40)]


def remainder(rank: int, seed: int, *, nystrom: bool) -> float:
    """The squared norm of what fresh vectors leave of the matrix, by its definition."""
    matrix = OPERATOR.dense().numpy()
    omega = probe_columns(OPERATOR, seed, "oracle", max(rank, 1)).numpy()[:, :rank]
    half = matrix @ omega
    if nystrom:
        left = matrix - half @ np.linalg.solve(omega.T @ half, half.T)
    else:
        q = np.linalg.qr(half)[0]
        left = matrix - q @ (q.T @ matrix)
    return float((left**2).sum())


@pytest.mark.parametrize("rank", [0, 1, 5, 12])
@pytest.mark.parametrize("nystrom", [False, True])
def test_remainders_are_unbiased(pilots: list[TracePilot], rank: int, nystrom: bool) -> None:
    # Kills: the rank off by one, the form of two vectors not squared, one window only.
    exact = [remainder(rank, s, nystrom=nystrom) for s in range(200)]
    seen = [float((p.nystrom if nystrom else p.images)[rank]) for p in pilots]  # type: ignore[index]
    error = np.hypot(np.std(exact) / 200**0.5, np.std(seen, ddof=1) / len(seen) ** 0.5)
    assert abs(np.mean(seen) - np.mean(exact)) <= 4 * error + 0.02 * np.mean(exact)


@pytest.mark.parametrize(("method", "estimate"), [("xtrace", xtrace), ("xnystrace", xnystrace)])
@pytest.mark.parametrize("probes", [8, 24])
def test_variances_are_expected_within_a_factor(pilots, method, estimate, probes) -> None:  # type: ignore[no-untyped-def]
    # Kills: no continuation of the curve, a variance that does not fall with the probes.
    trace = float(FALLING.sum())
    seen = np.mean(
        [(estimate(OPERATOR, probes=probes, seed=s).trace - trace) ** 2 for s in range(80)]
    )
    expected = np.median([p.variance(method, np.array([probes]))[0] for p in pilots])
    assert 0.7 <= expected / seen <= 4


def test_a_rank_below_the_pilots_leaves_nothing() -> None:
    # Kills: rounding taken for a remainder.
    eigenvalues = torch.cat([torch.linspace(1, 2, 5), torch.zeros(SIZE - 5)]).to(torch.float64)
    for dtype in (torch.float64, torch.float32):
        operator = oracles.operator_with_eigenvalues(eigenvalues, dtype=dtype)
        pilot = trace_pilot(operator, 0, Tally(PILOT), semidefinite=True)
        for method in ("xtrace", "xnystrace", "hutch++"):
            assert pilot.variance(method, np.array([8]))[0] < 1e-9
        assert pilot.images[4] > 0


def test_an_operator_with_negative_forms_has_no_nystrom_curve() -> None:
    # Kills: the promise believed against the evidence.
    operator = oracles.operator_with_eigenvalues(torch.linspace(-1, 1, SIZE, dtype=torch.float64))
    assert trace_pilot(operator, 0, Tally(16), semidefinite=True).nystrom is None
    assert trace_pilot(OPERATOR, 0, Tally(16), semidefinite=False).nystrom is None


def test_orthogonal_vectors_leave_their_own_length() -> None:
    assert remainders(np.diag([4.0, 4.0, 4.0]), 1, 1e-12).tolist() == [4.0, 4.0, 4.0]
