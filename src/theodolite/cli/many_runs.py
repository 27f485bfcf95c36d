"""Many runs in one table: text that fits a terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import math
import shutil
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument

NARROW, WIDE = 80, 120
MARKS = {"leading": "*", "tied": "=", "behind": " ", "undecided": "?", "missing": " "}
LEGEND = (
    "* lowest (accuracy: highest)   = not distinguishable from it: within {:g} combined errors"
    "   ? no error to tell by"
)


def sorted_by(table: xr.Dataset, name: str) -> xr.Dataset:
    """The runs in the order of a number, its leading value first; raises ``InvalidArgument``."""
    names = table["number"].values.tolist()
    if name not in names:
        raise InvalidArgument(
            f"sort must name a number that the runs have; got {name!r}.",
            fix=f"use one of {', '.join(names)}.",
            code="E-I20",
        )
    column = table.sel(number=name)
    sign = -1.0 if str(column["leading_is"].item()) == "highest" else 1.0
    keys = [sign * v if math.isfinite(v) else math.inf for v in column["value"].values.tolist()]
    return table.isel(run=sorted(range(len(keys)), key=lambda k: keys[k]))


def text_table(table: xr.Dataset) -> str:
    """One row a run where that fits 80 to 120 characters, else one column a run, else blocks."""
    width = min(max(shutil.get_terminal_size((100, 24)).columns, NARROW), WIDE)
    upright = grid(table)
    turned = [list(row) for row in zip(*upright, strict=True)]
    lines = next((aligned(g) for g in (upright, turned) if fits(g, width)), None)
    if lines is None:
        lines = [line for block in blocks(upright, width) for line in [*aligned(block), ""]][:-1]
    legend = LEGEND.format(table.attrs["separate"])
    return "\n".join([*lines, "", *_wrapped(legend, width)])


def grid(table: xr.Dataset) -> list[list[str]]:
    """The cells with a head row of labels and a first column of runs."""
    from theodolite.surveys.comparing import STANDINGS

    head = ["", *table["label"].values.tolist()]
    rows = []
    for run in table["run"].values.tolist():
        own = table.sel(run=run)
        standing = [STANDINGS[k] for k in own["standing"].values.tolist()]
        rows.append([run, *(f"{c} {MARKS[s]}" for c, s in zip(texts(own), standing, strict=True))])
    return [head, *rows]


def texts(row: xr.Dataset) -> list[str]:
    """The numbers of one run as the report writes them; empty where there is none."""
    from theodolite.reporting.numbers import Number, text

    columns = zip(
        *(row[k].values.tolist() for k in ("value", "error", "exact", "unit")), strict=True
    )
    return [
        text(Number(value, None if math.isnan(error) else error, bool(exact), unit))
        if math.isfinite(value)
        else "-"
        for value, error, exact, unit in columns
    ]


def fits(cells: list[list[str]], width: int) -> bool:
    return sum(widths(cells)) + 2 * (len(cells[0]) - 1) <= width


def widths(cells: list[list[str]]) -> list[int]:
    return [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]


def aligned(cells: list[list[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    wide = widths(cells)
    return [
        "  ".join(
            c.ljust(w) if k == 0 else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in cells
    ]


def blocks(cells: list[list[str]], width: int) -> list[list[list[str]]]:
    """Tables of as many columns as fit, each with the first one repeated."""
    wide = widths(cells)
    found: list[list[int]] = [[]]
    for k in range(1, len(wide)):
        if found[-1] and wide[0] + sum(wide[j] + 2 for j in [*found[-1], k]) > width:
            found.append([])
        found[-1].append(k)
    return [[[row[j] for j in (0, *columns)] for row in cells] for columns in found]


def markdown_table(table: xr.Dataset) -> str:
    """One row a run, the marks explained below."""
    head, *rows = [[c.strip().replace("|", "\\|") for c in row] for row in grid(table)]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    rows = [[c.replace("*", "\\*") for c in row] for row in rows]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    legend = LEGEND.format(table.attrs["separate"]).replace("*", "\\*")
    return "\n".join([*lines, "", legend])


def csv_table(table: xr.Dataset) -> str:
    """One row a run; for each number its value, its error and its standing, unrounded."""
    from theodolite.exporting.tables import cell
    from theodolite.surveys.comparing import STANDINGS

    names = table["number"].values.tolist()
    head = ["run", *(n + end for n in names for end in ("", "_error", "_standing"))]
    lines = [",".join(cell(h) for h in head)]
    for run in table["run"].values.tolist():
        own = table.sel(run=run)
        row = [run]
        for n in names:
            one = own.sel(number=n)
            standing = STANDINGS[int(one["standing"])]
            row += [float(one["value"]), float(one["error"]), standing]
        lines.append(",".join(cell(c) for c in row))
    return "\n".join(lines)


def plain_table(table: xr.Dataset) -> dict[str, Any]:
    """Everything, as JSON can hold it: numbers that are not finite are null."""
    from theodolite.surveys.comparing import STANDINGS

    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    numbers = []
    for name in table["number"].values.tolist():
        own = table.sel(number=name)
        facts = {k: str(own[k].item()) for k in ("label", "unit", "leading_is")}
        rows = [
            {
                "run": run,
                "value": finite(float(own["value"][k])),
                "error": finite(float(own["error"][k])),
                "exact": bool(own["exact"][k]),
                "distance_in_errors": finite(float(own["distance"][k])),
                "standing": STANDINGS[int(own["standing"][k])],
            }
            for k, run in enumerate(table["run"].values.tolist())
        ]
        numbers.append({"name": name, **facts, "runs": rows})
    return {
        "runs": table["run"].values.tolist(),
        "separate": table.attrs["separate"],
        "numbers": numbers,
    }


def _wrapped(text: str, width: int) -> list[str]:
    return [text] if len(text) <= width else text.split("   ")
