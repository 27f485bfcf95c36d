"""How sharp the loss is, by every definition, and what a change of parameters does to each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import xarray as xr

from theodolite.plots import plain, plot_rises, trust_radius
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.rescaling import NAMES, SAME, changes, rescaling_sentence
from theodolite.reporting.sentences import plain_text
from theodolite.reporting.tables import Table

RESCALING = "layer rescaling"


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey; pictures and tables are empty where not measured."""

    label: str
    index: int
    sentence: str
    note: str
    table: Table | None
    picture: str


def sharpness_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that measured sharpness."""
    return tuple(
        _panel(c, k)
        for k, c in enumerate(surveys)
        if c.sharpness is not None or c.rises is not None
    )


def _panel(contents: Contents, index: int) -> Panel:
    found, rises = contents.sharpness, contents.rises
    drawn = picture(partial(plot_rises, rises), f"r{index}") if rises is not None else ""
    sentence = rescaling_sentence(contents)
    return Panel(
        contents.label,
        index,
        "" if sentence is None else plain_text(sentence),
        _note(found, rises),
        None if found is None else sharpness_table(found),
        drawn,
    )


def sharpness_table(found: xr.Dataset) -> Table:
    """One row a measure: value with its error, setting and, where known, the rescaling's effect."""
    ratios = changes(found)
    rows = []
    for k, name in enumerate(str(n) for n in found["measure"].values):
        at = found.isel(measure=k)
        value = _value(float(at["value"]), float(at["error"]), str(at["kind"].values))
        ratio = ratios[name]
        moved = _moved(ratio)
        seen = RESCALING not in str(at["invariant_under"].values)
        rows.append(
            (
                NAMES.get(name, name),
                value,
                str(at["setting"].values),
                moved,
                "yes" if seen else "no",
            )
        )
    head = ("measure", "value", "setting", "after rescaling", "sees the rescaling")
    shown = len(head) if any(math.isfinite(r) for r in ratios.values()) else 3
    return Table(head[:shown], tuple(row[:shown] for row in rows))


def _moved(ratio: float) -> str:
    """What became of a value, in words."""
    if not math.isfinite(ratio):
        return ""
    return "the same" if abs(ratio - 1) <= SAME else f"{plain(float(f'{ratio:.3g}'))} times"


def _value(value: float, error: float, kind: str) -> str:
    """The value as the table prints it."""
    if not math.isfinite(value):
        return "diverged"
    if kind == "lower bound":
        return f"at least {plain(float(f'{value:.3g}'))}"
    return text(Number(value, None if kind == "exact" else error, kind == "exact"))


def _note(found: xr.Dataset | None, rises: xr.Dataset | None) -> str:
    notes = []
    if found is not None and str(found.attrs.get("not_rescaled", "")):
        notes.append(f"Not rescaled: {found.attrs['not_rescaled']}")
    if rises is not None and not math.isfinite(trust_radius(rises)):
        notes.append("The second-order prediction is not within 10 % at the smallest distance.")
    return " ".join(notes)
