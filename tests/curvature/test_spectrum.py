"""Stochastic Lanczos quadrature against spectra we chose."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from theodolite.curvature.spectrum import (
    assembled_density,
    moment,
    probe_quadrature,
    spectral_density,
)
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SPECTRA = oracles.spectra(30)
EVERY_SPECTRUM = pytest.mark.parametrize("name", SPECTRA)


@EVERY_SPECTRUM
def test_full_lanczos_finds_exactly_the_distinct_eigenvalues(name: str) -> None:
    # Kills: wrong recurrence, wrong padding.
    exact = SPECTRA[name].unique().numpy()
    density = spectral_density(oracles.operator_with_eigenvalues(SPECTRA[name]), steps=30)
    scale = max(np.abs(exact).max(), 1.0)
    for node, weight in zip(density.node.values, density.weight.values, strict=True):
        found = np.unique(node[weight > 0].round(9))
        if name == "decaying":  # a weight of 1e-2 and a value of 1e-6: found where it matters
            found = found[found > 1e-4]
            exact = exact[exact > 1e-4]
        np.testing.assert_allclose(found, exact, rtol=0, atol=2e-9 * scale)


@EVERY_SPECTRUM
def test_weights_of_every_probe_sum_to_one(name: str) -> None:
    # Kills: weights not squared, the wrong axis of the eigenvectors, weight in the padding.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name])
    density = spectral_density(operator, steps=17, probes=3)
    np.testing.assert_allclose(density.weight.sum("step"), 1, rtol=0, atol=1e-13)
    assert float(density.weight.min()) >= 0


@EVERY_SPECTRUM
def test_moments_agree_with_traces_within_four_standard_errors(name: str) -> None:
    # Kills: the wrong row of eigenvectors, an unnormalized start vector, probes that are equal.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name])
    density = spectral_density(operator, steps=6, probes=100, seed=1)
    for power in (1, 2, 3):
        estimates = moment(density, power)
        error = float(estimates.std(ddof=1)) / 10
        exact = float((SPECTRA[name] ** power).mean())
        assert estimates.dims == ("probe",)
        assert abs(float(estimates.mean()) - exact) <= 4 * error + 1e-9


def test_converged_outliers_are_not_found_twice() -> None:
    # Kills: lost reorthogonalization.
    bulk = torch.linspace(0, 1, 198, dtype=torch.float64)
    eigenvalues = torch.cat([bulk, torch.tensor([50.0, 100.0], dtype=torch.float64)])
    for dtype in (torch.float64, torch.float32):
        operator = oracles.operator_with_eigenvalues(eigenvalues, dtype=dtype)
        density = spectral_density(operator, steps=90, probes=1)
        assert int((density.node > 2).sum()) == 2


def test_the_density_is_the_assembly_of_its_probes_bit_for_bit() -> None:
    # Kills: one generator for all probes, a seed that depends on how many were asked.
    operator = oracles.operator_with_eigenvalues(SPECTRA["indefinite"])
    whole = spectral_density(operator, steps=12, probes=4, seed=5)
    apart = [
        probe_quadrature(operator, steps=12, seed=5, probe=probe) for probe in reversed(range(4))
    ][::-1]
    assembled = assembled_density(
        apart, label=operator.label, size=30, seed=5, facts=operator.facts
    )
    xr.testing.assert_identical(whole, assembled)
    fewer = spectral_density(operator, steps=12, probes=2, seed=5)
    assert np.array_equal(fewer.node, whole.node[:2])
    other = spectral_density(operator, steps=12, probes=2, seed=6)
    assert not np.array_equal(fewer.node, other.node)
    assert not np.array_equal(whole.node[0], whole.node[1])


def test_settings_facts_and_cost_are_recorded_and_survive_the_disk() -> None:
    # Kills: products counted as steps * probes where the space ran out early.
    spectrum = SPECTRA["rank one"]
    operator = Operator(
        lambda v: spectrum * v, 30, torch.float64, "diagonal", facts={"fingerprint": "f00d"}
    )
    calls: list[tuple[int, int]] = []
    density = spectral_density(
        operator, steps=9, probes=2, seed=3, progress=lambda *done: calls.append(done)
    )
    expected = {
        "quantity": "spectral_density",
        "operator": "diagonal",
        "size": 30,
        "steps": 9,
        "probes": 2,
        "seed": 3,
        "products": 4,
        "fingerprint": "f00d",
    }
    assert expected.items() <= density.attrs.items()
    assert calls == [(1, 2), (2, 2)]
    assert all(density[name].attrs["long_name"] for name in ("node", "weight"))
    again = xr.Dataset.from_dict(json.loads(json.dumps(density.to_dict(encoding=False))))
    assert np.array_equal(again.node, density.node)
    assert again.attrs == density.attrs


def test_float32_operators_give_the_same_density_to_their_accuracy() -> None:
    # Kills: coefficients accumulated in float32.
    spectrum = SPECTRA["indefinite"]
    wide, narrow = (
        spectral_density(oracles.operator_with_eigenvalues(spectrum, dtype=dtype), steps=8)
        for dtype in (torch.float64, torch.float32)
    )
    assert narrow.node.dtype == np.float64
    np.testing.assert_allclose(narrow.node, wide.node, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 31])
def test_impossible_step_counts_are_refused_by_name(steps: int) -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    with pytest.raises(InvalidArgument, match=rf"steps must lie between .* size 30; got {steps}\."):
        spectral_density(operator, steps=steps)


def test_other_bad_arguments_are_refused_by_name() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    with pytest.raises(InvalidArgument, match="probes must be at least 1; got 0"):
        spectral_density(operator, steps=5, probes=0)
    with pytest.raises(InvalidArgument, match="probe must be at least 0; got -1"):
        probe_quadrature(operator, steps=5, probe=-1)
    rules = [probe_quadrature(operator, steps=steps) for steps in (5, 6)]
    with pytest.raises(InvalidArgument, match=r"equal steps; got \[5, 6\]"):
        assembled_density(rules, label="", size=30, seed=0)
    with pytest.raises(InvalidArgument, match=r"one or more with equal steps; got \[\]"):
        assembled_density([], label="", size=30, seed=0)
    with pytest.raises(InvalidArgument, match="power must be at least 0; got -1"):
        moment(spectral_density(operator, steps=5), -1)


def test_probes_are_drawn_without_touching_the_global_generator() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    before: Tensor = torch.get_rng_state()
    spectral_density(operator, steps=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_small_matrix_is_measured_whole_by_default() -> None:
    # Kills: 80 steps asked of three parameters.
    density = spectral_density(Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0, 4.0]))))
    assert density.sizes["step"] == 3
    assert density.node.values[0] == pytest.approx([1.0, 2.0, 4.0])
