"""What a run says about itself: header, plan, checks, numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite import __version__
from theodolite.cli import connect_lines
from theodolite.cli.durations import about
from theodolite.cli.memory import bytes_each
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.plan import Outline, Plan
from theodolite.surveys.target import Target

LONG = 1800
"""Seconds above which a plan suggests a smaller one."""

FIVE = (
    "loss",
    "test_accuracy",
    "rise",
    "largest_eigenvalue",
    "nonconvex_share",
    "negative_weight",
    "trace",
    "adaptive_sharpness",
    "average_sharpness",
    "hessian_noise_scale",
    "noise_scale",
    "test_loss",
    "accuracy",
)
"""The headline numbers printed at the end, the first five there are."""

OTHERS = ("barrier", "test_error_barrier")
"""Those of a run that measured other weights than the target's own."""


def header(target: Target) -> str:
    """Who is measured, in one line."""
    facts = target.objective.facts()
    count = f"{facts['examples']:,}"
    if target.examples_available:
        count += f" of {target.examples_available:,}"
    return (
        f"Theodolite {__version__}  {target.title} · {facts['params']:,} parameters · "
        f"{count} examples · {facts['device']} {facts['dtype']}"
    )


def settled_lines(before: Configuration, found: Configuration) -> list[str]:
    """What was found out on the target before the work: how planes and ensembles are computed."""
    lines = []
    for name, table in found.settings.items():
        was = before.settings[name]
        if name == "planes" and table.get("evaluation") != was.get("evaluation"):
            lines.append(f"Points   {table['evaluation']}")
        if table.get("training") != was.get("training"):
            lines.append(f"Trained  {table['training']}: {table['training_reason']}")
    return lines


def plan_lines(
    lines: Sequence[Outline], per_pass: float, plan: Plan, target: Target, *, reasons: bool = False
) -> str:
    """The plan as a table: measure, units, cost in forward passes, time, and why where asked
    or where something is saved already."""
    reasons = reasons or any(line.todo < line.units for line in lines)
    rows = [
        (
            line.measure,
            f"{line.todo:,} of {line.units:,}" if reasons else f"{line.units:,}",
            f"{line.passes:,.0f}",
            time_of(line.time(per_pass), bound=line.bound),
            line.reason if reasons else "",
        )
        for line in lines
    ]
    total = sum(line.passes for line in lines)
    seconds = sum(line.time(per_pass) for line in lines)
    rows.append(
        (
            "total",
            "",
            f"{total:,.0f}",
            time_of(seconds, bound=any(line.bound for line in lines)),
            f"about {bytes_each(plan, target) / 1e9:.1f} GB",
        )
    )
    head = ("measure", "units", "passes", "time", "why" if reasons else "")
    widths = [max(len(r[k]) for r in [head, *rows]) for k in range(4)]
    body: list[str] = []
    for name, units, passes, time, note in [head, *rows]:
        start = f"{'' if body else 'Plan':9}{name:{widths[0]}}  {units:>{widths[1]}}"
        body.append(f"{start}  {passes:>{widths[2]}}  {time:{widths[3]}}  {note}".rstrip())
    if seconds > LONG:
        body.append(f"{'':9}A smaller survey: --limit 1000, --preset quick or --measures lines.")
    return "\n".join(body)


def time_of(seconds: float, *, bound: bool) -> str:
    """A time in words, as an estimate or as the most it can be.

    >>> time_of(200.0, bound=False), time_of(200.0, bound=True)
    ('about 3 min', 'at most 3 min')
    """
    return about(seconds).replace("about", "at most") if bound else about(seconds)


def plan_json(lines: Sequence[Outline], per_pass: float, path: Path) -> dict[str, Any]:
    """The plan as plain data."""
    measures = [
        {
            "measure": line.measure,
            "units": line.units,
            "to_compute": line.todo,
            "failed": line.failed,
            "passes": line.passes,
            "seconds": round(line.time(per_pass), 3),
            "at_most": line.bound,
            "reason": line.reason,
        }
        for line in lines
    ]
    seconds = round(sum(line.time(per_pass) for line in lines), 3)
    return {"run": str(path), "seconds": seconds, "measures": measures}


def headline_lines(tree: xr.DataTree) -> str:
    """The certificate's verdict and the five most telling numbers with their errors."""
    from theodolite.reporting.convexity import bowl_note
    from theodolite.reporting.numbers import Number, text

    found = {row["name"]: row for row in json.loads(tree.attrs["headline"])}
    lines = [d.attrs for n, d in tree.children.items() if n.startswith("barrier")]
    elsewhere = any("target" not in attrs.get("points", ["target"]) for attrs in lines)
    chosen = [found[n] for n in (OTHERS if elsewhere else FIVE) if n in found][:5]
    if elsewhere and connect_lines.lines(tree):
        chosen = []  # the verdict and its table hold them
    width = max((len(row["label"]) for row in chosen), default=0)
    checks = checks_line(tree)
    said = [checks] if checks else []
    for row in chosen:
        value = math.nan if row["value"] is None else row["value"]
        number = Number(value, row["error"], row["exact"], row["unit"])
        note = f"  ({row['note']})" if row.get("note") else ""
        said.append(f"{row['label']:{width}}  {text(number)}{note}")
    warning = bowl_note(tree)
    return "\n".join([*said, warning] if warning else said)


def failure_lines(tree: xr.DataTree) -> str:
    """Which units failed, and the first reason of each group."""
    lost = json.loads(str(tree.attrs.get("failures", "{}")))
    return "\n".join(
        f"{name}: {len(reasons)} failed: {next(iter(reasons.values()))}"
        for name, reasons in lost.items()
    )


def checks_line(tree: xr.DataTree) -> str:
    """The certificate in one line, with the checks that did not hold; empty without one."""
    if "certificate" not in tree.children:
        return ""
    certificate = tree["certificate"].to_dataset()
    held = certificate["passed"].values.astype(bool)
    lost = certificate["check"].values[~held].tolist()
    verdict = f"{certificate.attrs['verdict']}, {held.sum()} of {held.size} checks held"
    return f"Checks   {verdict}" + "".join(f"\n         ✗ {name}" for name in lost)


def write_reports(tree: xr.DataTree, folder: Path) -> Path:
    """``report.html`` and ``summary.json`` of a run; returns the page."""
    from theodolite.reporting import report, write_summary

    write_summary(tree, folder / "summary.json")
    return report(tree, folder / "report.html")
