"""The shape of a survey's surfaces for the page: statistics with their errors, and topology."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import plain, plot_barcode, plot_merge_tree, plot_shape
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number, parts, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.sentences import Cited, Sentence, plain_text
from theodolite.reporting.tables import Table
from theodolite.results import DIVERGED, OK
from theodolite.shapes import COUNTS, PER_LEVEL, Row, over_planes, shape, topology

NAMES = {
    "area_share": "share of the plane below {level}",
    "area": "area below {level}",
    "width_mean": "mean distance to {level}",
    "width_least": "least distance to {level}",
    "width_greatest": "greatest distance to {level}",
    "roughness": "roughness: ups and downs that cancel",
    "log_roughness": "roughness of the log of the loss",
    "bending": "mean size of the second derivative",
    "bend_share": "places that curve downward",
    "minima": "minima inside, above two standard errors",
    "minima_found": "minima inside, of any depth",
    "maxima": "maxima inside, above two standard errors",
    "saddles": "saddles where they join",
}
"""How the table names the statistics; levels are written out."""
ROUNDING = 1e-10
"""Errors below this come from rounding alone."""


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey; ``found`` is None where no plane is complete."""

    label: str
    found: xr.Dataset | None
    sentence: str
    note: str
    table: Table | None
    topologies: Table | None
    pictures: tuple[tuple[str, str], ...]


