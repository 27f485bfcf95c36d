"""The graph of three to six points as one unit: their lines and curves, and bands where asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import xarray as xr

from theodolite.connectivity import minima_graph
from theodolite.connectivity.matched import NONE
from theodolite.errors import InvalidArgument
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.measures import connectivity_units as units
from theodolite.surveys.measures.connectivity_units import Pair
from theodolite.surveys.measures.escapes import batched
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.measures.variants import variant_names
from theodolite.surveys.target import Target

NAME = "minima_graph"

FEWEST, MOST = 3, 6
"""Points of a graph: two have one edge, and the pairs of more than six cost too much."""

CYCLES, PIVOTS = 4, 7
"""Of a band: as many steps in all as a curve has, each with a gradient at every pivot."""

DENSER = 2.0
"""How many times its pivots a band has at the end, at most by experience."""


def graph(
    target: Target,
    pairs: Sequence[Pair],
    kind: str,
    *,
    measured: tuple[float, float],
    gradients: float,
) -> tuple[Group, ...]:
    """The graph of the points of `pairs`, where there is one.

    `measured` is the cost of a line and of the places of a curve, `gradients` that of the steps of
    a curve, in passes. Raises `InvalidArgument` where bands are asked for and there is none.
    """
    names, settings = pairs[0].names, pairs[0].settings
    drawn = FEWEST <= len(names) <= MOST and kind != NONE
    if settings["bands"] and not drawn:
        raise InvalidArgument(
            f"bands are looked for between {FEWEST} to {MOST} points with curves; got "
            f"{len(names)} points{' without curves' if kind == NONE else ''}.",
            fix="name three to six weights and pass --curve bezier, or leave --bands away.",
            code="E-S52",
        )
    if not drawn:
        return ()
    again = variant_names(target, {"batch_norm": "both"})[-1]
    missing = again not in variant_names(target, settings)
    line, places = measured
    cost = len(names) * ratio(target) + (len(pairs) * line if missing else 0.0)
    if settings["bands"]:
        cost += len(pairs) * (PIVOTS * DENSER * gradients + places)
    lines = () if missing else tuple(f"barrier{p.suffix}{again}" for p in pairs)
    curves = tuple(f"curve{p.suffix}" for p in pairs)
    how = partial(_unit, tuple(pairs), kind, again)
    return (
        Group(
            NAME,
            NAME,
            lambda own: how(own, {}),
            passes=cost,
            bound=bool(settings["bands"]),
            vectors=2 * len(names) + 3 * len(pairs) + (int(8 * PIVOTS) if settings["bands"] else 0),
            after=(*lines, *curves),
            resume=how,
            told=True,
        ),
    )


def _unit(
    pairs: tuple[Pair, ...], kind: str, again: str, target: Target, saved: Mapping[str, xr.Dataset]
) -> Unit:
    """The graph from what is saved of its lines and curves; what is not is made as they are."""
    settings, names = pairs[0].settings, pairs[0].names
    objective = target.objective

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        known = {p.places: _paths(p, kind, again, target, saved, tell) for p in pairs}
        points = [units.point_at(objective, pairs[0], k) for k in range(len(names))]
        steps = max(1, -(-settings["curve_steps"] // CYCLES))
        found = minima_graph(
            batched(objective, settings["curve_batch"]),
            points,
            names=names,
            paths=("line", "curve", "band") if settings["bands"] else ("line", "curve"),
            band_settings={"cycles": CYCLES, "pivots": PIVOTS, "steps": steps},
            known=known,
            test=target.test,
            level=float(settings["level"]),
            resamples=settings["resamples"],
            seed=pairs[0].own(NAME),
            progress=units.advance(tell),
        )
        return found.assign_attrs(points=list(names), curve_kind=kind)

    return unit


def _paths(
    pair: Pair,
    kind: str,
    again: str,
    target: Target,
    saved: Mapping[str, xr.Dataset],
    tell: Tell | None,
) -> list[xr.Dataset]:
    """The line and, between two points that are not one, the curve of a pair."""
    line = saved.get(f"barrier{pair.suffix}{again}")
    if line is None:
        own = replace(pair, settings={**pair.settings, "batch_norm": "both"})
        line = units.opening_line(own, again, target)(0, tell)
    bent = saved.get(f"curve{pair.suffix}")
    if bent is None:
        bent = units.opening_curve(pair, kind, target)(0, tell)
    return [line] if units.UNMEASURED in bent.attrs else [line, bent]


def pairs_of(settings: Mapping[str, Any], seed: int, names: Sequence[str]) -> list[Pair]:
    """Every two of the points."""
    pairs = list(combinations(range(len(names)), 2))
    alone = len(pairs) == 1
    return [
        Pair(dict(settings), seed, tuple(names), p, "" if alone else "_{}_{}".format(*p))
        for p in pairs
    ]
