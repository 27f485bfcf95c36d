"""The spectral density of the Hessian, a probe a unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature import assembled_density, probe_quadrature
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_hessian
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group; no more Lanczos steps than there are parameters."""
    probes = count_of(settings, "spectrum", "probes")
    steps = min(count_of(settings, "spectrum", "steps"), target.objective.space.size)
    group = Group(
        "spectrum",
        "spectrum",
        partial(opening, steps, probes, seed),
        units=probes,
        along="probe",
        coords={"probe": np.arange(probes), "step": np.arange(steps)},
        passes=PRODUCT * steps,
        vectors=steps + HOLDS,
        finish=lambda done: {"products": int(done.get("products", np.zeros(1)).sum())},
    )
    return (group,)


def opening(steps: int, probes: int, seed: int, target: Target) -> Unit:
    """Prepare the Hessian; probe `k` depends on the seed and `k` alone."""
    operator = steady_hessian(target.objective)

    def unit(probe: int) -> xr.Dataset:
        rule = probe_quadrature(operator, steps=steps, seed=seed, probe=probe)
        alone = assembled_density(
            [rule], label=operator.label, size=operator.size, seed=seed, facts=operator.facts
        )
        cost = (("probe",), [rule.products], {"long_name": "Hessian products made"})
        return alone.assign(products=cost).assign_attrs(probes=probes, products=0)

    return unit


def settings(steps: int, probes: int) -> dict[str, Any]:
    return {"steps": steps, "probes": probes}


SPECTRUM = Measure(
    "spectrum",
    "distribution of all eigenvalues of the Hessian",
    {"quick": settings(40, 2), "standard": settings(80, 4), "thorough": settings(100, 10)},
    groups,
)
