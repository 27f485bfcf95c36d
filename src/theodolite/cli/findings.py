"""``theodolite findings``: published claims, measured again and judged."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from cyclopts import Parameter


def findings(
    *names: Annotated[
        str, Parameter(help="Which findings (theodolite list findings); all by default.")
    ],
    preset: Annotated[
        Literal["quick", "standard", "thorough"], Parameter(help="How many repetitions.")
    ] = "quick",
    seed: Annotated[int, Parameter(help="The first repetition's seed.")] = 0,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of a table.")
    ] = False,
) -> int:
    """Measure published claims again and print the verdict on each."""
    from theodolite import findings as library
    from theodolite.cli import terminal

    chosen = names or library.names()
    for name in chosen:
        library.get(name)
    results = []
    for place, name in enumerate(chosen):
        terminal.say(f"{place + 1} of {len(chosen)}  {name}")
        results.append(library.run(name, preset=preset, seed=seed))
    rows = library.table(results)
    terminal.result(json.dumps(rows, indent=1) if as_json else table_text(rows))
    return 0


def table_text(rows: list[dict[str, Any]]) -> str:
    """One block a finding: the verdict, the effect with its interval, and why."""
    blocks = []
    for row in rows:
        low, high = ("-inf" if b is None else f"{b:.3g}" for b in row["interval"])
        effect = "not finite" if row["effect"] is None else f"{row['effect']:.3g}"
        mark = "as expected" if row["as_expected"] else f"expected: {row['expected']}"
        blocks.append(
            f"{row['name']}\n"
            f"    {row['outcome'].upper()} ({mark})\n"
            f"    {row['effect_label']}: {effect} [{low}, {high}] at {row['level']:.0%}, "
            f"{row['seeds']} repetitions\n"
            f"    {row['explanation']}"
            + (f"\n    why not as expected: {row['disagreement']}" if row["disagreement"] else "")
        )
    return "\n".join(blocks)
