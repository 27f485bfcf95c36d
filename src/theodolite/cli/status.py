"""``theodolite status``: what a run folder holds, and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter


def status(
    run: Annotated[str, Parameter(help="The run folder.")],
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON instead of lines.")] = False,
) -> int:
    """Say what a run folder holds, what is missing, and who is writing it."""
    from theodolite.cli import terminal
    from theodolite.cli.folders import resume_command
    from theodolite.surveys.inventory import inventory

    found = inventory(run)
    command = resume_command(found.path)
    if as_json:
        plain = {
            "run": str(found.path),
            "target": found.target,
            "model": found.model,
            "complete": found.left == 0 and bool(found.holdings),
            "left": found.left,
            "failed": found.failed,
            "seconds": found.seconds,
            "writer": found.writer or None,
            "resume": command,
            "groups": [{**asdict(h), "left": h.left} for h in found.holdings],
        }
        terminal.result(json.dumps(plain, indent=1))
        return 0
    width = max((len(h.group) for h in found.holdings), default=0)
    lines = [f"{found.path}  {found.model or found.target}"]
    for h in found.holdings:
        lost = f", {h.failed} failed" if h.failed else ""
        lines.append(f"  {h.group:{width}}  {h.done} of {h.units} done{lost}")
    if found.writer:
        lines.append(f"Being written by process {found.writer['pid']} on {found.writer['host']}.")
    elif found.left or not found.holdings:
        lines.append(f"{found.left} units are left. To go on: {command}")
    elif found.failed:
        lines.append(f"{found.failed} units failed. To try them again: {command} --retry-failed")
    else:
        lines.append("Complete.")
    terminal.result("\n".join(lines))
    return 0
