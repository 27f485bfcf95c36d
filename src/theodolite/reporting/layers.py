"""The spectrum by layer: small pictures on one axis, and a table of all layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature import layer_table
from theodolite.plots import draw_layer_curve, kernel_words, layer_densities, smooth_together
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

MOST_DRAWN = 24
"""Layers drawn on a page, shared between its models; tables and summary.json hold all."""

FEWEST_DRAWN = 6
NEGLIGIBLE = 1e-4
"""A share of the trace below which a picture's note states no number; the table does."""

POINTS = 160
SIZE, MARGINS = (2.6, 1.7), (0.5, 0.27, 0.06, 0.06)
Ends = tuple[float, float]

ROOT = "(model itself)"
"""The name of the layer that holds the parameters no submodule holds."""


@dataclass(frozen=True)
class LayerPicture:
    """One layer's density, its name, and a line under it."""

    name: str
    note: str
    picture: str


@dataclass(frozen=True)
class LayerPanel:
    """What the section shows of one survey."""

    label: str
    index: int
    pictures: tuple[LayerPicture, ...]
    caption: str
    table: Table | None
    diagonals: Table | None


def layer_panels(surveys: Sequence[Contents]) -> tuple[LayerPanel, ...]:
    """One panel a survey that measured layers, all curves with one kernel on one pair of axes."""
    having = [(m, c.layers) for m, c in enumerate(surveys) if c.layers is not None]
    most = max(FEWEST_DRAWN, MOST_DRAWN // max(1, len(having)))
    chosen = [(m, layer_densities(drawn(found, most))) for m, found in having]
    densities = [d for _, kept in chosen for _, d in kept]
    curves = smooth_together(densities, scale="log", points=POINTS)
    rest, ends = iter(curves), _ends(curves)
    named = {m: [(name, next(rest)) for name, _ in kept] for m, kept in chosen}
    return tuple(
        _panel(c, m, named.get(m, []), ends)
        for m, c in enumerate(surveys)
        if c.layers is not None or c.diagonals is not None
    )


def drawn(layers: xr.Dataset, most: int) -> xr.Dataset:
    """The layers of largest trace in size, at most so many, in the order of the network."""
    size = np.abs(layers["trace"].values)
    done = np.flatnonzero(np.isfinite(size))
    first = done[np.argsort(-size[done], kind="stable")[:most]]
    return layers.isel(layer=np.sort(first))


def by_layer(layers: xr.Dataset, only: Sequence[str] | None = None) -> Table:
    """Ends and trace of the layers that are done, with the share of the whole trace."""
    head = ("layer", "parameters", "largest ± residual", "smallest ± residual", "trace")
    rows = []
    for row in layer_table(layers):
        if only is not None and row["layer"] not in only:
            continue
        ends = [
            text(Number(row[f"{k}_eigenvalue"], row[f"{k}_residual"]))
            for k in ("largest", "smallest")
        ]
        rows.append((_named(row), f"{row['size']:,}", *ends, _trace(row), _share(row)))
    return Table((*head, "share of the trace"), tuple(rows))


def diagonal_table(found: xr.Dataset) -> Table:
    """Mean, smallest and largest diagonal entry of every layer."""
    names = ("mean", "smallest", "largest")
    rows = []
    for k in range(found.sizes["layer"]):
        at = found.isel(layer=k)
        cells = [text(Number(float(at[n]), float(at[f"{n}_error"]))) for n in names]
        rows.append((str(at["layer"].values) or ROOT, f"{int(at['size']):,}", *cells))
    head = ("layer", "parameters", *(f"{n} diagonal entry" for n in names))
    return Table(head, tuple(rows))


def _panel(
    contents: Contents, index: int, curves: Sequence[tuple[str, xr.Dataset]], ends: Ends
) -> LayerPanel:
    layers, diagonals = contents.layers, contents.diagonals
    return LayerPanel(
        contents.label,
        index,
        () if layers is None else _pictures(layers, curves, ends, index),
        "" if layers is None or not curves else _caption(layers, [c for _, c in curves]),
        None if layers is None else by_layer(layers),
        None if diagonals is None else diagonal_table(diagonals),
    )


def _pictures(
    layers: xr.Dataset, curves: Sequence[tuple[str, xr.Dataset]], ends: Ends, index: int
) -> tuple[LayerPicture, ...]:
    rows = {r["layer"]: r for r in layer_table(layers)}
    made = []
    for k, (name, curve) in enumerate(curves):
        draw = partial(draw_layer_curve, curve, ends=ends)
        svg = picture(draw, f"layer{index}-{k}", SIZE, margins=MARGINS)
        made.append(LayerPicture(name or ROOT, _note(rows[name]), svg))
    return tuple(made)


def _ends(curves: Sequence[xr.Dataset]) -> Ends:
    """One vertical range for all panels: four and a half decades below the highest curve."""
    high = max((float(c["density"].max()) for c in curves), default=1.0)
    return high * 10**-4.5, 3 * high


def _caption(layers: xr.Dataset, curves: Sequence[xr.Dataset]) -> str:
    count, probes = layers.sizes["layer"], layers.sizes["probe"]
    parts = [
        f"Horizontally the eigenvalues of a layer's own block ({kernel_words(curves[0])}), "
        f"vertically the share of them a decade; one pair of axes for all. {probes} probes a layer."
    ]
    if len(curves) < count:
        parts.append(
            f"{len(curves)} of {count} layers are drawn, those of largest trace in size; the table "
            "and summary.json hold all that are done."
        )
    return " ".join(parts)


def _named(row: dict[str, Any]) -> str:
    return row["layer"] or ROOT


def _trace(row: dict[str, Any]) -> str:
    exact = row["trace_error"] == 0
    return text(Number(row["trace"], None if exact else row["trace_error"], exact))


def _note(row: dict[str, Any]) -> str:
    """The share of the trace, in few signs; the trace itself where shares mean nothing."""
    if row["share"] is None:
        return f"trace {_trace(row)}"
    if abs(row["share"]) < NEGLIGIBLE:
        return f"less than {100 * NEGLIGIBLE:g} % of the trace"
    return f"{_share(row)} of the trace"


def _share(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return ""
    return text(Number(100 * row["share"], 100 * row["share_error"] or None, unit="%"))
