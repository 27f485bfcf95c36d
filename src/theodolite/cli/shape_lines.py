"""What ``theodolite shape`` prints: tables for people, plain values for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from theodolite.cli.columns import aligned
from theodolite.errors import InvalidData
from theodolite.reporting.contents import read_trees
from theodolite.reporting.shapes import complete, shared_grid, statistics_table, topology_table
from theodolite.shapes import Row, over_planes, shape, topology


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The shape over the planes (None without any) and the topology of each surface."""

    found: xr.Dataset | None
    rows: tuple[Row, ...]
    topologies: tuple[tuple[str, xr.Dataset], ...]


def surfaces(
    tree: xr.DataTree, levels: Sequence[float] | None, variable: str, neighbors: str
) -> Surfaces:
    """Shape and topology of what a run holds; raises `InvalidData` where that is nothing whole."""
    contents = read_trees(tree)[0]
    planes, volumes = complete(contents.planes), complete(contents.volumes)
    if not planes and not volumes:
        raise InvalidData(
            "the run holds no complete plane or volume.",
            fix="measure planes first (theodolite plane), or complete the run (resume).",
            code="E-Q14",
        )
    same = shared_grid(planes)
    found = shape(same, levels=levels, variable=variable) if same else None
    named = [(f"plane_{int(p.attrs.get('plane', k))}", p) for k, p in enumerate(same)]
    named += [(f"volume_{int(v.attrs.get('volume', k))}", v) for k, v in enumerate(volumes)]
    made = [(n, topology(p, variable=variable, neighbors=neighbors)) for n, p in named]
    rows = () if found is None else tuple(over_planes(found))
    return Surfaces(found, rows, tuple(made))


def lines(made: Surfaces) -> str:
    """Both tables, each under its head."""
    blocks = []
    if made.found is not None:
        count = made.found.sizes["plane"]
        blocks.append(
            f"Shape of {count} plane{'s' if count > 1 else ''} in {made.found.attrs['unit']}"
        )
        blocks.append(aligned(statistics_table(made.rows)))
    rule = made.topologies[0][1].attrs["neighbors"]
    blocks.append(f"Topology ({rule} neighbors)")
    blocks.append(aligned(topology_table(made.topologies)))
    return "\n".join(blocks)


def plain(made: Surfaces) -> dict[str, Any]:
    """All numbers as JSON values; what is not finite is null."""
    return {
        "unit": None if made.found is None else made.found.attrs["unit"],
        "planes": 0 if made.found is None else made.found.sizes["plane"],
        "statistics": [statistic(row) for row in made.rows],
        "topology": {name: surface(one) for name, one in made.topologies},
    }


def statistic(row: Row) -> dict[str, Any]:
    """One statistic with its three errors."""
    return {
        "name": row.name,
        "level": row.level or None,
        "label": row.label,
        "unit": row.unit,
        "value": finite(row.value),
        "planes_error": row.planes_error,
        "example_error": row.example_error,
        "grid_error": row.grid_error,
        "at_least": row.at_least,
        "samples": [finite(v) for v in row.samples],
    }


def surface(one: xr.Dataset) -> dict[str, Any]:
    """Pairs, tree and averages of one surface."""
    averages = ("smad", "smad_error", "relative_smad", "log_smad", "significant_smad")
    pairs = ("birth", "death", "persistence", "persistence_error", "basin_share")
    flags = ("significant", "at_edge")
    return {
        "neighbors": one.attrs["neighbors"],
        "minima": int(one.attrs["minima"]),
        "significant_minima": int(one.attrs["significant_minima"]),
        "threshold": one.attrs["threshold"],
        "diverged": int(one.attrs["diverged"]),
        **{name: finite(float(one[name])) for name in (*averages, "mean_persistence")},
        "pairs": [
            {name: finite(float(one[name][k])) for name in pairs}
            | {name: bool(one[name][k]) for name in flags}
            for k in range(one.sizes["pair"])
        ],
        "tree": {
            "height": one["height"].values.tolist(),
            "parent": one["parent"].values.tolist(),
            "leaf": one["leaf"].values.tolist(),
        },
    }


def finite(value: float) -> float | None:
    """`value`, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None
