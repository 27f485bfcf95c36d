"""``theodolite monitor``: a training while it runs, read from its folder by another process."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from theodolite.surveys.monitored import Head, Row

COLUMNS = (
    ("step", "step"),
    ("loss", "loss"),
    ("gradient_norm", "gradient"),
    ("sharpness", "sharpness"),
    ("threshold", "threshold"),
    ("relative_sharpness", "share"),
    ("batch_sharpness", "batch"),
    ("distance_from_start", "distance"),
    ("step_angle", "angle"),
)
SHOWN = 12
"""Measurements shown, the last ones."""
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 48


def monitor(
    run: Annotated[Path, Parameter(help="The folder given to td.Monitor(folder=...).")],
    /,
    *,
    follow: Annotated[
        bool, Parameter(name=["-f", "--follow"], help="Go on until the training ends, or Ctrl-C.")
    ] = False,
    every: Annotated[float, Parameter(help="Seconds between looks at the folder.")] = 1.0,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print the last measurement as JSON.")
    ] = False,
) -> int:
    """Show what a td.Monitor has measured so far; it never touches the training."""
    from theodolite.cli import terminal
    from theodolite.errors import InvalidArgument
    from theodolite.surveys.monitored import read_log

    if not every > 0:
        raise InvalidArgument(f"--every must be above 0 seconds; got {every}.", code="E-M30")
    head, rows = read_log(run)
    if as_json:
        terminal.result(json.dumps(rows[-1] if rows else {}))
    elif not follow:
        terminal.result("\n".join(lines_of(head, rows)))
    elif terminal.interactive():
        live(run, every)
    else:
        told(run, every)
    return 0


def lines_of(head: Head, rows: Sequence[Row]) -> list[str]:
    """The last measurements as plain lines under a head, and what failed in the last."""
    shown = [(n, title) for n, title in COLUMNS if n == "step" or any(_value(r, n) for r in rows)]
    cells = [[title for _, title in shown]]
    cells += [[_cell(r, n) for n, _ in shown] for r in rows[-SHOWN:]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(shown))]
    table = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return [title_of(head, rows), *table, *footnotes(rows)]


def title_of(head: Head, rows: Sequence[Row]) -> str:
    """What is trained, and by which rule."""
    facts = head.facts
    rule = next((r["rule"] for r in reversed(rows) if r.get("rule")), "")
    parts = [f"{facts.get('model', 'model')}, {int(facts.get('params', 0)):,} parameters", rule]
    return ", ".join(p for p in (*parts, f"{len(rows):,} measurements") if p)


def footnotes(rows: Sequence[Row]) -> list[str]:
    """The course of the sharpness as bars, what measuring takes, and what failed last."""
    found = []
    relative = [v for r in rows if (v := _value(r, "relative_sharpness")) is not None]
    if len(relative) > 1:
        found.append(f"sharpness over threshold  {bars(relative)}  {relative[-1]:.2f}")
    if rows:
        spent = math.fsum(r["measuring_seconds"] for r in rows)
        trained = float(rows[-1]["training_seconds"])
        if trained > 0:
            found.append(f"measuring took {100 * spent / trained:.3g} % of the training so far")
        found += [f"{name}: {why}" for name, why in rows[-1].get("failures", {}).items()]
    return found


def bars(values: Sequence[float]) -> str:
    """Values as bars from zero to the largest.

    >>> bars([0.0, 0.5, 1.0])
    '▁▅█'
    """
    kept = list(values)[-WIDTH:]
    top = max(kept) or 1.0
    return "".join(BARS[min(7, max(0, round(7 * v / top + 0.01)))] for v in kept)


def live(run: Path, every: float) -> None:
    """A table that is drawn anew whenever something was measured."""
    from rich.live import Live

    from theodolite.cli import terminal
    from theodolite.surveys.monitored import read_log

    with Live(console=terminal.console(), auto_refresh=False) as view:
        while True:
            head, rows = read_log(run)
            view.update(table_of(head, rows), refresh=True)
            if ended(run):
                return
            time.sleep(every)


def table_of(head: Head, rows: Sequence[Row]) -> Table:
    """The same as `lines_of`, for a terminal that can redraw."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from theodolite.cli.terminal import clean

    shown = [(n, title) for n, title in COLUMNS if n == "step" or any(_value(r, n) for r in rows)]
    table = Table(
        title=Text(clean(title_of(head, rows))),
        caption=Text(clean("\n".join(footnotes(rows)))),
        caption_justify="left",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for _, title in shown:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows[-SHOWN:]:
        near = (_value(row, "relative_sharpness") or 0.0) >= 1
        table.add_row(*(_cell(row, n) for n, _ in shown), style="bold" if near else "")
    return table


def told(run: Path, every: float) -> None:
    """One line a measurement, where nobody watches."""
    from theodolite.cli import terminal
    from theodolite.surveys.monitored import read_log

    seen = -1
    while True:
        head, rows = read_log(run)
        for row in (r for r in rows if r["step"] > seen):
            if seen < 0:
                terminal.say(title_of(head, rows))
            cells = (f"{title} {_cell(row, n)}" for n, title in COLUMNS if _value(row, n))
            terminal.say("  ".join(cells))
            seen = row["step"]
        if ended(run):
            return
        time.sleep(every)


def ended(run: Path) -> bool:
    """Whether the last record says that the training is over."""
    from theodolite.surveys.journal import read_journal
    from theodolite.surveys.monitored import LOG

    records = read_journal(run / LOG)
    return bool(records) and records[-1].get("event") == "end"


def _value(row: Row, name: str) -> Any:
    return row["step"] if name == "step" else row["values"].get(name)


def _cell(row: Row, name: str) -> str:
    value = _value(row, name)
    if value is None:
        return "-"
    return f"{value:,}" if name == "step" else f"{value:.4g}"
