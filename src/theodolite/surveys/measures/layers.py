"""The spectrum of every layer's block of the Hessian, a layer a unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from theodolite.curvature import layer_spectrum
from theodolite.curvature.layer_spectra import Effort
from theodolite.linalg import Operator
from theodolite.operators import hessian
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import engine_of, steady_hessian
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of
from theodolite.surveys.target import Target

ENDS = 40
"""Products for both ends of a block's spectrum."""

TOLERANCE = 1e-3
"""Residual of an end, relative to the larger one."""

FEWEST = 32
"""Products below which no trace is estimated."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group with a unit for each layer, every one at the cost of a whole product."""
    steps, probes = (count_of(settings, "spectrum", f"layer_{k}") for k in ("steps", "probes"))
    most = count_of(settings, "spectrum", "layer_products", FEWEST)
    layers = target.objective.space.layers()
    steps = min(steps, max(sum(e.size for e in entries) for entries in layers.values()))
    effort = Effort(steps, probes, most, TOLERANCE)
    return (
        Group(
            "layers",
            "spectrum",
            partial(opening, effort, seed),
            units=len(layers),
            along="layer",
            coords={
                "layer": np.array(list(layers)),
                "probe": np.arange(probes),
                "step": np.arange(steps),
            },
            passes=PRODUCT * (steps * probes + ENDS + most),
            vectors=max(steps, 3 * most // 2) + HOLDS,
            finish=lambda done: {"products": int(np.nansum(done["products"].values))},
        ),
    )


def opening(effort: Effort, seed: int, target: Target) -> Unit:
    """How products are made, by rule; a block is made when its unit is computed.

    A layer none of whose tensors moves the loss, which was tried by moving them, curves by zero.
    """
    objective = target.objective
    whole = steady_hessian(objective)
    engine = engine_of(whole)
    unused = frozenset(whole.facts.get("unused_parameters", ()))
    layers = {k: tuple(e.name for e in v) for k, v in objective.space.layers().items()}

    def unit(number: int) -> xr.Dataset:
        name = list(layers)[number]
        part = objective.restricted(*layers[name])
        if unused.issuperset(layers[name]):  # no graph leads there, and no product is needed
            size, label = part.space.size, whole.label
            block = Operator(torch.zeros_like, size, part.dtype, label, part.device)
        else:
            block = hessian(part, engine=engine)
        return layer_spectrum(block, name, effort, seed=seed)

    return unit
