"""The parts every study's panel is made of, and how it writes numbers with intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import plain
from theodolite.reporting.numbers import MINUS
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

MOST_NAMED = 8
"""Trainings that are named as left out; the table holds all."""


@dataclass(frozen=True)
class Figure:
    """A picture with its name and its caption."""

    name: str
    drawn: str
    caption: str


@dataclass(frozen=True)
class StudyPanel:
    """One study: what was done, what it says, its pictures and the tables behind them."""

    label: str
    index: int
    kind: str
    title: str
    setting: str
    words: tuple[str, ...]
    figures: tuple[Figure, ...]
    tables: tuple[tuple[str, Table], ...]
    notes: tuple[str, ...]


def drawn(
    name: str, draw: Callable[[Axes], Axes], key: str, caption: str, *, left: float = 0.75
) -> Figure:
    """A figure of the usual size, with room at the left for `left` inches of labels."""
    return Figure(name, picture(draw, key, (5.0, 3.4), margins=(left, 0.55, 0.2, 0.15)), caption)


def seeds_words(count: int) -> str:
    """How many starts, and that one tells nothing of the spread."""
    return f"{count} seeds" if count != 1 else "1 seed (no interval)"


def short(value: float, digits: int = 2) -> str:
    """A number to a few digits, with a real minus sign.

    >>> short(-0.9716) == MINUS + "0.97"
    True
    """
    if not math.isfinite(value):
        return "none"
    return plain(float(f"{value:.{digits}g}")).replace("-", MINUS, 1)


def interval(value: float, low: float, high: float, *, digits: int = 2) -> str:
    """A number with its interval.

    >>> interval(0.97, 0.88, 0.99)
    '0.97 (95 % interval 0.88 to 0.99)'
    """
    if not math.isfinite(value):
        return "not known"
    ends = f"{short(low, digits)} to {short(high, digits)}"
    return f"{short(value, digits)} (95 % interval {ends})"


def loss_words(study: xr.Dataset) -> str:
    """At what the ends of a study are compared."""
    stop, length = study.attrs["stop_loss"], int(study.attrs["length"])
    budget = f"{length:,} {study.attrs['budget']}"
    if stop == "none":
        return f"after {budget} each, whatever their training loss"
    return f"at a training loss of {short(float(stop))} or less, reached within {budget}"


def left_out_notes(study: xr.Dataset) -> tuple[str, ...]:
    """One note that names the trainings left out; none where all are compared."""
    lost = json.loads(study.attrs["left_out"])
    if not lost:
        return ()
    more = f"; and {len(lost) - MOST_NAMED} more" if len(lost) > MOST_NAMED else ""
    return (f"Left out: {'; '.join(lost[:MOST_NAMED])}{more}.",)
