"""``theodolite list``: the measures and their settings."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from cyclopts import Parameter


def listing(
    what: Annotated[Literal["measures", "findings"], Parameter(help="What to list.")] = "measures",
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON instead of lines.")] = False,
) -> int:
    """List the measures with their settings under each preset, or the findings."""
    from theodolite.cli import terminal

    if what == "findings":
        from theodolite import findings

        found = {name: findings.get(name).claim for name in findings.names()}
        terminal.result(json.dumps(found, indent=1) if as_json else lines_of(found))
        return 0
    from theodolite.surveys.measures import MEASURES

    if as_json:
        plain = {
            m.name: {"summary": m.summary, "presets": dict(m.presets)} for m in MEASURES.values()
        }
        terminal.result(json.dumps(plain, indent=1))
        return 0
    lines = []
    for measure in MEASURES.values():
        lines.append(f"{measure.name:12} {measure.summary}")
        for preset, settings in measure.presets.items():
            if settings:
                shown = ", ".join(f"{k} {json.dumps(v)}" for k, v in settings.items())
                lines.append(f"{'':14}{preset:9} {shown}")
    terminal.result("\n".join(lines))
    return 0


def lines_of(found: dict[str, str]) -> str:
    return "\n".join(f"{name}\n    {claim}" for name, claim in found.items())
