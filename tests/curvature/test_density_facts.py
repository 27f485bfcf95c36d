"""Plain values of a density. Oracle: the functions they come from, and sums on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite.curvature import spectral_facts
from theodolite.curvature.density_facts import chosen_damping
from theodolite.linalg import Operator

SPECTRUM = torch.cat([torch.linspace(-0.2, 1, 60), torch.tensor([8.0, 20.0])]).double()


@pytest.fixture(scope="module")
def density() -> xr.Dataset:
    return td.spectral_density(Operator.from_matrix(torch.diag(SPECTRUM)), steps=30, probes=4)


def test_facts_are_the_summarys_and_the_trace_is_size_times_mean(density):
    # Kills: low and high exchanged, the error of another quantity, a trace per parameter.
    facts = spectral_facts(density)
    found = td.spectral_summary(density)
    for name in ("near_zero_mass", "negative_mass", "outliers"):
        for key, suffix in (("value", ""), ("error", "_error"), ("low", "_low"), ("high", "_high")):
            assert facts[name][key] == float(found[name + suffix])
    assert facts["bulk_high"]["value"] == float(found.bulk_high)
    assert facts["trace"]["value"] == pytest.approx(62 * float(found["mean"]))
    assert facts["trace"]["error"] == pytest.approx(62 * float(found.mean_error))
    assert "effective_dimension" not in facts


def test_sums_at_a_damping_are_those_of_the_functions(density):
    # Kills: another damping, a damping given and one chosen exchanged.
    facts = spectral_facts(density, damping=2.0)
    assert facts["damping"] == {"value": 2.0, "chosen": False}
    for name in ("effective_dimension", "log_determinant"):
        found = getattr(td, name)(density, 2.0)
        assert facts[name]["value"] == float(found[name])
        assert facts[name]["error"] == float(found.standard_error)


def test_the_damping_chosen_keeps_away_from_the_pole(density):
    # Kills: 1 % of the largest where the negative end is larger; no use of the negative end.
    assert chosen_damping(density) == pytest.approx(0.4, rel=1e-6)
    facts = spectral_facts(density, damping=0.0)
    assert facts["damping"]["chosen"] is True
    assert facts["log_determinant"]["value"] is not None
    positive = density.assign(node=np.abs(density.node)).assign_attrs(density.attrs)
    assert chosen_damping(positive) == pytest.approx(0.2, rel=1e-6)
    zero = density.assign(node=0 * density.node).assign_attrs(density.attrs)
    assert chosen_damping(zero) == 1.0


def test_a_pole_is_said_and_not_raised(density):
    facts = spectral_facts(density, damping=0.1)
    assert facts["effective_dimension"]["value"] is None
    assert "damping must exceed 0.2" in facts["effective_dimension"]["why"]


def test_one_probe_has_an_error_only_with_a_size(density):
    facts = spectral_facts(density.isel(probe=[0]), damping=1.0)
    assert facts["mean"]["error"] > 0
    without = density.isel(probe=[0]).assign_attrs(size=0)
    assert spectral_facts(without)["mean"]["error"] is None
    assert not any(isinstance(v, float) and math.isnan(v) for v in facts["outliers"].values())