def shape_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that has a complete plane or volume; others are left out."""
    panels = [_panel(c, k) for k, c in enumerate(surveys)]
    return tuple(p for p in panels if p is not None)


def complete(results: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """The results without a point that was not computed, and with one that is finite."""
    found = []
    for one in results:
        status = one["status"].values if "status" in one else np.isfinite(one["loss"].values)
        if np.isin(status, (OK, DIVERGED)).all() and (status == OK).any():
            found.append(one)
    return found


def shared_grid(planes: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """The planes on the grid of the first: areas over other spans are no repetition."""
    return [
        p
        for p in planes
        if all(
            p[c].shape == planes[0][c].shape and np.allclose(p[c], planes[0][c], rtol=0, atol=1e-12)
            for c in ("alpha", "beta")
        )
    ]


def _panel(contents: Contents, number: int) -> Panel | None:
    planes = [p for p in complete(contents.planes) if min(p["loss"].shape) > 1]
    volumes = complete(contents.volumes)
    if not planes and not volumes:
        return None
    same = shared_grid(planes)
    found = shape(same) if same else None
    trees = [(f"plane {int(p.attrs.get('plane', k)) + 1}", p) for k, p in enumerate(same)]
    trees += [(f"volume {k + 1}", v) for k, v in enumerate(volumes)]
    made = [(name, topology(result)) for name, result in trees]
    rows = [] if found is None else over_planes(found)
    return Panel(
        contents.label,
        found,
        plain_text(sentence(found, rows)) if found is not None else "",
        _note(len(contents.planes), len(same), made),
        statistics_table(rows) if rows else None,
        topology_table(made),
        _pictures(found, made, f"h{number}"),
    )


def _note(count: int, used: int, made: Sequence[tuple[str, xr.Dataset]]) -> str:
    """What is not shown, and why."""
    left, (title, shown) = count - used, _shown(made)
    notes = []
    if left:
        are = "is" if left == 1 else "are"
        notes.append(f"{left} of {count} planes {are} incomplete or on another grid.")
    if shown.sizes["pair"] == 1:
        notes.append(f"On {title} there is one minimum and no saddle, so no tree to draw.")
    return " ".join(notes)


def _shown(made: Sequence[tuple[str, xr.Dataset]]) -> tuple[str, xr.Dataset]:
    """The surface whose topology is drawn: the first volume, else the first plane."""
    return next(((n, t) for n, t in made if n.startswith("volume")), made[0])


def _pictures(
    found: xr.Dataset | None, made: Sequence[tuple[str, xr.Dataset]], name: str
) -> tuple[tuple[str, str], ...]:
    """Widths, and where two minima meet at all, the barcode and the merge tree."""
    title, shown = _shown(made)
    out = []
    if found is not None:
        drawn = picture(partial(plot_shape, found), f"{name}w", margins=(1.15, 0.5, 0.15, 0.15))
        out.append(("From the start to where the loss first exceeds a level", drawn))
    for kind, draw, key in (
        ("Barcode", plot_barcode, "b"),
        ("Merge tree", plot_merge_tree, "t"),
    ):
        if shown.sizes["pair"] > 1:
            out.append((f"{kind} of {title}", picture(partial(draw, shown), f"{name}{key}")))
    return tuple(out)


def sentence(found: xr.Dataset, rows: Sequence[Row]) -> Sentence:
    """What the planes say, in one sentence."""
    level = str(found["level"].values[min(1, found.sizes["level"] - 1)])
    by_name = {(r.name, r.level): r for r in rows}
    width, area = by_name[("width_mean", level)], by_name[("area_share", level)]
    minima = by_name[("minima", "")]
    more = "at least " if width.at_least else ""
    planes = found.attrs["spread"] == "over planes"
    count = Number(minima.value, minima.planes_error, exact=minima.planes_error in (None, 0.0))
    return (
        f"From the start the loss stays below {written(level)} for {more}",
        Cited("width", number_of(width)),
        f" {found.attrs['unit']} on average over directions in the plane, and below it lie ",
        Cited("area_share", number_of(area)),
        f" of its area; inside the plane {'is' if count.value == 1 else 'are'} ",
        Cited("minima", count),
        f" {'minimum' if count.value == 1 else 'minima'} deeper than two standard errors",
        " (mean over planes)." if planes else " (one plane: no error over planes).",
    )


def written(level: str) -> str:
    """A level in words.

    >>> written("start + 0.1"), written("2 x start"), written("0.5")
    ("the start's loss plus 0.1", "2 times the start's loss", 'a loss of 0.5')
    """
    if level.startswith("start + "):
        return f"the start's loss plus {level.removeprefix('start + ')}"
    if level.endswith(" x start"):
        return f"{level.removesuffix(' x start')} times the start's loss"
    return f"a loss of {level}"


def number_of(row: Row) -> Number:
    """The mean with its standard error over planes, in percent where it is a share."""
    return Number(row.value, row.planes_error, unit="%" if row.unit == "%" else "")


def statistics_table(rows: Sequence[Row]) -> Table:
    """Every statistic: over planes, and what examples and grid leave open."""
    head = ("statistic", "mean ± error over planes", "error from examples", "change on half grid")
    lines = []
    for row in sorted(rows, key=lambda r: r.name in PER_LEVEL):
        if not math.isfinite(row.value):
            continue
        value = text(Number(row.value, row.planes_error, unit=row.unit))
        sign = "≥ " if row.at_least else ""
        errors = (row.example_error, row.grid_error)
        name = NAMES.get(row.name, row.label).format(level=row.level)
        lines.append((name, f"{sign}{value}", *(_size(e, row.name) for e in errors)))
    return Table(head, tuple(lines))


def topology_table(made: Sequence[tuple[str, xr.Dataset]]) -> Table:
    """Minima and saddle-minimum average distances, a row a surface."""
    head = (
        "surface",
        "minima",
        "above errors",
        "on the border",
        "SMAD",
        "of the log",
        "of those above errors",
    )
    rows = []
    for name, one in made:
        smad = Number(float(one["smad"]), float(one["smad_error"]))
        rows.append(
            (
                name,
                f"{int(one.attrs['minima']):,}",
                f"{int(one.attrs['significant_minima']):,}",
                f"{int(one['at_edge'].sum()):,}",
                text(smad) if math.isfinite(smad.value) else "no saddle",
                _known(float(one["log_smad"])),
                _known(float(one["significant_smad"])),
            )
        )
    return Table(head, tuple(rows))


def _size(error: float | None, name: str) -> str:
    """An error in two digits; what rounding alone makes is zero."""
    if error is None:
        return "a count" if name in COUNTS else "not known"
    return plain(float(f"{error:.2g}")) if error > ROUNDING else "0"


def _known(value: float) -> str:
    return parts(Number(value))[0] if math.isfinite(value) else "no saddle"
