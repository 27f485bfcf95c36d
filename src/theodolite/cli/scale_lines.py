"""What a run says about the processes that compute it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from theodolite.cli import terminal
from theodolite.cli.failures import FAILED, INCOMPLETE
from theodolite.cli.folders import merge_command, resume_command
from theodolite.cli.memory import bytes_each
from theodolite.surveys.plan import Plan
from theodolite.surveys.pools import Engine
from theodolite.surveys.sharding import Shard, shard_folder
from theodolite.surveys.surveying import Finished
from theodolite.surveys.target import Target


def engine_line(engine: Engine, plan: Plan, target: Target) -> str:
    """Who computes, on how many threads, and for several processes the memory of each."""
    count = torch.get_num_threads()
    how = f"{count} thread" + ("s" if count > 1 else "")
    if engine.workers == 0:
        return "Engine   none: nothing is computed"
    if not engine.farms:
        line = f"Engine   this process, {how}"
    else:
        each = bytes_each(plan, target) / 1e9
        total = each * (engine.workers + 1)
        workers = f"{engine.workers} {engine.backend} worker" + "s" * (engine.workers > 1)
        line = (
            f"Engine   {workers}, {how} each; memory about {total:.1f} GB: "
            f"{engine.workers} x {each:.1f} GB and as much here"
        )
    return line if engine.shard is None else f"{line}; shard {engine.shard}"


def stopped(engine: Engine, path: Path) -> str:
    """What a run that was stopped says: how to go on with it, or with this shard of it."""
    said, resume = "Stopped; what was computed is saved.", resume_command(path)
    if engine.shard is None:
        return f"{said} To go on: {resume}"
    return (
        f"{said} The same command goes on with shard {engine.shard}; to compute all that any "
        f"shard left in one process: {resume}"
    )


def engine_json(engine: Engine, plan: Plan, target: Target) -> dict[str, Any]:
    """The same as plain data."""
    each = bytes_each(plan, target)
    return {
        "backend": engine.backend,
        "workers": engine.workers,
        "threads": torch.get_num_threads(),
        "shard": None if engine.shard is None else str(engine.shard),
        "memory_bytes_each": each,
        "memory_bytes": each * (engine.workers + 1 if engine.farms else 1),
    }


def shard_done(shard: Shard, finished: Finished, run: Path, as_json: bool) -> int:
    """Say what a shard did and how its units are collected; returns the exit code."""
    o = finished.outcome
    command = merge_command(run)
    left = f", {o.left} left" if o.left else ""
    lost = f", {o.failed} failed" if o.failed else ""
    terminal.say(f"Shard {shard}: {o.computed} units computed{left}{lost}. Collect: {command}")
    facts = {"run": str(run), "shard": str(shard), "computed": o.computed, "left": o.left}
    facts |= {"failed": o.failed, "merge": command}
    folder = str(shard_folder(run, shard))
    terminal.result(json.dumps({**facts, "folder": folder}, indent=1) if as_json else folder)
    return INCOMPLETE if o.left else FAILED if o.failed else 0
