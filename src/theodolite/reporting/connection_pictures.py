"""The pictures of connections: lines with units matched or not, profiles of curves, answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import (
    function_distance_matrix,
    how_normalized,
    plot_barrier,
    plot_function_distances,
    plot_path_profile,
)
from theodolite.plots.barriers import BAND
from theodolite.reporting.connection_parts import Connections, pair_of
from theodolite.reporting.connectivity_values import named, short
from theodolite.reporting.contents import Contents
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table
from theodolite.results import DIVERGED

MOST_DRAWN = 6
"""Pairs in pictures; the tables and summary.json hold all."""

SIZE, SMALL = (5.4, 3.6), (4.3, 3.3)
"""Inches of a picture, and of one among three or more."""

SEVERAL = 3
"""Pictures of a kind from which they are small multiples."""

LINE = "Dotted: the chords. Bands: two standard errors over examples."
PROFILE = (
    "Training loss over the length of the path, in straight lines: a curve is longer and ends "
    "beyond one. Circles are the ends. Bands: two standard errors over examples."
)

ROOM = 0.05
"""Empty share of a shared axis above and below what is drawn."""

Limits = tuple[float, float] | None


@dataclass(frozen=True)
class Picture:
    """A picture with its name, a line under it and the numbers behind it."""

    name: str
    drawn: str
    caption: str
    table: Table | None


@dataclass(frozen=True)
class Views:
    """Pictures of one kind, pair by pair, on one scale, with what is true of all of them."""

    pictures: tuple[Picture, ...]
    caption: str
    few: bool = False

    @property
    def grid(self) -> str:
        """How they are laid out."""
        many = len(self.pictures) >= SEVERAL and not self.few
        return "small-views" if many else "small-views wide"


Lines = Sequence[tuple[xr.Dataset, xr.Dataset | None]]
"""Lines, each with its twin of recomputed statistics where it has one."""


def line_views(contents: Contents, pairs: Lines, index: int) -> tuple[Views, ...]:
    """The lines of the first pairs: of loss, of error, and by BatchNorm statistics."""
    kinds = (
        _lines(contents, pairs[:MOST_DRAWN], index, "loss"),
        _lines(contents, pairs[:MOST_DRAWN], index, "error"),
        _statistics(contents, pairs[:MOST_DRAWN], index),
    )
    made = tuple(v for v in kinds if v.pictures)
    if len(pairs) > 1 or len(made) < 2:
        return made
    together = tuple(p for v in made for p in v.pictures)  # one pair: all of it side by side
    return (Views(together, made[0].caption, few=True),)


def _lines(contents: Contents, pairs: Lines, index: int, variable: str) -> Views:
    """With units matched over the line as it is; else with both kinds of statistics."""
    shown = [(f, a) for f, a in pairs if variable == "loss" or "accuracy" in f]
    limits = _limits([one for f, a in shown for one in (f, a) if one is not None], variable)
    made, again_too = [], False
    for k, (found, again) in enumerate(shown):
        main = found if again is None else again
        second = contents.connections.aligned.get(pair_of(found))
        draw = partial(plot_barrier, found, variable=variable, recomputed=again)
        if second is not None:
            draw = partial(plot_barrier, main, variable=variable, aligned=second)
            again_too = again_too or again is not None
        drawn = _drawn(draw, f"co{index}-{k}{variable[0]}", len(shown), limits)
        table = behind(found, again, second, variable)
        name = f"{'Loss' if variable == 'loss' else 'Wrong answers'} from {named(found, 'to')}"
        made.append(Picture(name, drawn, _lost(found, again, second), table))
    caption = LINE
    levels = [float(f.attrs["threshold"]) for f, _ in shown if "threshold" in f.attrs]
    if levels and variable == "loss":
        caption += " Shaded: what counts as none."
    caption += " BatchNorm statistics are recomputed unless it says otherwise." if again_too else ""
    return Views(tuple(made), caption)


def _statistics(contents: Contents, pairs: Lines, index: int) -> Views:
    """Where units were matched, what averaged statistics add, in pictures of their own."""
    made = []
    for k, (found, again) in enumerate(pairs):
        if again is not None and pair_of(found) in contents.connections.aligned:
            draw = partial(plot_barrier, found, recomputed=again)
            drawn = _drawn(draw, f"co{index}-{k}s", len(pairs), None)
            name = f"Loss from {named(found, 'to')}, by BatchNorm statistics"
            table = behind(found, again, None, "loss")
            made.append(Picture(name, drawn, _lost(found, again, None), table))
    return Views(tuple(made), LINE)


def _drawn(
    draw: Callable[[Axes], Axes], name: str, count: int, limits: Limits, above: float = 0.7
) -> str:
    """A picture, small among several, on given limits, with so many inches for its legend."""

    def limited(ax: Axes) -> Axes:
        made = draw(ax)
        if limits is not None:
            made.set_ylim(*limits)
        return made

    size = SMALL if count >= SEVERAL else SIZE
    return picture(limited, name, size, margins=(0.65, 0.5, 0.15, above))


def _lost(*drawn: xr.Dataset | None) -> str:
    """How many places of the lines in a picture have no loss."""
    lost = sum(int((d["status"].values == DIVERGED).sum()) for d in drawn if d is not None)
    return f"Diverged at {lost} places." if lost else ""


def _limits(found: Sequence[xr.Dataset], variable: str) -> Limits:
    """One range for several pairs, so that equal heights are equal barriers."""
    if len(found) < 2:
        return None
    names = ("loss", "test_loss") if variable == "loss" else ("accuracy", "test_accuracy")
    band = BAND * np.array([[-1.0], [1.0]])
    values = np.concatenate(
        [
            (one[n].values + band * one[f"{n}_error"].values).ravel()
            for one in found
            for n in names
            if n in one
        ]
    )
    values = values[np.isfinite(values)]
    values = np.maximum(100 * (1 - values), 0.0) if variable == "error" else values
    if not values.size or values.min() == values.max():
        return None
    room = ROOM * float(values.max() - values.min())
    low = (
        0.0 if values.min() >= -room and values.min() < 0.3 * values.max() else values.min() - room
    )
    return float(low), float(values.max()) + room


def behind(
    found: xr.Dataset, again: xr.Dataset | None, second: xr.Dataset | None, variable: str
) -> Table:
    """The curves at the places of the grid; `second` is the line with units matched."""
    columns: dict[str, tuple[xr.Dataset, str]] = {}
    name = "loss" if variable == "loss" else "accuracy"
    for one in (found, again, second):
        for prefix, split in (("", "training"), ("test_", "test")):
            if one is not None and prefix + name in one:
                how = f", {how_normalized(one)}" if again is not None else ""
                how = f"{how}, units matched" if one is second else how
                columns[f"{split}{how}"] = (one, prefix + name)
    grid = found["alpha"].values[found["refined"].values == 0]
    rows = []
    for alpha in grid:
        cells = (float(one[n].sel(alpha=alpha)) for one, n in columns.values())
        told = (short(c if variable == "loss" else 100 * (1 - c)) for c in cells)
        rows.append((f"{alpha:.3g}", *told))
    return Table(("share of the way", *columns), tuple(rows))


def profile_views(connections: Connections, index: int) -> tuple[Views, ...]:
    """The loss over the length of every curve, beside the straight line."""
    made = []
    shown = sorted(connections.curves.items())[:MOST_DRAWN]
    for k, (pair, found) in enumerate(shown):
        draw = partial(
            plot_path_profile,
            found,
            line=connections.lines.get(pair),
            aligned=connections.aligned_curves.get(pair),
        )
        stopped = str(found.attrs.get("stopped", ""))
        caption = f"Its training was stopped: {stopped}." if stopped else ""
        drawn = _drawn(draw, f"cp{index}-{k}", len(shown), None, 0.35)
        name = f"Path from {named(found, 'to')}"
        made.append(Picture(name, drawn, caption, _profile_table(found)))
    return (Views(tuple(made), PROFILE),) if made else ()


def _profile_table(found: xr.Dataset) -> Table:
    """The grid of a curve: length, training and test loss."""
    grid = found["refined"].values == 0
    names = [n for n in ("loss", "test_loss") if n in found]
    total = float(found["length"])
    share = found["arc"].values[grid] / (total or 1.0)
    rows = tuple(
        (f"{s:.3g}", *(short(float(found[n].values[grid][k])) for n in names))
        for k, s in enumerate(share)
    )
    return Table(("share of the length", *(n.replace("_", " ") for n in names)), rows)


def answers_views(connections: Connections, index: int) -> tuple[Views, ...]:
    """Disagreement of all pairs as a map; nothing for a single pair, which the table tells."""
    pairs = [connections.functions[k] for k in sorted(connections.functions)]
    if len(pairs) < 2:
        return ()
    matrix = function_distance_matrix(pairs)
    longest = max(len(str(n)) for n in matrix["first"].values)
    below = 0.35 if longest <= 6 else 0.85
    side = min(6.2, below + 0.1 + 0.95 * matrix.sizes["first"])
    left = below + 0.15
    drawn = picture(
        partial(plot_function_distances, matrix),
        f"cf{index}",
        (side + left - below, side),
        margins=(left, below, 0.1, 0.1),
    )
    split = str(pairs[0].attrs.get("split", ""))
    caption = (
        f"Share of {split} examples on which two networks answer differently, and how many times "
        "their mean share of errors that is: 0 for one function, about 1 for unrelated errors."
    )
    return (Views((Picture("Different answers", drawn, "", None),), caption),)
