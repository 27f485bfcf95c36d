"""Run the published claims and write docs/findings from what came out.

python scripts/write_findings.py [NAME ...] [--preset standard] [--seed 0]
python scripts/write_findings.py --explain NAME ...  (runs nothing: puts a disagreement on its page)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from theodolite import findings
from theodolite.findings import Estimate, Finding, Verdict

PAGES = Path(__file__).resolve().parents[1] / "docs" / "findings"
PARTS = {
    "negative_control": "negative control",
    "positive_control": "positive control",
    "corrected": "corrected statement",
}
INTRODUCTION = """# Findings

Published claims about the landscapes of neural networks, each measured again by one command and
judged by a rule that was fixed before the run. A claim is *reproduced*, *not reproduced* or
*inconclusive*; it is never reproduced unless the same rule rejects a case where it is false (the
negative control). A verdict that is not the one the literature leads one to expect stands as it
came out, and its page says why it may have. Over-statements are here as they are worded, with the
statement that holds in their place. `python scripts/write_findings.py` writes these pages from the
samples.
"""


def title(name: str) -> str:
    """The sentence in a finding's name."""
    words = name.replace("_", " ")
    return words[0].upper() + words[1:]


def number(value: float | None) -> str:
    """Four significant digits, as a reader writes them."""
    if value is None or math.isnan(value):
        return "undefined"
    return f"{value:.4g}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def interval(low: float | None, high: float | None) -> str:
    """Both ends in brackets; a missing end is infinite."""
    ends = -math.inf if low is None else low, math.inf if high is None else high
    return f"[{number(ends[0])}, {number(ends[1])}]"


