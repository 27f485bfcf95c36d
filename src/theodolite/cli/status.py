"""``theodolite status``: what a run folder holds, and what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from theodolite.surveys.inventory import Inventory


def status(
    run: Annotated[str, Parameter(help="The run folder.")],
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON instead of lines.")] = False,
) -> int:
    """Say what a run folder holds, what is missing, and who is writing it."""
    from theodolite.cli import terminal
    from theodolite.cli.durations import about
    from theodolite.cli.folders import merge_command, resume_command
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
            "seconds_left": found.seconds_left,
            "unmerged": found.unmerged,
            "shards": [asdict(s) for s in found.shards],
            "groups": [{**asdict(h), "left": h.left} for h in found.holdings],
        }
        terminal.result(json.dumps(plain, indent=1))
        return 0
    width = max((len(h.group) for h in found.holdings), default=0)
    lines = [f"{found.path}  {found.model or found.target}"]
    for h in found.holdings:
        lost = f", {h.failed} failed" if h.failed else ""
        lines.append(f"  {h.group:{width}}  {h.done} of {h.units} done{lost}")
    lines += shard_lines(found)
    wait = found.seconds_left
    if found.left and wait is not None:
        lines.append(f"Time left: {about(wait)}")
    if found.writer:
        lines.append(f"Being written by process {found.writer['pid']} on {found.writer['host']}.")
    elif found.unmerged:
        collect = merge_command(found.path)
        lines.append(f"{terminal.units_left(found.left)} To collect the shards: {collect}")
    elif found.left or not found.holdings:
        lines.append(f"{terminal.units_left(found.left)} To go on: {command}")
    elif found.failed:
        lines.append(f"{found.failed} units failed. To try them again: {command} --retry-failed")
    else:
        lines.append("Complete.")
    terminal.result("\n".join(lines))
    return 0


def shard_lines(found: Inventory) -> list[str]:
    """One line a shard: what it holds, what is left, how long that takes, and who is at work."""
    from theodolite.cli.durations import about

    lines = []
    for s in found.shards:
        text = f"  shard {s.shard}  {s.done} of {s.units} done"
        text += f", {s.failed} failed" if s.failed else ""
        text += f", {s.left} left" if s.left else ""
        text += f", {about(s.seconds_left)}" if s.left and s.seconds_left is not None else ""
        if s.writer:
            text += f"; process {s.writer['pid']} on {s.writer['host']}"
        elif s.left:
            text += "; nobody is at work" if s.begun else "; not begun"
        lines.append(text)
    return lines
