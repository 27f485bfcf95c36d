"""Counts and verdicts against eigenvalues and errors written down by hand."""

from __future__ import annotations

import numpy as np
import pytest

from theodolite.curvature.saddle_counts import (
    MAXIMUM,
    MINIMUM,
    UNDETERMINED,
    Counts,
    counted_below,
    masses_below,
    verdicts,
)
from theodolite.linalg.ends import LowEnd

TAUS = np.array([0.01, 0.1, 0.4])


def end(values: list[float], error: float = 0.0, **settings: object) -> LowEnd:
    """Eigenvalues beside a largest one of 10."""
    known: dict[str, object] = {
        "scale": 10.0,
        "scale_error": 0.0,
        "complete": True,
        "missed": np.zeros(3),
        "products": 1,
    }
    array = np.array(values)
    return LowEnd(array, np.full(len(array), error), **(known | settings))  # type: ignore[arg-type]


def test_counts_of_exact_eigenvalues() -> None:
    # kills: thresholds not times the scale; `<` against the absolute value.
    counts = counted_below(end([-5.0, -2.0, -0.5, -0.05, 0.0, 10.0]), TAUS)
    assert counts.certain.tolist() == [3, 2, 1]
    assert counts.possible.tolist() == [3, 2, 1]


def test_an_eigenvalue_within_its_error_of_the_cut_has_no_sign() -> None:
    # kills: errors added on the wrong side, or to one count only.
    counts = counted_below(end([-5.0, -0.15, -0.05, 0.0], error=0.1), TAUS)
    assert counts.certain.tolist() == [1, 1, 1]
    assert counts.possible.tolist() == [4, 1, 1]  # zero may be -0.1
    assert verdicts(counted_below(end([0.0, 1.0], error=0.2), TAUS), 2) == [
        UNDETERMINED,
        MINIMUM,
        MINIMUM,
    ]


def test_the_error_of_the_scale_moves_the_cut() -> None:
    # kills: the scale taken as exact where the cut is close.
    counts = counted_below(end([-1.0 - 1e-9], scale_error=1.0), TAUS)
    assert counts.certain.tolist() == [1, 0, 0]
    assert counts.possible.tolist() == [1, 1, 0]


def test_what_may_have_been_missed_leaves_the_count_open() -> None:
    # kills: a count of found eigenvalues passed off as all of them; chances of other cuts.
    found = end([-0.5, -0.05], complete=False, missed=np.array([0.5, 2e-3, 1e-9]))
    counts = counted_below(found, TAUS)
    assert np.isnan(counts.possible[:2]).all()
    assert counts.possible[2] == 0
    assert counts.certain.tolist() == [1, 0, 0]
    assert verdicts(counts, 9) == ["saddle with at least 1 direction", UNDETERMINED, MINIMUM]


def test_all_directions_down_is_a_maximum() -> None:
    # kills: a maximum called a saddle.
    counts = Counts(np.array([3, 2]), np.array([3.0, 2.0]))
    assert verdicts(counts, 3) == [MAXIMUM, "saddle with at least 2 directions"]


def test_a_zero_matrix_has_no_verdict() -> None:
    # kills: "minimum" where every threshold is zero.
    counts = counted_below(end([0.0, 0.0], scale=0.0), TAUS)
    assert verdicts(counts, 2) == [UNDETERMINED] * 3


def test_masses_and_their_bounds_by_hand() -> None:
    # kills: bounds shifted by two nodes, probes mixed up.
    node = np.array([[-2.0, -1.0, 3.0], [0.0, 1.0, 3.0]])
    weight = np.array([[0.125, 0.25, 0.625], [0.5, 0.25, 0.25]])
    mass, low, high = masses_below(node, weight, np.array([0.5, 1.5]))
    assert mass.tolist() == [[0.375, 0.125], [0.0, 0.0]]
    assert low.tolist() == [[0.125, 0.0], [0.0, 0.0]]
    assert high.tolist() == [[1.0, 0.375], [0.5, 0.5]]


@pytest.mark.parametrize("steps", [5, 10, 20])
def test_the_bounds_hold_for_the_measure_of_a_probe(steps: int) -> None:
    # kills: a bound on the wrong side. Oracle: the spectral measure of the same probe.
    from theodolite.curvature.spectrum import probe_quadrature
    from theodolite.linalg.probes import signs
    from theodolite.testing import oracles

    operator = oracles.operator_with_eigenvalues(oracles.spectra(60)["indefinite"])
    values, vectors = np.linalg.eigh(operator.dense().numpy())
    cuts = np.array([0.05, 0.5, 1.0])
    rule = probe_quadrature(operator, steps=steps, seed=0)
    _, low, high = masses_below(rule.node[None], rule.weight[None], cuts)
    probe = signs(operator, 0, "spectral_density", 0).numpy()
    measure = (vectors.T @ probe) ** 2 / 60
    exact = (measure[:, None] * (values[:, None] < -cuts)).sum(0)
    assert np.all(low[0] <= exact + 1e-12)
    assert np.all(exact <= high[0] + 1e-12)
