"""Grids of several axes through the surveyed point along random directions, a slice a unit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.directions import random_directions
from theodolite.seeds import child_seed
from theodolite.surfaces import volume_dataset, volume_facts, volume_rows
from theodolite.surfaces.volumes import axes_of
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import MOST, count_of, normalization_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group a volume; none in most presets, for the cost grows as a power of the axes."""
    count = count_of(settings, "volumes", "count", least=0)
    dims = count_of(settings, "volumes", "axes")
    count_of(settings, "volumes", "steps", least=2)
    normalization_of(settings, "volumes")
    axes = axes_of(settings["span"], settings["steps"], dims, MOST)
    return tuple(
        Group(
            f"volume_{k}",
            "volumes",
            partial(opening, settings, seed, k),
            units=len(axes[0]),
            along="axis_1",
            coords={f"axis_{n + 1}": axis for n, axis in enumerate(axes)},
            passes=math.prod(len(axis) for axis in axes[1:]) * ratio(target),
            vectors=2 * dims + 2,
        )
        for k in range(count)
    )


def opening(settings: Mapping[str, Any], seed: int, index: int, target: Target) -> Unit:
    """Draw a volume's directions; its slices are then computed one by one."""
    normalize = normalization_of(settings, "volumes")
    own = child_seed(seed, "volume", index)
    dims = settings["axes"]
    directions = random_directions(target.objective, count=dims, normalize=normalize, seed=own)
    axes = axes_of(settings["span"], settings["steps"], dims, MOST)
    facts = volume_facts(
        target.objective,
        directions,
        axes=axes,
        test=target.test,
        normalize=normalize or "none",
        seed=seed,
    )

    def unit(row: int) -> xr.Dataset:
        values = volume_rows(target.objective, directions, axes=axes, rows=[row], test=target.test)
        at = np.asarray(axes[0][row : row + 1])
        told = {**facts, "volume": index, "direction_seed": own}
        return volume_dataset(values, (at, *axes[1:]), told)

    return unit


SETTINGS: Mapping[str, Any] = {
    "count": 0,
    "axes": 3,
    "steps": 11,
    "span": [-1.0, 1.0],
    "normalize": "filter",
}

VOLUMES = Measure(
    "volumes",
    "loss and accuracy over a grid of three or more random directions",
    {"quick": SETTINGS, "standard": SETTINGS, "thorough": {**SETTINGS, "count": 1}},
    groups,
)
