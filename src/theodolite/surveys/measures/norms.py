"""The Frobenius norm of the Hessian and its diagonal by layer, a unit each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import xarray as xr

from theodolite.curvature import frobenius_norm, layer_diagonals
from theodolite.linalg import Operator
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_hessian, told_products
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of
from theodolite.surveys.target import Target

Measured = Callable[[Operator, Target], xr.Dataset]


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """Twice as many products as probes for the norm, as many as probes for the diagonal."""
    probes = count_of(settings, "spectrum", "norm_probes", 2)
    how: dict[str, Any] = {"probes": probes, "seed": seed}

    def norm(operator: Operator, _: Target) -> xr.Dataset:
        return frobenius_norm(operator, **how)

    def entries(operator: Operator, made: Target) -> xr.Dataset:
        return layer_diagonals(operator, made.objective.space, **how)

    return (
        Group(
            "frobenius_norm",
            "spectrum",
            partial(opening, norm, 2 * probes),
            passes=2 * PRODUCT * probes,
            vectors=3 * probes + HOLDS,
            told=True,
        ),
        Group(
            "layer_diagonals",
            "spectrum",
            partial(opening, entries, probes),
            passes=PRODUCT * probes,
            vectors=14 + HOLDS,
            told=True,
        ),
    )


def opening(measured: Measured, probes: int, target: Target) -> Unit:
    """Prepare the Hessian."""
    operator = steady_hessian(target.objective)
    return lambda _, tell=None: measured(told_products(operator, tell, probes), target)
