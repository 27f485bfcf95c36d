"""A matching of units as a result: permutations, and how near they bring two networks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.connectivity.ends import end_of, passed
from theodolite.connectivity.matched import Units
from theodolite.connectivity.matching import match
from theodolite.connectivity.segments import distance
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective

TOLERANCE = 1e-3
"""Of the loss at the permuted end: a permutation changes it by rounding only."""


def unit_matching(
    objective: Objective, units: Units, a: Any, b: Any, *, method: str = "weights", seed: int = 0
) -> xr.Dataset:
    """Where the units of `b` go so that they lie beside those of `a` that they are most like.

    ``distance_before`` and ``distance`` between the points, ``coverage`` (share of parameters in
    tensors that may be permuted), ``moved`` (share of units that change places), and
    ``permutation(unit)``, all groups in a row: `permutations_in` takes them apart. Without usable
    units only ``coverage`` and ``attrs["not_measured"]``, why. Groups that reach into parameters
    that do not move along paths stay in place.
    """
    told: dict[str, Any] = {"align": method, "seed": seed, "frozen": list(units.frozen)}
    coverage: results.Variable = (
        (),
        units.coverage,
        {"long_name": "share of parameters in tensors that can be permuted"},
    )
    if units.symmetries is None:
        return results.dataset(
            "unit_matching", {"coverage": coverage}, not_measured=units.why, **told
        )
    found = match(objective, a, b, symmetries=units.symmetries, method=method, seed=seed)
    chosen = {name: p.cpu() for name, p in found.permutations.items()}
    first, second = (end_of(objective, v, n).theta for v, n in ((a, "a"), (b, "b")))
    moved = end_of(objective, units.symmetries.apply(b, chosen), "b").theta
    names = list(chosen)
    flat = [p.reshape(-1).numpy() for p in chosen.values()]
    return results.dataset(
        "unit_matching",
        {
            "coverage": coverage,
            "distance_before": ((), distance(first, second), {"long_name": "distance before"}),
            "distance": ((), distance(first, moved), {"long_name": "distance after matching"}),
            "moved": ((), moved_share(chosen), {"long_name": "share of units that change places"}),
            "permutation": (
                ("unit",),
                np.concatenate(flat),
                {"long_name": "place a unit comes from, group after group"},
            ),
        },
        groups=names,
        shapes=json.dumps([list(p.shape) for p in chosen.values()]),
        **told,
    )


def permutations_in(found: xr.Dataset) -> dict[str, Tensor]:
    """The permutations of a `unit_matching` by group."""
    shapes = json.loads(found.attrs["shapes"])
    sizes = [int(np.prod(shape)) for shape in shapes]
    flat = torch.from_numpy(found["permutation"].values.astype(np.int64))
    parts = torch.split(flat, sizes)
    groups = found.attrs["groups"]
    named = [groups] if isinstance(groups, str) else list(groups)
    return {n: p.view(s) for n, p, s in zip(named, parts, shapes, strict=True)}


def moved_to(
    objective: Objective, units: Units, found: xr.Dataset, b: Any, *, loss: float | None = None
) -> Any:
    """`b` with its units where `found` puts them; raises if that changes its loss (E-A15).

    `loss` is that of `b`, where it is known; one or two passes.
    """
    assert units.symmetries is not None
    point = units.symmetries.apply(b, permutations_in(found))
    own = loss_at(objective, b) if loss is None else loss
    other = loss_at(objective, point)
    if abs(other - own) > TOLERANCE * max(abs(own), TOLERANCE):
        raise InvalidArgument(
            f"permuting the units of b changed its loss from {own:.6g} to {other:.6g}.",
            why="something that belongs to the units did not move with them, as running statistics "
            "of a flat tensor, or the data see the order of units.",
            fix='pass b as a state dict, use objective.with_batch_norm("recompute"), or '
            'align="none".',
            code="E-A15",
        )
    return point


def loss_at(objective: Objective, point: Any) -> float:
    """The loss of a point with its own statistics; one pass."""
    end = end_of(objective, point, "b")
    return passed(objective, end.theta, end.statistics).loss()


def moved_share(permutations: Mapping[str, Tensor]) -> float:
    """The share of units that change places."""
    still = sum(int((p == torch.arange(p.shape[-1])).sum()) for p in permutations.values())
    return 1 - still / max(1, sum(p.numel() for p in permutations.values()))
