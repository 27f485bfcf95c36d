"""The tables behind the pictures, thinned to what a person can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite.plots import plain, status_of
from theodolite.reporting.contents import Contents
from theodolite.reporting.convexity import convexity_rows
from theodolite.reporting.headline import Headline
from theodolite.reporting.numbers import Number, parts, text
from theodolite.reporting.quantities import difference
from theodolite.reporting.summary import ModelSummary
from theodolite.results import DIVERGED, FAILED, OK, TODO

MOST_ROWS = 11
WORDS = {DIVERGED: "diverged", FAILED: "failed", TODO: "not computed"}


@dataclass(frozen=True)
class Table:
    """Text cells under a head; ``thinned`` says that rows or columns were left out."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    thinned: bool = False


@dataclass(frozen=True)
class HeadlineRow:
    """One quantity over all models, and their difference where there are two."""

    name: str
    label: str
    explain: str
    cells: tuple[Headline | None, ...]
    difference: str


def headline_rows(models: Sequence[ModelSummary]) -> tuple[HeadlineRow, ...]:
    """Every headline quantity any model has, in the order they first appear."""
    names = list(dict.fromkeys(h.name for m in models for h in m.headline))
    out = []
    for name in names:
        cells = tuple(next((h for h in m.headline if h.name == name), None) for m in models)
        first = next(c for c in cells if c is not None)
        out.append(HeadlineRow(name, first.label, first.explain, cells, _gap(cells)))
    return tuple(out)


def plane_table(plane: xr.Dataset, variable: str = "loss") -> Table:
    """The loss at no more than eleven points a direction."""
    ordered = plane.transpose("alpha", "beta", ...)
    i, j = (spread_out(ordered.sizes[d]) for d in ("alpha", "beta"))
    values = ordered[variable].values[np.ix_(i, j)]
    known = status_of(plane, variable)
    status = np.full(values.shape, OK) if known is None else known[np.ix_(i, j)]
    beta = ordered["beta"].values[j]
    head = ("direction 1 \\ direction 2", *(plain(round(float(b), 4)) for b in beta))
    rows = tuple(
        (
            plain(round(float(ordered["alpha"][i[k]]), 4)),
            *(
                WORDS.get(int(s), _short(float(v)))
                for v, s in zip(values[k], status[k], strict=True)
            ),
        )
        for k in range(len(i))
    )
    thinned = len(i) < ordered.sizes["alpha"] or len(j) < ordered.sizes["beta"]
    return Table(head, rows, thinned)


def line_table(lines: Sequence[xr.Dataset]) -> Table:
    """The loss along every random line, no more than eleven points each."""
    k = spread_out(lines[0].sizes["alpha"])
    head = ("distance", *(f"line {n + 1}" for n in range(len(lines))))
    rows = []
    for alpha in lines[0]["alpha"].values[k]:
        at = [line.sel(alpha=alpha, method="nearest") for line in lines]
        rows.append((plain(round(float(alpha), 4)), *(_with_error(p, "loss") for p in at)))
    return Table(head, tuple(rows), len(k) < lines[0].sizes["alpha"])


def eigenvalue_table(contents: Contents) -> Table | None:
    """The computed eigenvalues with their residuals."""
    pairs = contents.eigenvalues
    if pairs is None:
        return None
    rows = tuple(
        (str(k + 1), text(Number(float(pairs["eigenvalue"][k]), float(pairs["residual"][k]))))
        for k in range(pairs.sizes["eigenvalue"])
    )
    head = ("rank", "eigenvalue ± residual")
    if "gap_estimate" not in pairs or not np.isfinite(pairs["gap_estimate"].values).any():
        return Table(head, rows)
    further = (
        "gap to the others, estimated",
        "error at most, if the gap is right",
        "angle of the vector at most",
    )
    return Table((*head, *further), tuple(r + _by_gap(pairs, k) for k, r in enumerate(rows)))


def angle_text(sine: float) -> str:
    """An angle in degrees from its sine.

    >>> angle_text(0.5), angle_text(1e-5)
    ('30°', '5.7e-4°')
    """
    return f"{plain(float(f'{math.degrees(math.asin(min(1.0, sine))):.2g}'))}°"


def _by_gap(pairs: xr.Dataset, k: int) -> tuple[str, ...]:
    """What the gap to the other eigenvalues says of a pair; empty where it says nothing."""
    names = ("gap_estimate", "quadratic_bound", "angle_sine")
    gap, error, sine = (float(pairs[n][k]) for n in names)
    if not math.isfinite(gap):
        return "", "", ""
    return *(plain(float(f"{v:.2g}")) for v in (gap, error)), angle_text(sine)


def convexity_table(convexity: xr.Dataset) -> Table:
    """Both ends of the spectrum at every point of a map that has them."""
    return Table(*convexity_rows(convexity))


def training_table(history: xr.Dataset) -> Table:
    """The history at no more than eleven epochs."""
    names = [n for n in ("loss", "test_loss", "accuracy", "test_accuracy") if n in history]
    k = spread_out(history.sizes["epoch"])
    rows = tuple(
        (
            plain(float(history["epoch"][row])),
            *(_short(float(history[name][row])) for name in names),
        )
        for row in k
    )
    head = ("epoch", *(n.replace("_", " ") for n in names))
    return Table(head, rows, len(k) < history.sizes["epoch"])


def _gap(cells: Sequence[Headline | None]) -> str:
    if len(cells) != 2 or cells[0] is None or cells[1] is None:
        return ""
    gap = difference(cells[0].number, cells[1].number)
    return text(gap).removesuffix(" exact") if math.isfinite(gap.value) else ""


def spread_out(size: int) -> np.ndarray:
    """At most eleven indices from first to last, evenly spaced."""
    count = min(size, MOST_ROWS)
    return np.unique(np.linspace(0, size - 1, count).round().astype(int))


def _short(value: float) -> str:
    return parts(Number(value))[0]


def _with_error(point: xr.Dataset, name: str) -> str:
    if "status" in point and int(point["status"]) != OK:
        return WORDS.get(int(point["status"]), "not finite")
    error = float(point[f"{name}_error"]) if f"{name}_error" in point else None
    return text(Number(float(point[name]), error))
