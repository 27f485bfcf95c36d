"""``--launcher``: a survey as an array of tasks, a shard each, through submitit."""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theodolite.cli import terminal
from theodolite.cli.durations import parse_duration
from theodolite.cli.folders import merge_command
from theodolite.cli.scale import Spread
from theodolite.errors import InvalidArgument, RunMismatch, TheodoliteError
from theodolite.surveys.configuration import Configuration, read_toml, to_toml
from theodolite.surveys.durable import ensure_writable, write_text
from theodolite.surveys.factories import parse_arguments
from theodolite.surveys.identity import flat, refuse_mismatch
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


def check_dropped(spread: Spread, *, fresh: bool, budget: str | None) -> None:
    """Raise for options that tasks of an array would not see."""
    named = [n for n, given in (("--fresh", fresh), ("--time-budget", budget is not None)) if given]
    if spread.launcher is not None and named:
        raise InvalidArgument(
            f"--launcher takes no {' and no '.join(named)}: the tasks run by themselves.",
            fix="name another folder with --output for a run from scratch; --slurm time=2h limits "
            "each task.",
            code="E-N14",
        )


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
    if "time" in found:
        found["time"] = minutes(found["time"])
    unknown = sorted(set(found) - SlurmExecutor._valid_parameters())
    if unknown:
        raise InvalidArgument(
            f"--slurm has no key {unknown[0]!r}.",
            fix="use partition, time, cpus, gpus, mem, account, qos, constraint, or another name "
            "that submitit knows.",
            code="E-N14",
        )
    return found


def minutes(asked: Any) -> int:
    """Whole minutes in a number of them, or in a text as 90m; raises `InvalidArgument`."""
    count = parse_duration(asked) / 60 if isinstance(asked, str) else asked
    if isinstance(count, bool) or not isinstance(count, int | float) or not 0 < count < math.inf:
        raise InvalidArgument(
            f"time of --slurm must be at least 1 minute; got {asked!r}.",
            fix="for example --slurm time=2h.",
            code="E-N14",
        )
    return math.ceil(count)


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
    text = _make_sbatch_string(command=command, folder=folder, map_count=spread.tasks, **asked)
    return "\n".join([text, *time_note(spread)])


def time_note(spread: Spread) -> list[str]:
    """A word about the time that submitit asks for where nobody has said one."""
    if spread.launcher != "slurm" or "time" in wanted(spread):
        return []
    return ["Time     5 min a task, submitit's own; for more pass --slurm time=2h"]


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
    made = executor(spread, path)
    ensure_writable(path / SHARDS)
    settings = path / SHARDS / "config.toml"
    refuse_other(settings, configuration)
    write_text(settings, to_toml(configuration))
    tasks = [Task(line) for line in task_lines(spread, engine, path)]
    submitted = accepted(made, tasks)
    ids = [str(job.job_id) for job in submitted]
    command = merge_command(path)
    terminal.say(f"Jobs     {', '.join(ids)}  (logs in {path / SHARDS / 'jobs'})")
    for line in time_note(spread):
        terminal.say(line)
    lost = waited(submitted) if spread.launcher == "local" else []
    for number, reason in lost:
        terminal.say(f"Shard {number}/{len(tasks)} failed: {reason}")
    terminal.say(f"To see how far they are: theodolite status {shlex.quote(str(path))}")
    terminal.say(f"To collect the shards: {command}")
    facts = {"run": str(path), "jobs": ids, "merge": command, "failed": [n for n, _ in lost]}
    terminal.result(json.dumps(facts, indent=1) if as_json else str(path))
    return 1 if lost else 0


def refuse_other(settings: Path, configuration: Configuration) -> None:
    """Raise where tasks of another configuration were submitted: those that wait will read it."""
    if not settings.exists():
        return
    new = tomllib.loads(to_toml(configuration))
    try:
        refuse_mismatch(settings, flat(read_toml(settings), ""), flat(new, ""))
    except RunMismatch as error:
        error.why = "tasks submitted with it read that file when they begin."
        error.fix = "pass another -o, or delete that file when none of them waits or runs."
        raise


def accepted(made: Any, tasks: Sequence[Task]) -> Sequence[Any]:
    """Submit the tasks; raises `TheodoliteError` with what ``sbatch`` says against it."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        return list(made.submit_array(tasks))
    except (FailedJobError, FailedSubmissionError) as error:
        raise TheodoliteError(
            f"SLURM did not take the tasks: {reason(error)}",
            fix="--dry-run shows what is asked for, and --slurm key=value changes it.",
            code="E-N16",
        ) from error


def waited(jobs: Sequence[Any]) -> list[tuple[int, str]]:
    """Wait for tasks of this machine, ending them if stopped; those that failed, and why."""
    from theodolite.cli.stopping import terminating

    try:
        with terminating():
            for job in jobs:
                job.wait()
    except (KeyboardInterrupt, SystemExit):
        for job in jobs:
            job.cancel()
        terminal.say("Stopped; what was computed is saved, and the same command goes on.")
        raise
    failed = [(k, job.exception()) for k, job in enumerate(jobs, 1)]
    return [(k, reason(e)) for k, e in failed if e is not None]


def reason(error: BaseException) -> str:
    """The line of a log that says what went wrong: ours, else the last."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if line.startswith("Error:")), lines[-1])
