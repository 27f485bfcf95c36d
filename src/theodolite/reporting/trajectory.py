"""What a report shows of the path of a training: pictures, and the table behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import (
    heights,
    percent,
    plot_trajectory,
    plot_trajectory_distance,
    plot_trajectory_losses,
)
from theodolite.plots.height_scale import capped
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import WIDE, picture
from theodolite.reporting.sentences import Sentence
from theodolite.reporting.trajectory_words import path_sentences
from theodolite.results import OK

MOST_ROWS = 20
TALL = (5.0, 4.4)


@dataclass(frozen=True)
class Path:
    """Everything the section shows of one model."""

    label: str
    series: int
    words: tuple[Sentence, ...]
    picture: str
    losses: str
    distance: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    thinned: bool


ABOVE_THE_PATH = 10.0
"""Heights beyond this multiple of the paths' losses have one color: the corners of a plane of
principal axes rise so far that a path drawn against them would lie on one shade."""


def trajectory_paths(surveys: Sequence[Contents]) -> tuple[Path, ...]:
    """The paths of all models that have one, their surfaces on one scale."""
    having = [(m, c, c.trajectory) for m, c in enumerate(surveys) if c.trajectory is not None]
    planes = [c.trajectory_plane for _, c, _ in having if c.trajectory_plane is not None]
    scale = capped(heights(planes), planes, _ceiling([p for *_, p in having])) if planes else None
    found = []
    for m, c, path in having:
        head, rows, thinned = _table(path)
        draw = partial(plot_trajectory, path, plane=c.trajectory_plane, scale=scale)
        measured = "loss" in path and bool((path["status"].values == OK).any())
        found.append(
            Path(
                label=c.label,
                series=m,
                words=path_sentences(c),
                picture=picture(draw, f"path{m}", TALL, margins=(0.85, 1.0, 0.3, 0.1)),
                losses=picture(partial(plot_trajectory_losses, path), f"pathl{m}", WIDE)
                if measured
                else "",
                distance=picture(partial(plot_trajectory_distance, path), f"pathd{m}", WIDE),
                caption=_caption(path, c.trajectory_plane),
                head=head,
                rows=rows,
                thinned=thinned,
            )
        )
    return tuple(found)


def _caption(path: xr.Dataset, plane: xr.Dataset | None) -> str:
    facts = path.attrs
    used, there = int(facts["checkpoints"]), int(facts["checkpoints_available"])
    parts = [f"{used:,} checkpoints" if used == there else f"{used:,} of {there:,} checkpoints"]
    if plane is not None:
        size = " \N{MULTIPLICATION SIGN} ".join(str(plane.sizes[d]) for d in ("alpha", "beta"))
        parts.append(f"surface of {size} points")
    parts.append(f"{percent(float(facts['plane_share']))} of the squared distances in the plane")
    stored = "own_state" in path and facts.get("batch_norm", "none") != "none"
    if stored and not path["own_state"].values.any():
        parts.append("checkpoints without running statistics of their own")
    return "; ".join(parts) + "."


def _table(
    path: xr.Dataset,
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], bool]:
    unit = str(path["time"].attrs.get("long_name", "time"))
    several = len(np.unique(path["run"].values)) > 1
    names = path.attrs.get("runs", [])
    head = (
        unit,
        *(("run",) if several else ()),
        "loss",
        "loss at the shadow",
        "distance from the plane",
        "distance from the start",
    )
    count = path.sizes["time"]
    kept = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    rows = []
    for k in kept:
        at = path.isel(time=int(k))
        run = (str(names[int(at["run"])]),) if several else ()
        cells = [_loss(at, "loss", "status"), _loss(at, "shadow_loss", "shadow_status")]
        cells += [text(Number(float(at[n]))) for n in ("residual", "distance_from_start")]
        rows.append((f"{float(path['time'].values[k]):g}", *run, *cells))
    return head, tuple(rows), len(kept) < count


def _loss(at: xr.Dataset, name: str, status: str) -> str:
    if name not in at or int(at[status]) != OK or not math.isfinite(float(at[name])):
        return "none"
    return text(Number(float(at[name]), float(at[f"{name}_error"])))


def _ceiling(paths: Sequence[xr.Dataset]) -> float:
    """Where colors end: above every loss of a path, and of the surface below it."""
    kinds = (("loss", "status"), ("shadow_loss", "shadow_status"))
    found = [p[n].values[p[s].values == OK] for p in paths for n, s in kinds if n in p]
    return ABOVE_THE_PATH * max((float(v.max(initial=0.0)) for v in found), default=0.0)
