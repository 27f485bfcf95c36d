"""The way of every command that measures: settings, target, plan, work, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from theodolite.cli import (
    average_lines,
    launching,
    printing,
    result_lines,
    scale_lines,
    terminal,
    watching,
)
from theodolite.cli.consent import refuse_costly
from theodolite.cli.durations import parse_duration
from theodolite.cli.failures import FAILED, INCOMPLETE
from theodolite.cli.folders import default_folder, resume_command
from theodolite.cli.options import Options
from theodolite.cli.passes import seconds_a_pass
from theodolite.cli.precision import precision_line
from theodolite.cli.scale import Spread, engine_of
from theodolite.cli.stopping import terminating
from theodolite.cli.usual import beyond
from theodolite.errors import InvalidArgument
from theodolite.surveys import surveying
from theodolite.surveys.configuration import Configuration, from_table, read_toml
from theodolite.surveys.durable import check_writable
from theodolite.surveys.factories import parse_arguments, resolved_name
from theodolite.surveys.folder import continued, run_path
from theodolite.surveys.later_settings import with_later_settings
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.plan import Plan, outline
from theodolite.surveys.pools import HERE, Engine
from theodolite.surveys.reading import reading_store
from theodolite.surveys.rebuilding import rebuilt
from theodolite.surveys.settling import settled
from theodolite.surveys.sharding import shard_folder, shard_folders
from theodolite.surveys.store import Store
from theodolite.surveys.surveying import Finished
from theodolite.surveys.tables import table_of
from theodolite.surveys.target import Target
from theodolite.surveys.workers import threads

Complete = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Job:
    """A resolved command: what to measure, where to, and how to go about it."""

    configuration: Configuration
    path: Path
    fresh: bool = False
    repair: bool = False
    retry_failed: bool = False
    time_budget: float | None = None
    yes: bool = False
    dry_run: bool = False
    as_json: bool = False
    engine: Engine = HERE
    spread: Spread = Spread()  # noqa: RUF009 (frozen, without state)


def measured(
    target: str | None,
    options: Options,
    *,
    measures: Iterable[str] | None = None,
    family: str | None = None,
    changes: Mapping[str, Any] | None = None,
    also: Mapping[str, Mapping[str, Any]] | None = None,
    usual: Mapping[str, Any] | None = None,
    complete: Complete | None = None,
) -> int:
    """Run ``survey``, or one family and `also` others: `changes` over the file over `usual`."""
    table = read_toml(options.config) if options.config is not None else {}
    own = [family, *(also or {})] if family else []
    names = own or (measures if measures is not None else table.get("measures"))
    preset = options.preset or table.get("preset", "quick")
    settings = {k: dict(v) for k, v in table.get("settings", {}).items() if not own or k in own}
    if options.preset is not None and options.config is not None:
        settings = {}  # a preset named on the command line is the whole answer
    if family:
        base = table_of([family])[family].presets.get(preset, {})
        settings[family] = {**beyond(base, usual or {}), **settings.get(family, {})}
        for name, new in {family: changes or {}, **(also or {})}.items():
            given = {k: v for k, v in new.items() if v is not None}
            settings[name] = {**settings.get(name, {}), **given}
        if complete is not None:
            settings[family] = complete({**base, **settings[family]})
    launching.check_dropped(options.spread, fresh=options.fresh, budget=options.time_budget)
    configuration = resolved(target, options, table, names, preset, settings)
    place = options.output or default_folder(configuration.target or "run", family)
    return carried_out(
        Job(
            configuration,
            run_path(place),
            fresh=options.fresh,
            time_budget=seconds_of(options.time_budget),
            yes=options.yes,
            dry_run=options.dry_run,
            as_json=options.as_json,
            engine=engine_of(options.scale, options.spread.shard),
            spread=options.spread,
        )
    )


def resolved(
    target: str | None,
    options: Options,
    table: Mapping[str, Any],
    names: Iterable[str] | None,
    preset: str,
    settings: Mapping[str, Mapping[str, Any]],
) -> Configuration:
    """Options over the configuration file over the preset."""
    name = target or table.get("target")
    if name is None:
        raise InvalidArgument(
            "no target was given.",
            fix="pass file.py:function, or write one first with theodolite init.",
            code="E-I04",
        )
    checkpoint = options.checkpoint or table.get("checkpoint")
    seed = options.seed if options.seed is not None else table.get("seed", 0)
    if seed < 0:
        raise InvalidArgument(f"seed must be at least 0; got {seed}.", code="E-S14")
    return surveying.configured(
        measures=names,
        preset=preset,
        settings=settings,
        seed=seed,
        limit=options.limit if options.limit is not None else table.get("limit"),
        target=resolved_name(name),
        arguments={**table.get("arguments", {}), **parse_arguments(options.argument)},
        checkpoint=None if checkpoint is None else str(Path(checkpoint).resolve()),
        device=options.device or table.get("device"),
    )


def seconds_of(time_budget: str | None) -> float | None:
    return None if time_budget is None else parse_duration(time_budget)


def resumed(run: str, **how: Any) -> int:
    """Continue the run in a folder from its own configuration."""
    path = run_path(run if Path(run).name not in ("", "..") else Path(run).resolve())
    places = [path, *(folder for _, folder in shard_folders(path))]
    files = [p / "config.toml" for p in places if (p / "config.toml").exists()]
    if not files:
        raise InvalidArgument(
            f"{path} holds no run to resume.",
            fix="pass a folder that has a config.toml.",
            code="E-I05",
        )
    configuration = with_later_settings(from_table(read_toml(files[0]), files[0]), files[0])
    if configuration.target is None:
        raise InvalidArgument(
            f"the target of {path} was made in Python and cannot be built from here.",
            fix="run that program again: survey(..., out=...) continues where it was left.",
            code="E-I06",
        )
    budget = seconds_of(how.pop("time_budget", None))
    return carried_out(Job(configuration, path, time_budget=budget, **how))


def carried_out(job: Job) -> int:
    """Build the target, print the plan, and, unless it is a dry run, do the work."""
    launching.check(job.spread)
    if not job.dry_run:
        check_writable(job.path)
    with threads(job.engine.threads):
        return on_threads(job)


def on_threads(job: Job) -> int:
    """Do a job with every process on as many threads as its engine says."""
    target = built(job.configuration)
    job = with_settings_found(job, target, trying=False)
    terminal.say(printing.header(target))
    plan = surveying.planned(target, job.configuration)
    saved = kept(job, target)
    lines = outline(plan, saved)
    per_pass = seconds_a_pass(target)
    terminal.say(printing.plan_lines(lines, per_pass, plan, target, reasons=job.dry_run))
    terminal.say(scale_lines.engine_line(job.engine, plan, target))
    if job.dry_run:
        terminal.say(precision_line(target))
        terminal.say(f"Store    {job.path}  (nothing was written)")
        if job.spread.launcher == "slurm":
            terminal.say(launching.script(job.spread, job.path))
        if job.as_json:
            terminal.result(
                json.dumps(
                    printing.plan_json(lines, per_pass, job.path)
                    | scale_lines.engine_json(job.engine, plan, target),
                    indent=1,
                )
            )
        return 0
    if saved is None and not job.yes:
        refuse_costly(plan, per_pass, ratio(target), job.time_budget)
    job = with_settings_found(job, target)
    plan = surveying.planned(target, job.configuration)
    if job.spread.launcher is not None:
        return launching.launched(job.spread, job.engine, job.configuration, job.path, job.as_json)
    terminal.say(f"Store    {job.path}  (resumable)")
    finished = with_signals(job, target, plan, per_pass)
    return concluded(job, finished)


def with_settings_found(job: Job, target: Target, *, trying: bool = True) -> Job:
    """The job with what must be tried out named, and a word about it."""
    place = None if job.fresh else job.path
    alone = job.engine.shard is None and job.spread.launcher is None
    found = settled(target, job.configuration, place, alone=alone, trying=trying)
    for line in printing.settled_lines(job.configuration, found):
        terminal.say(line)
    return replace(job, configuration=found)


def built(configuration: Configuration) -> Target:
    """The target at its checkpoint and on its sample of examples."""
    with watching.slow_target(configuration.target):
        return rebuilt(configuration)


def kept(job: Job, target: Target) -> Store | None:
    """What the run folder holds already, read only; raises when it is another run's."""
    if job.fresh:
        return None
    continued(job.path, surveying.identified(target, job.configuration))
    shard = job.engine.shard
    place = (job.path if shard is None else shard_folder(job.path, shard)) / "results.zarr"
    return reading_store(place) if (place / "zarr.json").exists() else None


