"""The spectral density of the Hessian, a probe a unit; norms and spectra by layer where asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature import assembled_density, probe_quadrature, spectral_facts
from theodolite.errors import InvalidArgument
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.measures import layers, norms
from theodolite.surveys.measures.hessians import steady_hessian, told_products
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of, flag_of, warn_of_fewer
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """The density, of no more Lanczos steps than there are parameters, and what was asked for."""
    probes = count_of(settings, "spectrum", "probes")
    asked = count_of(settings, "spectrum", "steps")
    steps = min(asked, target.objective.space.size)
    wanted = flag_of(settings, "spectrum", "norms")
    damping = damping_of(settings) if wanted else None
    found = [
        Group(
            "spectrum",
            "spectrum",
            partial(opening, asked, probes, seed),
            units=probes,
            along="probe",
            coords={"probe": np.arange(probes), "step": np.arange(steps)},
            passes=PRODUCT * steps,
            vectors=steps + HOLDS,
            finish=partial(summed, damping),
            told=True,
        )
    ]
    if wanted:
        found += norms.groups(target, settings, seed)
    if flag_of(settings, "spectrum", "per_layer"):
        found += layers.groups(target, settings, seed)
    return tuple(found)


def summed(damping: float | None, done: xr.Dataset) -> dict[str, Any]:
    """The products made, and what the density says in numbers, as JSON text."""
    products = int(done.get("products", np.zeros(1)).sum())
    whole = done[["node", "weight"]].dropna("probe") if "node" in done else xr.Dataset()
    if not whole.sizes.get("probe"):
        return {"products": products}
    kept = {k: v for k, v in done.attrs.items() if k in ("quantity", "size")}
    facts = spectral_facts(whole.assign_attrs(kept), damping=damping)
    asked = {} if damping is None else {"damping": damping}
    return {"products": products, "summary": json.dumps(facts), **asked}


def damping_of(settings: Mapping[str, Any]) -> float:
    """A finite number of at least 0; 0 takes one that fits the spectrum."""
    value = settings["damping"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
        raise InvalidArgument(
            f"damping of spectrum must be a finite number, at least 0; got {value!r}.",
            fix="0 takes 1 % of the largest eigenvalue, or twice the negative end.",
            code="E-S07",
        )
    return float(value)


def opening(asked: int, probes: int, seed: int, target: Target) -> Unit:
    """Prepare the Hessian; probe `k` depends on the seed and `k` alone."""
    operator = steady_hessian(target.objective)
    usual = [p["steps"] for p in SPECTRUM.presets.values()]
    warn_of_fewer(asked, operator.size, "steps of spectrum", usual)
    steps = min(asked, operator.size)

    def unit(probe: int, tell: Tell | None = None) -> xr.Dataset:
        counted = told_products(operator, tell, steps)
        rule = probe_quadrature(counted, steps=steps, seed=seed, probe=probe)
        alone = assembled_density(
            [rule], label=operator.label, size=operator.size, seed=seed, facts=operator.facts
        )
        cost = (("probe",), [rule.products], {"long_name": "Hessian products made"})
        return alone.assign(products=cost).assign_attrs(probes=probes, products=0)

    return unit


def settings(steps: int, probes: int, *, all_of_it: bool = False, **rest: int) -> dict[str, Any]:
    return {
        "steps": steps,
        "probes": probes,
        "norms": all_of_it,
        "damping": 0.0,
        "per_layer": all_of_it,
        **rest,
    }


SPECTRUM = Measure(
    "spectrum",
    "distribution of all eigenvalues of the Hessian; its norms, and by layer, where asked",
    {
        "quick": settings(40, 2, norm_probes=16, layer_steps=24, layer_probes=2, layer_products=32),
        "standard": settings(
            80, 4, norm_probes=32, layer_steps=40, layer_probes=2, layer_products=64
        ),
        "thorough": settings(
            100,
            10,
            all_of_it=True,
            norm_probes=64,
            layer_steps=60,
            layer_probes=4,
            layer_products=128,
        ),
    },
    groups,
)
