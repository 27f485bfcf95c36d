"""Errors from few probes cover the truth, and agree with theory where it is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from theodolite.curvature.probe_errors import (
    degrees_of_freedom,
    interval_factor,
    probe_error,
    quantile_error,
    quantiles,
)
from theodolite.curvature.spectrum import probe_quadrature
from theodolite.linalg.operator import Operator

SIZE, STEPS, SEEDS = 200, 24, 200


def spectra() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        "one large": np.r_[np.linspace(-0.1, 0.1, SIZE - 1), 100.0],
        "network": np.r_[20 * random.standard_exponential(8), random.normal(0, 0.05, SIZE - 8)],
        "two values": np.r_[np.full(30, -5.0), np.ones(SIZE - 30)],
        "decaying": 10 / np.arange(1, SIZE + 1),
    }


def rules(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of many probes of a matrix with these eigenvalues, turned at random."""
    random = np.random.default_rng(3)
    turned = np.linalg.qr(random.normal(size=(len(values), len(values))))[0]
    matrix = Operator.from_matrix(torch.tensor((turned * values) @ turned.T))
    found = [probe_quadrature(matrix, steps=STEPS, seed=1, probe=p) for p in range(most)]
    return np.stack([r.node for r in found]), np.stack([r.weight for r in found])


@pytest.mark.parametrize("name", ["one large", "network", "two values", "decaying"])
def test_intervals_of_one_two_and_eight_probes_cover_the_truth(name: str) -> None:
    """Kills: the spread of two draws as their error (68 % covered), a variance without the factor
    of two, weights of single eigenvalues as the probe happened to see them (88 %)."""
    values = spectra()[name]
    node, weight = rules(values, 2 * SEEDS)
    functions = {
        "trace": lambda x: x,
        "effective": lambda x: x / (x + 11.0),
        "square": lambda x: x**2,
    }
    for probes in (1, 2, 8):
        parts = [slice(k, k + probes) for k in range(0, len(node) - probes + 1, probes)][:SEEDS]
        for label, f in functions.items():
            hits = []
            for part in parts:
                seen, w = f(node[part]), weight[part]
                reach = interval_factor(probes) * probe_error(seen, w, SIZE)
                hits.append(abs((w * seen).sum(1).mean() - f(values).mean()) <= reach)
            least = 0.90 if len(parts) >= SEEDS else 0.86  # 50 parts: two errors of a share
            assert np.mean(hits) >= least, (label, probes, np.mean(hits))


def test_the_error_of_one_probe_is_the_deviation_of_many() -> None:
    """Kills: variances of sums where means are meant, a forgotten mean, sizes one off."""
    values = spectra()["two values"]
    node, weight = rules(values, 400)
    alone = [probe_error(n[None], w[None], SIZE) for n, w in zip(node, weight, strict=True)]
    truth = float((weight * node).sum(1).std(ddof=1))
    assert np.mean(alone) == pytest.approx(truth, rel=0.08)  # deviations of 400: 4 %


def test_many_probes_speak_for_themselves() -> None:
    # kills: a prior that grows with the probes, a spread not divided by the count
    weight = np.full((801, 1), 1.0)
    values = np.random.default_rng(0).normal(size=(801, 1))
    want = math.sqrt(800 / 808 / 801) * values.std(ddof=1)  # one node: its own variance is zero
    assert probe_error(values, weight, 10**9) == pytest.approx(want, rel=1e-3)
    assert degrees_of_freedom(801) == 808


def test_without_a_size_only_the_spread_is_known() -> None:
    # kills: a size of one where none is recorded
    weight = np.full((2, 2), 0.5)
    values = np.array([[0.0, 2.0], [2.0, 4.0]])
    assert probe_error(values, weight, None) == pytest.approx(1.0)
    assert math.isnan(probe_error(values[:1], weight[:1], None))


def test_a_shift_of_the_function_does_not_matter() -> None:
    # kills: the mean square in place of the variance, where single weights do not add to one
    values = spectra()["two values"]
    node, weight = (each[:3] for each in rules(values, 3))
    want = probe_error(node, weight, SIZE)
    assert probe_error(node + 100.0, weight, SIZE) == pytest.approx(want, rel=1e-9)


def test_the_error_of_a_quantile_of_a_uniform_spectrum_is_that_of_the_share_below() -> None:
    """Kills: an error not that of the mean, a prior left out, one side of the quantile alone."""
    node = np.linspace(0.0, 1.0, 20_001)[None]
    weight = np.full_like(node, 1 / 20_001)
    theory = math.sqrt(2 * 0.3 * 0.7 / 500)
    assert quantile_error(node, weight, 0.3, 500) == pytest.approx(theory, rel=1e-2)
    four = np.tile(node, (4, 1)), np.tile(weight, (4, 1))  # no spread: 8 parts of 11
    want = theory / 2 * math.sqrt(8 / 11)
    assert quantile_error(*four, 0.3, 500) == pytest.approx(want, rel=1e-2)


@pytest.mark.parametrize("q", [0.05, 0.5])
def test_intervals_of_quantiles_cover_them(q: float) -> None:
    """Kills: the error of the share where that of the quantile is meant, one side alone."""
    values = np.sort(np.random.default_rng(2).normal(size=SIZE))
    node, weight = rules(values, 2 * SEEDS)
    truth = float(values[math.ceil(q * SIZE) - 1])
    gap = np.median(np.diff(node, axis=1))  # what so many nodes resolve
    hits = []
    for k in range(0, len(node), 2):
        part = slice(k, k + 2)
        reach = interval_factor(2) * quantile_error(node[part], weight[part], q, SIZE)
        hits.append(abs(quantiles(node[part], weight[part], q).mean() - truth) <= reach + gap)
    assert np.mean(hits) >= 0.9
