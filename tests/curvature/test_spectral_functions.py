"""Effective dimensions and log determinants, against sums over chosen eigenvalues."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite.curvature import assembled_density, moment
from theodolite.curvature.probe_errors import interval_factor, probe_error
from theodolite.errors import InvalidArgument
from theodolite.linalg.probes import signs
from theodolite.linalg.quadrature import Quadrature
from theodolite.testing import oracles

SIZE, PROBES = 60, 10
SPECTRA = {
    "distinct": torch.linspace(0.01, 5, SIZE, dtype=torch.float64),
    "decaying": torch.logspace(0, -3, SIZE, dtype=torch.float64),
    "trained network": oracles.trained_network_spectrum(SIZE),
}
DAMPING = {"distinct": 0.5, "decaying": 0.05, "trained network": 0.02}
FUNCTIONS = {
    "effective_dimension": (td.effective_dimension, lambda t, z: t / (t + z)),
    "log_determinant": (td.log_determinant, lambda t, z: torch.log(t + z)),
}


@cache
def densities(name: str) -> list[xr.Dataset]:
    """200 densities of independent probes, by the eigenvectors: what full depth would give.

    `test_full_depth_is_the_quadratic_form_of_each_probe` shows that Lanczos gives the same.
    """
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=1)
    values, vectors = np.linalg.eigh(operator.dense().numpy())
    made = []
    for seed in range(200):
        starts = [signs(operator, seed, "spectral_density", p).numpy() for p in range(PROBES)]
        rules = [Quadrature(values, (vectors.T @ z) ** 2 / SIZE, SIZE) for z in starts]
        made.append(assembled_density(rules, label="matrix", size=SIZE, seed=seed))
    return made


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("quantity", FUNCTIONS)
def test_intervals_cover_and_the_mean_is_unbiased(name: str, quantity: str) -> None:
    # Kills: the size not multiplied, the damping added on one side only, weights not used, the
    # deviation not divided by the root of the count.
    measure, function = FUNCTIONS[quantity]
    exact = float(function(SPECTRA[name], DAMPING[name]).sum())
    runs = [measure(d, DAMPING[name]) for d in densities(name)]
    values = np.array([float(r[quantity]) for r in runs])
    errors = np.array([float(r.standard_error) for r in runs])
    covered = np.abs(values - exact) <= interval_factor(PROBES) * errors
    assert 0.90 <= covered.mean() <= 0.99
    assert abs(values.mean() - exact) <= 4 * values.std(ddof=1) / math.sqrt(len(values))


@pytest.mark.parametrize("name", SPECTRA)
def test_intervals_of_the_moments_of_a_density_cover(name: str) -> None:
    # Kills: probes that are not independent, a weight that is not a squared cosine. Three steps
    # are exact up to the fifth moment. 200 groups of ten probes.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=1)
    density = td.spectral_density(operator, probes=200 * PROBES, steps=3)
    node, weight = (density[k].values.reshape(200, PROBES, 3) for k in ("node", "weight"))
    for power in (1, 2, 3):
        exact = float((SPECTRA[name] ** power).mean())
        sample = moment(density, power).values.reshape(200, PROBES)
        error = np.array(
            [probe_error(n**power, w, SIZE) for n, w in zip(node, weight, strict=True)]
        )
        covered = np.abs(sample.mean(1) - exact) <= interval_factor(PROBES) * error
        assert 0.90 <= covered.mean() <= 0.99


@pytest.mark.parametrize("quantity", FUNCTIONS)
def test_full_depth_is_the_quadratic_form_of_each_probe(quantity: str) -> None:
    # Kills: a probe's share that is not its own; ddof=0. Oracle: z'f(A)z by the eigenvectors.
    measure, function = FUNCTIONS[quantity]
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["distinct"]))
    found = measure(operator, 0.5, probes=3, seed=4)
    assert found.attrs["products"] == sum(made) == 180
    values, vectors = torch.linalg.eigh(operator.dense())
    for probe in range(3):
        inside = vectors.T @ signs(operator, 4, "spectral_density", probe)
        exact = float((inside**2 * function(values, 0.5)).sum())
        assert float(found["sample"][probe]) == pytest.approx(exact, rel=1e-9)
    assert float(found.quadrature_change) == 0
    matrix = vectors @ torch.diag(function(values, 0.5)) @ vectors.T
    variance = 2 * float(matrix.square().sum() - matrix.diagonal().square().sum())
    ceiling = 2 * float(matrix.square().sum() - matrix.trace() ** 2 / SIZE)
    assert 0.5 * math.sqrt(variance / 3) < float(found.standard_error) < math.sqrt(ceiling / 2)


@pytest.mark.parametrize("quantity", FUNCTIONS)
def test_an_exhausted_space_leaves_nothing_to_change(quantity: str) -> None:
    # Kills: a short rule made of three nodes that are already all there is.
    measure, function = FUNCTIONS[quantity]
    eigenvalues = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).repeat(20)
    density = td.spectral_density(oracles.operator_with_eigenvalues(eigenvalues), steps=10)
    assert int((density.weight > 0).sum("step").max()) == 3
    found = measure(density, 0.5)
    assert float(found.quadrature_change) == 0
    exact = float(function(eigenvalues, 0.5).sum())
    assert float(found[quantity]) == pytest.approx(exact, rel=0.2)


@pytest.mark.parametrize("quantity", FUNCTIONS)
def test_an_operator_and_its_density_give_the_same(quantity: str) -> None:
    # Kills: products made although a density is given; settings lost on the way.
    measure, _ = FUNCTIONS[quantity]
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["distinct"]))
    direct = measure(operator, 0.5, probes=3, steps=20, seed=2)
    density = td.spectral_density(operator, probes=3, steps=20, seed=2)
    made.clear()
    stored = measure(density, 0.5)
    assert not made
    xr.testing.assert_identical(direct, stored)
    assert stored.attrs["quantity"] == quantity
    assert (stored.attrs["damping"], stored.attrs["steps"], stored.attrs["seed"]) == (0.5, 20, 2)


@pytest.mark.parametrize("quantity", FUNCTIONS)
def test_the_change_by_the_second_half_is_that_of_a_shorter_run(quantity: str) -> None:
    # Kills: the wrong leading part, weights of the short rule that do not sum to one.
    measure, _ = FUNCTIONS[quantity]
    operator = oracles.operator_with_eigenvalues(SPECTRA["decaying"])
    whole, half = (measure(operator, 0.05, probes=4, steps=k) for k in (12, 6))
    change = abs(float(whole[quantity]) - float(half[quantity]))
    assert float(whole.quadrature_change) == pytest.approx(change, rel=1e-6, abs=1e-9)
    assert float(half[quantity]) > float(whole[quantity])  # Gauss rules err upwards here
    exact = measure(operator, 0.05, probes=4)
    assert abs(float(whole[quantity] - exact[quantity])) < change


def test_equal_eigenvalues_are_exact_with_one_step() -> None:
    # 60 eigenvalues 2 and damping 1: 40 directions, log det 60 log 3.
    operator = oracles.operator_with_eigenvalues(torch.full((60,), 2.0, dtype=torch.float64))
    found = td.effective_dimension(operator, 1.0, probes=2, steps=5)
    assert float(found.effective_dimension) == pytest.approx(40, rel=1e-12)
    assert float(found.standard_error) < 1e-11
    assert float(found.quadrature_change) == 0
    volume = td.log_determinant(operator, 1.0, probes=2, steps=5)
    assert float(volume.log_determinant) == pytest.approx(60 * math.log(3), rel=1e-12)


def test_one_probe_has_an_error_bar() -> None:
    # kills: an error from the spread alone; a matrix that is a multiple of one has none
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    assert float(td.effective_dimension(operator, 1.0, probes=1).standard_error) > 0
    one = td.effective_dimension(td.Operator.from_matrix(torch.eye(60).double()), 1.0, probes=1)
    assert float(one.standard_error) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("quantity", FUNCTIONS)
def test_a_damping_that_leaves_a_negative_eigenvalue_is_refused(quantity: str) -> None:
    # Kills: logarithms of negative numbers, a pole stepped over.
    measure, _ = FUNCTIONS[quantity]
    operator = oracles.operator_with_eigenvalues(torch.linspace(-1, 3, 60, dtype=torch.float64))
    with pytest.raises(InvalidArgument, match=r"damping must exceed 1, .*; got 0\.9"):
        measure(operator, 0.9, probes=2)
    measure(operator, 1.1, probes=2)
    for damping in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidArgument, match="damping must be 0 or more and finite; got"):
            measure(operator, damping, probes=2)


def test_only_complete_densities_are_taken() -> None:
    density = densities("distinct")[0]
    with pytest.raises(InvalidArgument, match="must be a result of spectral_density; got quantity"):
        td.effective_dimension(td.effective_dimension(density, 1.0), 1.0)
    broken = density.copy(deep=True)
    broken.node[0, 0] = np.nan
    with pytest.raises(InvalidArgument, match="density must be complete; 1 of 10 probes"):
        td.effective_dimension(broken, 1.0)


def test_a_stored_density_needs_no_torch() -> None:
    # Kills: an import of torch at the top of the file.
    code = "import sys, theodolite.curvature.spectral_functions; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
