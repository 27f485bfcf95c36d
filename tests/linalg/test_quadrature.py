"""Gauss rules against the integrals they must give exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.linalg.quadrature import gauss_rule
from theodolite.testing import oracles

SPECTRA = oracles.spectra(30)


def test_polynomials_are_exact_up_to_the_promised_degree_and_no_further() -> None:
    # Kills: the wrong row of eigenvectors, weights not squared, an unnormalized start vector.
    # Negative control: degree 2 * steps must be off, or the rule is finer than it claims.
    steps, operator = 4, oracles.operator_with_eigenvalues(SPECTRA["indefinite"], seed=2)
    vector = torch.randn(30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rule = gauss_rule(operator, vector, steps=steps)
    values, vectors = np.linalg.eigh(operator.dense().numpy())
    measure = (vectors.T @ vector.numpy()) ** 2 / float(vector @ vector)
    gaps = [
        abs(float(rule.weight @ rule.node**p - measure @ values**p)) for p in range(2 * steps + 1)
    ]
    assert max(gaps[:-1]) < 1e-11
    assert gaps[-1] > 1e-3


def test_full_depth_gives_the_spectral_measure_itself() -> None:
    # Kills: nodes and weights in different orders.
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    vector = torch.randn(30, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rule = gauss_rule(operator, vector, steps=30)
    values, vectors = np.linalg.eigh(operator.dense().numpy())
    np.testing.assert_allclose(rule.node, values, rtol=0, atol=1e-12)
    measure = (vectors.T @ vector.numpy()) ** 2 / float(vector @ vector)
    np.testing.assert_allclose(rule.weight, measure, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "distinct"), [("zero", 1), ("identity", 1), ("rank one", 2)])
def test_an_exhausted_space_repeats_its_last_node_without_weight(name: str, distinct: int) -> None:
    # Kills: padding with zeros (a node at zero would count as an eigenvalue), NaN padding.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name])
    vector = torch.randn(30, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rule = gauss_rule(operator, vector, steps=10)
    assert rule.products == distinct
    assert rule.node.shape == rule.weight.shape == (10,)
    assert np.all(rule.node[distinct:] == rule.node[distinct - 1])
    assert np.all(rule.weight[distinct:] == 0)
    assert np.all(rule.weight[:distinct] > 0)
    assert rule.weight.sum() == pytest.approx(1, abs=1e-14)


def test_float32_operators_give_float64_rules() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"], dtype=torch.float32)
    rule = gauss_rule(operator, torch.ones(30), steps=12)
    assert rule.node.dtype == rule.weight.dtype == np.float64
    assert rule.weight.sum() == pytest.approx(1, abs=1e-14)