def cell(text: str) -> str:
    """Text that stays in one cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def verdict_rows(verdict: Verdict) -> list[str]:
    """The claim, its controls and the corrected statement with its own, one row each."""
    named = [("claim", verdict)]
    for part, words in PARTS.items():
        made = getattr(verdict, part)
        if made is not None:
            named.append((words, made))
            if made.negative_control is not None:
                named.append((f"{words}: its negative control", made.negative_control))
    lines = ["| judged | outcome | effect | interval | what was seen |", "|---|---|---|---|---|"]
    for words, made in named:
        ends = interval(*made.interval)
        lines.append(
            f"| {words} | {made.outcome} | {number(made.effect)} | {ends} "
            f"| {cell(made.explanation)} |"
        )
    return lines


def estimate_rows(estimates: Mapping[str, Estimate]) -> list[str]:
    """Everything else the samples say, with intervals."""
    lines = ["| measured | value | interval | level | samples | by |", "|---|---|---|---|---|---|"]
    for label, e in estimates.items():
        lines.append(
            f"| {cell(label)} | {number(e.value)} | {interval(e.low, e.high)} | {e.level:.3g} "
            f"| {e.count:,} | {e.method} |"
        )
    return lines


def page(finding: Finding, result: xr.Dataset, seconds: float) -> str:
    """The page of one finding."""
    verdict = findings.verdict_of(result)
    said = {
        "Claim": finding.claim,
        "Reference": finding.reference,
        "Protocol": finding.protocol,
        "Threshold, fixed before the run": finding.threshold,
        "Negative control": finding.negative_control,
        "Positive control": finding.positive_control,
        "Corrected statement": finding.corrected,
        "Limits": finding.limits,
    }
    effect = f"The effect is the {finding.effect}"
    if finding.corrected_effect:
        effect += f"; for the corrected statement, {finding.corrected_effect}"
    paragraphs = [
        f"# {title(finding.name)}",
        f"**Verdict: {verdict.outcome}** ({verdict.seeds} seeds, level {verdict.level:g}).",
        *against_expectation(finding, verdict.outcome),
        *(f"**{words}.** {text}" for words, text in said.items() if text),
        "## Verdict",
        "\n".join(verdict_rows(verdict)),
        f"{effect}.",
        "## Measured",
        "\n".join(estimate_rows(finding.estimates(result))),
        "## How to run it",
        f"```console\ntheodolite findings {finding.name} --preset {result.attrs['preset']}\n```",
        conditions(result, seconds),
    ]
    return "\n\n".join(paragraphs) + "\n"


def against_expectation(finding: Finding, outcome: str) -> list[str]:
    """What to say above all else where the outcome is not the expected one."""
    if outcome == finding.expected:
        return []
    why = finding.disagreement or "Why is not known yet."
    return [f"**Against expectation.** Expected was: {finding.expected}. {why}"]


def conditions(result: xr.Dataset, seconds: float) -> str:
    """Machine, versions, seeds, settings and cost of a run."""
    facts = result.attrs
    packages = ", ".join(f"{p} {facts[p]}" for p in ("torch", "numpy", "scipy", "scikit-learn"))
    chosen = ", ".join(f"{k} = {v}" for k, v in json.loads(facts["settings"]).items())
    return (
        f"Preset `{facts['preset']}`, seeds {int(result.seed[0])} to {int(result.seed[-1])} "
        f"({chosen}). {seconds:.0f} s of one core on {platform.machine()} {platform.system()} with "
        f"{os.cpu_count()} cores, {torch.get_num_threads()} thread, Python {facts['python']}, "
        f"{packages}, theodolite {facts['theodolite']}."
    )


def index(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of verdicts."""
    lines = [
        INTRODUCTION,
        "| claim | verdict | effect | interval | negative control | corrected statement |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        link = f"[{title(row['name'])}]({row['name']}.md)"
        outcome = row["outcome"] + ("" if row["as_expected"] else ", against expectation")
        lines.append(
            f"| {link} | {outcome} | {row['effect_label']}: {number(row['effect'])} "
            f"| {interval(*row['interval'])} | {row['negative_control']} "
            f"| {row['corrected'] or '-'} |"
        )
    names = "\n".join(row["name"] for row in rows)
    return "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def written(chosen: Iterable[str], *, preset: str, seed: int) -> list[dict[str, Any]]:
    """Run the chosen findings and write their pages; their rows of the table."""
    rows = []
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        started = time.process_time()
        result = findings.run(name, preset=preset, seed=seed)
        seconds = time.process_time() - started
        text = page(findings.get(name), result, seconds)
        (PAGES / f"{name}.md").write_text(text, "utf-8")
        rows += findings.table([result])
        print(f"{name}: {rows[-1]['outcome']} ({seconds:.0f} s)", file=sys.stderr)
    return rows


def explained(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its finding's disagreement, which is put on its page in place of the old one.

    A disagreement is written after the run, which it does not change.
    """
    finding, file = findings.get(row["name"]), PAGES / f"{row['name']}.md"
    paragraphs = file.read_text("utf-8").split("\n\n")
    kept = [p for p in paragraphs if not p.startswith("**Against expectation.**")]
    kept[2:2] = against_expectation(finding, row["outcome"])
    file.write_text("\n\n".join(kept), "utf-8")
    return {**row, "disagreement": None if row["as_expected"] else finding.disagreement or None}


def main() -> None:
    """Run, write the pages, and put the new rows into the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("names", nargs="*", help="findings to run (default: all)")
    options.add_argument("--preset", default="standard", choices=findings.PRESETS)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--explain", action="store_true", help="only write disagreements anew")
    given = options.parse_args()
    torch.set_num_threads(1)
    chosen, kept = given.names or findings.names(), PAGES / "verdicts.json"
    made = [] if given.explain else written(chosen, preset=given.preset, seed=given.seed)
    rows = (
        {row["name"]: row for row in json.loads(kept.read_text("utf-8"))} if kept.exists() else {}
    )
    if given.explain:
        made = [explained(rows[name]) for name in chosen if name in rows]
    rows |= {row["name"]: row for row in made}
    current = [rows[name] for name in findings.names() if name in rows]
    kept.write_text(json.dumps(current, indent=1) + "\n", "utf-8")
    (PAGES / "index.md").write_text(index(current), "utf-8")


if __name__ == "__main__":
    main()
