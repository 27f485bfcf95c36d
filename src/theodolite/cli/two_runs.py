"""Two runs side by side: each number, its change, and conditions on it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from theodolite.errors import InvalidArgument

ALIASES = {
    "sharpness": "largest_eigenvalue",
    "accuracy_test": "test_accuracy",
    "loss_test": "test_loss",
}

_CONDITION = re.compile(r"\s*([a-z_]+)\s*([<>])\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True)
class Row:
    """One headline number in both runs; ``change`` is the second minus the first."""

    name: str
    label: str
    unit: str
    first: tuple[float, float | None]
    second: tuple[float, float | None]

    @property
    def change(self) -> float:
        return self.second[0] - self.first[0]

    @property
    def relative(self) -> float:
        """The change in percent of the first value's size; infinite from zero."""
        if self.first[0] == 0:
            return 0.0 if self.change == 0 else math.copysign(math.inf, self.change)
        return 100 * self.change / abs(self.first[0])

    @property
    def errors(self) -> float:
        """The change in combined errors; NaN where an error is missing."""
        if self.first[1] is None or self.second[1] is None:
            return math.nan
        both = math.hypot(self.first[1], self.second[1])
        return abs(self.change) / both if both else math.inf


@dataclass(frozen=True)
class Condition:
    """A threshold on a value, or on its change where the number has a sign or a percent sign."""

    text: str
    name: str
    above: bool
    bound: float
    kind: str

    def holds(self, rows: list[Row]) -> bool:
        """Whether the second run is beyond the bound; raises for a number that is not there."""
        row = next((r for r in rows if r.name == self.name), None)
        if row is None:
            raise InvalidArgument(
                f"{self.text!r} names no number that both runs have.",
                fix=f"use one of {', '.join(r.name for r in rows) or 'none'}.",
                code="E-I09",
            )
        value = {"percent": row.relative, "change": row.change, "value": row.second[0]}[self.kind]
        return value > self.bound if self.above else value < self.bound


def parse_condition(text: str) -> Condition:
    """``sharpness>+20%`` (change in percent), ``loss>+0.1`` (change) or ``loss>0.5`` (value).

    >>> parse_condition("sharpness>+20%").kind, parse_condition("loss<0.5").above
    ('percent', False)
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise InvalidArgument(
            f"a condition must look like 'sharpness>+20%' or 'loss>0.5'; got {text!r}.",
            code="E-I09",
        )
    name, sign, bound, percent = found.groups()
    kind = "percent" if percent else "change" if bound[0] in "+-" else "value"
    return Condition(text, ALIASES.get(name, name), sign == ">", float(bound), kind)


def paired(headlines: list[list[dict[str, Any]]]) -> list[Row]:
    """The numbers that both runs have, in the first one's order."""
    others = {n["name"]: n for n in headlines[1]}

    def number(row: dict[str, Any]) -> tuple[float, float | None]:
        return (math.nan if row["value"] is None else row["value"]), row["error"]

    return [
        Row(n["name"], n["label"], n["unit"], number(n), number(others[n["name"]]))
        for n in headlines[0]
        if n["name"] in others
    ]


def table_json(rows: list[Row]) -> list[dict[str, Any]]:
    def plain(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    return [
        {
            "name": r.name,
            "label": r.label,
            "unit": r.unit,
            "first": {"value": plain(r.first[0]), "error": r.first[1]},
            "second": {"value": plain(r.second[0]), "error": r.second[1]},
            "change": plain(r.change),
            "change_percent": plain(r.relative),
            "change_in_errors": plain(r.errors),
        }
        for r in rows
    ]


def table_text(rows: list[Row], names: tuple[str, str], *, markdown: bool) -> str:
    """The rows as an aligned table, or as Markdown."""
    from theodolite.reporting.numbers import Number, text

    cells: list[tuple[str, ...]] = [("", *names, "change", "in errors")]
    for r in rows:
        shown = [text(Number(*side, unit=r.unit)) for side in (r.first, r.second)]
        percent = f"{r.relative:+.1f} %" if math.isfinite(r.relative) else "-"
        errors = f"{r.errors:.1f}" if math.isfinite(r.errors) else "-"
        cells.append((r.label, *shown, percent, errors))
    widths = [max(len(row[k]) for row in cells) for k in range(5)]
    if markdown:
        escaped = [[c.replace("|", "\\|") for c in row] for row in cells]
        lines = ["| " + " | ".join(row) + " |" for row in escaped]
        return "\n".join([lines[0], "|---|---:|---:|---:|---:|", *lines[1:]])
    return "\n".join(
        "  ".join(
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
