"""``--launcher``: a survey as an array of tasks, a shard each, through submitit."""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theodolite.cli import terminal
from theodolite.cli.durations import parse_duration
from theodolite.cli.folders import merge_command
from theodolite.cli.scale import Spread
from theodolite.errors import InvalidArgument, TheodoliteError
from theodolite.surveys.configuration import Configuration, to_toml
from theodolite.surveys.durable import ensure_writable, write_text
from theodolite.surveys.factories import parse_arguments
from theodolite.surveys.pools import Engine
from theodolite.surveys.sharding import SHARDS

LAUNCHERS = ("slurm", "local")

SHORT = {"cpus": "cpus_per_task", "gpus": "gpus_per_node"}
"""Short names of what SLURM is asked for; any name submitit knows goes as well."""

WEEK = 7 * 24 * 60


@dataclass(frozen=True)
class Task:
    """One task of the array: a command line. Preempted or out of time, it is queued again."""

    argv: tuple[str, ...]

    def __call__(self) -> int:
        from theodolite.cli import main

        code = main(list(self.argv))
        if code not in (0, 3):
            raise SystemExit(code)
        return code

    def checkpoint(self) -> Any:
        """What submitit queues again: the same command, which computes nothing twice."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def check(spread: Spread) -> None:
    """Raise `InvalidArgument` where the options of a launcher do not go together."""
    problem, fix = "", "for example --launcher slurm --tasks 8 --slurm partition=gpu."
    if spread.launcher is None:
        if spread.tasks is not None or spread.slurm:
            problem = "--tasks and --slurm need --launcher"
    elif spread.launcher not in LAUNCHERS:
        problem = f"launcher must be one of {', '.join(LAUNCHERS)}; got {spread.launcher!r}"
    elif spread.tasks is None or spread.tasks < 1:
        problem = f"--launcher needs --tasks of at least 1; got {spread.tasks}"
    elif spread.shard is not None:
        problem, fix = "--launcher gives every task its own shard", "leave out --shard."
    if problem:
        raise InvalidArgument(problem + ".", fix=fix, code="E-N14")
    if spread.launcher is None:
        return
    if importlib.util.find_spec("submitit") is None:
        raise InvalidArgument(
            "--launcher needs the package submitit, which is not installed.",
            fix='pip install "theodolite[slurm]".',
            code="E-N15",
        )
    wanted(spread)


def wanted(spread: Spread) -> dict[str, Any]:
    """What is asked of SLURM, under submitit's names; ``time`` in minutes or as 90m, 2h.

    >>> wanted(Spread(slurm=("time=2h", "cpus=4", "partition=short")))
    {'time': 120, 'cpus_per_task': 4, 'partition': 'short'}
    """
    from submitit.slurm.slurm import SlurmExecutor

    found = {SHORT.get(k, k): v for k, v in parse_arguments(spread.slurm).items()}
    if isinstance(found.get("time"), str):
        found["time"] = math.ceil(parse_duration(found["time"]) / 60)
    unknown = sorted(set(found) - SlurmExecutor._valid_parameters())
    if unknown:
        raise InvalidArgument(
            f"--slurm has no key {unknown[0]!r}.",
            fix="use partition, time, cpus, gpus, mem, account, qos, constraint, or another name "
            "that submitit knows.",
            code="E-N14",
        )
    return found


def task_lines(spread: Spread, engine: Engine, path: Path) -> list[tuple[str, ...]]:
    """The command line of every task."""
    place = path.resolve()
    how: list[str] = []
    if engine.farms:
        how += ["--n-jobs", str(engine.workers), "--backend", engine.backend]
    if engine.scheduler is not None:
        how += ["--scheduler", engine.scheduler]
    if engine.threads is not None:
        how += ["--threads", str(engine.threads)]
    config = str(place / SHARDS / "config.toml")
    count = spread.tasks or 1
    return [
        ("survey", "--config", config, "--shard", f"{k}/{count}", "-o", str(place), "--yes", *how)
        for k in range(1, count + 1)
    ]


def script(spread: Spread, path: Path) -> str:
    """The text that is given to ``sbatch``; nothing is submitted."""
    import sys

    from submitit.slurm.slurm import _make_sbatch_string

    folder = path.resolve() / SHARDS / "jobs"
    command = (
        f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(folder))}"
    )
    asked: dict[str, Any] = {**named(path), **wanted(spread)}
    return _make_sbatch_string(command=command, folder=folder, map_count=spread.tasks, **asked)


def named(path: Path) -> dict[str, str]:
    return {"job_name": f"theodolite-{path.resolve().name}"}


def executor(spread: Spread, path: Path) -> Any:
    """submitit's executor of the launcher, with its logs in the run folder."""
    folder = path.resolve() / SHARDS / "jobs"
    if spread.launcher == "local":
        from submitit import LocalExecutor

        here = LocalExecutor(folder)
        here.update_parameters(timeout_min=wanted(spread).get("time", WEEK))
        return here
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise TheodoliteError(
            "this machine has no sbatch and srun, so nothing can be submitted to SLURM.",
            fix="run it on the cluster's login node; --dry-run shows what would be submitted.",
            code="E-N16",
        )
    from submitit import SlurmExecutor

    made = SlurmExecutor(folder)
    made.update_parameters(**named(path), **wanted(spread))
    return made


def launched(
    spread: Spread, engine: Engine, configuration: Configuration, path: Path, as_json: bool
) -> int:
    """Submit a task a shard; for ``local`` wait for them all. Prints ids and how to collect."""
    ensure_writable(path / SHARDS)
    write_text(path / SHARDS / "config.toml", to_toml(configuration))
    tasks = [Task(line) for line in task_lines(spread, engine, path)]
    submitted = executor(spread, path).submit_array(tasks)
    ids = [str(job.job_id) for job in submitted]
    command = merge_command(path)
    terminal.say(f"Jobs     {', '.join(ids)}  (logs in {path / SHARDS / 'jobs'})")
    lost = waited(submitted) if spread.launcher == "local" else []
    for number, reason in lost:
        terminal.say(f"Shard {number}/{len(tasks)} failed: {reason}")
    terminal.say(f"To see how far they are: theodolite status {shlex.quote(str(path))}")
    terminal.say(f"To collect the shards: {command}")
    facts = {"run": str(path), "jobs": ids, "merge": command, "failed": [n for n, _ in lost]}
    terminal.result(json.dumps(facts, indent=1) if as_json else str(path))
    return 1 if lost else 0


def waited(jobs: Sequence[Any]) -> list[tuple[int, str]]:
    """Wait for tasks of this machine, ending them on Ctrl-C; those that failed, and why."""
    try:
        for job in jobs:
            job.wait()
    except (KeyboardInterrupt, SystemExit):
        for job in jobs:
            job.cancel()
        raise
    failed = [(k, job.exception()) for k, job in enumerate(jobs, 1)]
    return [(k, str(e).strip().splitlines()[-1]) for k, e in failed if e is not None]
