"""How sharp the loss is, by every definition, and what a change of parameters does to each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import xarray as xr

from theodolite.plots import plain, plot_rise_errors, plot_rises, trust_radius
from theodolite.reporting.contents import Contents
from theodolite.reporting.definitions import definition_of, name_of
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.rescaling import SAME, changes, rescaling_sentence
from theodolite.reporting.sentences import plain_text
from theodolite.reporting.tables import Table
from theodolite.reporting.valleys import ValleyPanel, valley_panel

RESCALING = "layer rescaling"

ALONG = {
    "random": "random directions",
    "top": "eigenvectors of the largest eigenvalues",
    "gradient": "the gradient",
}
"""Directions of the rises, in words."""


@dataclass(frozen=True)
class Meaning:
    """What one measure is: name, formula, source, and the changes it does not see."""

    name: str
    formula: str
    source: str
    unseen: str


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey; pictures and tables are empty where not measured."""

    label: str
    index: int
    sentence: str
    note: str
    table: Table | None
    meanings: tuple[Meaning, ...]
    rises: str
    picture: str
    errors: str
    valleys: ValleyPanel | None


def sharpness_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that measured sharpness."""
    return tuple(
        _panel(c, k)
        for k, c in enumerate(surveys)
        if c.sharpness is not None or c.rises is not None or c.valleys is not None
    )


def _panel(contents: Contents, index: int) -> Panel:
    found, rises = contents.sharpness, contents.rises
    drawn = picture(partial(plot_rises, rises), f"r{index}") if rises is not None else ""
    sentence = rescaling_sentence(contents)
    along = "" if rises is None else str(rises.attrs.get("directions", "random"))
    return Panel(
        contents.label,
        index,
        "" if sentence is None else plain_text(sentence),
        _note(found, rises),
        None if found is None else sharpness_table(found),
        () if found is None else meanings(found),
        ALONG.get(along, "the directions given"),
        drawn,
        "" if rises is None else picture(partial(plot_rise_errors, rises), f"re{index}"),
        valley_panel(contents, index),
    )


def sharpness_table(found: xr.Dataset) -> Table:
    """One row a measure: value with its error, the rescaling's effect where known, and setting."""
    ratios = changes(found)
    rows = []
    for k, name in enumerate(str(n) for n in found["measure"].values):
        at = found.isel(measure=k)
        seen = "no" if RESCALING in str(at["invariant_under"].values) else "yes"
        setting = str(at["setting"].values)
        rows.append((name_of(name), value_text(at), _moved(ratios[name], seen), seen, setting))
    head = ("measure", "value", "after rescaling", "sees the rescaling", "setting")
    known = any(math.isfinite(r) for r in ratios.values())
    kept = range(len(head)) if known else (0, 1, 4)
    return Table(_some(head, kept), tuple(_some(row, kept) for row in rows))


def _some(cells: tuple[str, ...], kept: Sequence[int]) -> tuple[str, ...]:
    return tuple(cells[k] for k in kept)


def meanings(found: xr.Dataset) -> tuple[Meaning, ...]:
    """Every definition in the table once."""
    made: dict[str, Meaning] = {}
    for k, name in enumerate(str(n) for n in found["measure"].values):
        what = definition_of(name)
        unseen = str(found["invariant_under"].values[k]).replace("; ", ", ")
        made.setdefault(what.name, Meaning(what.name, what.formula, what.source, unseen))
    return tuple(made.values())


def _moved(ratio: float, seen: str) -> str:
    """What became of a value, in words: the same only where nothing else can be."""
    if not math.isfinite(ratio):
        return ""
    if abs(ratio - 1) <= SAME:
        return "the same" if seen == "no" else "about the same"
    return f"{plain(float(f'{ratio:.3g}'))} times"


def value_text(at: xr.Dataset) -> str:
    """The value of one row with its error, as the table prints it."""
    value, error, kind = float(at["value"]), float(at["error"]), str(at["kind"].values)
    if not math.isfinite(value):
        return "none" if kind in ("interval", "exact") else "diverged"
    if kind == "lower bound":
        return f"at least {_short(value)}"
    if kind == "mean lower bound":
        return f"at least {text(Number(value, error))}"
    if kind == "interval":
        ends = [_short(v) if math.isfinite(v) else "?" for v in map(float, (at["low"], at["high"]))]
        return f"{_short(value)} ({ends[0]} to {ends[1]})"
    return text(Number(value, None if kind == "exact" else error, kind == "exact"))


def _short(value: float) -> str:
    return plain(float(f"{value:.3g}"))


def left_out_notes(found: xr.Dataset) -> list[str]:
    """What was asked for and not measured, each with the reason."""
    notes = []
    if str(found.attrs.get("not_rescaled", "")):
        notes.append(f"Not rescaled: {found.attrs['not_rescaled']}")
    if str(found.attrs.get("no_valleys", "")):
        notes.append(str(found.attrs["no_valleys"]))
    left = found.attrs.get("left_out", "[]")
    if not isinstance(left, str):
        told = (one.partition(": ") for one in map(str, left))
        notes += [f"Without {name_of(k)}: {why}" for k, _, why in told]
    return notes


def _note(found: xr.Dataset | None, rises: xr.Dataset | None) -> str:
    notes = [] if found is None else left_out_notes(found)
    if rises is not None and not math.isfinite(trust_radius(rises)):
        notes.append("The second-order prediction is not within 10 % at the smallest distance.")
    return " ".join(notes)