def with_signals(job: Job, target: Target, plan: Plan, per_pass: float) -> Finished:
    """Do the work; stopped from outside, say how to go on."""
    try:
        with terminating(), watching.watching(plan) as watch:
            return surveying.conduct(
                target,
                job.configuration,
                job.path,
                fresh=job.fresh,
                repair=job.repair,
                retry_failed=job.retry_failed,
                time_budget=job.time_budget,
                watch=watch,
                command=["theodolite", *sys.argv[1:]],
                engine=job.engine,
                per_pass=per_pass,
            )
    except (KeyboardInterrupt, SystemExit):
        terminal.say(scale_lines.stopped(job.engine, job.path))
        raise


def concluded(job: Job, finished: Finished) -> int:
    """Write the report, print the numbers, and give the result to stdout."""
    if job.engine.shard is not None:
        return scale_lines.shard_done(job.engine.shard, finished, job.path, job.as_json)
    tree, outcome = finished.tree, finished.outcome
    page = printing.write_reports(tree, job.path)
    headline = printing.headline_lines(tree)
    if headline:
        terminal.say(headline)
    for text in result_lines.told(tree):
        terminal.say(text)
    for line in average_lines.written(tree, job.path):
        terminal.say(line)
    failures = printing.failure_lines(tree)
    if failures:
        terminal.say(failures)
    if outcome.left:
        terminal.say(f"{terminal.units_left(outcome.left)} To go on: {resume_command(job.path)}")
    if job.as_json:
        summary = json.loads((job.path / "summary.json").read_text())
        terminal.result(
            json.dumps({**summary, "run": str(job.path), "report": str(page)}, indent=1)
        )
    else:
        terminal.result(str(page))
    return INCOMPLETE if outcome.left else FAILED if outcome.failed else 0
