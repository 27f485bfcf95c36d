"""A survey from its settings to its tree."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.results import SCHEMA
from theodolite.surveys import integrity
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.durable import write_text
from theodolite.surveys.execution import Outcome, Progress, Watch, execute
from theodolite.surveys.folder import Run, opened_run, run_path
from theodolite.surveys.identity import hashed_files, identity
from theodolite.surveys.measures import background
from theodolite.surveys.merging import merge, own_units
from theodolite.surveys.plan import Measure, Plan, chosen, resolved_settings
from theodolite.surveys.pools import HERE, Engine, engine_of
from theodolite.surveys.provenance import sha256
from theodolite.surveys.reading import tree_of
from theodolite.surveys.rebuilding import name_of, rebuilt, refuse_unnamed
from theodolite.surveys.settling import settled
from theodolite.surveys.sharding import shard_folder
from theodolite.surveys.store import write_facts
from theodolite.surveys.tables import table_of
from theodolite.surveys.target import Target, adjusted, as_target
from theodolite.surveys.workers import errand_of, refuse_inside
from theodolite.surveys.workers import threads as torch_threads


@dataclass(frozen=True, eq=False)
class Finished:
    """What a survey left: its tree, what was computed, and the folder (None for memory)."""

    tree: xr.DataTree
    outcome: Outcome
    path: Path | None


def configured(
    *,
    measures: Iterable[str] | None = None,
    preset: str = "quick",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    table: Mapping[str, Measure] | None = None,
    **rest: Any,
) -> Configuration:
    """A configuration with every setting resolved; raises `InvalidArgument` for unknown names."""
    measures = None if measures is None else list(measures)
    table = table_of(measures) if table is None else table
    names = chosen(measures, table)
    changes = settings or {}
    strangers = [k for k in changes if k not in table]
    if strangers:
        chosen(strangers, table)
    resolved = {n: resolved_settings(table[n], preset, changes.get(n)) for n in names}
    return Configuration(names, resolved, preset, **rest)


def planned(
    target: Target,
    configuration: Configuration,
    table: Mapping[str, Measure] | None = None,
) -> Plan:
    """Every group the configuration asks for on this target; computes nothing."""
    c = configuration
    table = table_of(c.measures) if table is None else table
    groups = list(background(target))
    for name in c.measures:
        groups += table[name].groups(target, c.settings[name], c.seed)
    return Plan(tuple(groups))


def identified(target: Target, configuration: Configuration) -> dict[str, Any]:
    """What the numbers of this survey depend on, hashes included."""
    path = configuration.checkpoint
    digest = sha256(Path(path)) if path else None
    return identity(configuration, target.facts(), digest, hashed_files(configuration))


def root_facts(target: Target, configuration: Configuration) -> dict[str, Any]:
    """The attributes at the root of the tree."""
    facts = target.objective.facts()
    return {
        "schema": SCHEMA,
        "target": configuration.target or target.title,
        "model": target.title,
        "params": facts["params"],
        "examples": facts["examples"],
        "test_examples": target.test.examples if target.test is not None else 0,
        "examples_available": target.examples_available or facts["examples"],
        "seed": configuration.seed,
        "preset": configuration.preset,
    }


def conduct(
    target: Target,
    configuration: Configuration,
    out: Path | None = None,
    *,
    fresh: bool = False,
    repair: bool = False,
    retry_failed: bool = False,
    time_budget: float | int | None = None,
    watch: Watch | None = None,
    command: Sequence[str] | None = None,
    table: Mapping[str, Measure] | None = None,
    engine: Engine = HERE,
    per_pass: float | None = None,
) -> Finished:
    """Make the survey that `configuration` describes, or as much of it as the time allows.

    `target` is already at the checkpoint and on the sample of examples the configuration names.
    ``per_pass`` are seconds a forward pass, for `status`. ``engine`` says which processes compute;
    a shard writes into its own folder below `out`; what is no shard first collects what they have.
    """
    if engine.farms:
        refuse_inside()
        refuse_unnamed(configuration.target, engine.workers)
    plan = planned(target, configuration, table)
    same = identified(target, configuration)
    shard, only = engine.shard, None
    if shard is not None:
        if out is None:
            raise InvalidArgument(
                "a shard needs a run folder.", fix="pass out=, or -o.", code="E-N13"
            )
        only = own_units(out, plan, same, shard)
        out = shard_folder(out, shard)
    with (
        torch_threads(engine.threads) as used,
        opened_run(out, configuration, same, fresh=fresh, command=command, threads=used) as run,
    ):
        write_facts(run.store, "", root_facts(target, configuration))
        for group in plan.groups:
            integrity.check(run.store, group, repair=repair)
        costs = plan.costs(per_pass)
        run.journal.record("plan", workers=max(1, engine.workers), passes=costs, per_pass=per_pass)
        if shard is None:
            merge(run, plan, same, repair=repair)
        outcome = execute(
            plan,
            target,
            run.store,
            run.journal,
            time_budget=time_budget,
            retry_failed=retry_failed,
            watch=watch,
            engine=engine,
            errand=errand_of(configuration, same, used) if engine.farms else None,
            only=only,
        )
        return Finished(concluded(run), outcome, run.path)


def concluded(run: Run) -> xr.DataTree:
    """The tree, and for a folder its ``summary.json``."""
    tree = tree_of(run.store, json.dumps(dict(run.provenance)))
    if run.path is not None:
        write_text(run.path / "summary.json", json.dumps(summary(tree), indent=1))
    return tree


def summary(tree: xr.DataTree) -> dict[str, Any]:
    """The headline numbers and the certificate as plain data; the report adds its sentences."""
    certificate: dict[str, Any] | None = None
    if "certificate" in tree.children:
        attrs = tree["certificate"].attrs
        certificate = {k: attrs[k] for k in ("verdict", "reason") if k in attrs}
    return {
        "schema": 1,
        "target": tree.attrs.get("target"),
        "model": tree.attrs.get("model"),
        "headline": json.loads(tree.attrs["headline"]),
        "certificate": certificate,
        "words": [],
    }


def survey(
    target: Target | Objective | str | Callable[..., Target | Objective],
    *,
    measures: Iterable[str] | None = None,
    preset: str = "quick",
    seed: int = 0,
    limit: int | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    time_budget: float | int | None = None,
    progress: Callable[[int, int], None] | None = None,
    n_jobs: int = 1,
    backend: str = "loky",
    threads: int | None = None,
) -> xr.DataTree:
    """Measure the landscape around a target's weights and return everything as one tree.

    Parameters
    ----------
    target
        A `Target`, or an `Objective` on its own; or the factory of one, a function or its name
        as "file.py:function", which is what other processes need.
    measures
        Names of measures (``theodolite list measures``); all of them by default.
    preset
        "quick", "standard" or "thorough": how much of each measure. ``settings`` changes single
        settings by measure and name, as in ``{"planes": {"steps": [31, 31]}}``.
    seed
        Decides every random direction and probe, by name; not the order of the work.
    limit
        Survey a fixed seeded sample of so many training and so many test examples.
    out
        A run folder. Every unit of work is saved there as it is done; the same call continues
        where an earlier one stopped and computes nothing twice. Without it, all stays in memory.
    fresh
        Remove what an earlier run left in `out` first.
    time_budget
        Begin no unit of work after so many seconds; what is missing is NaN with status 0.
    progress
        Called with the units done and in all.
    n_jobs, backend
        How many processes compute units, and of which kind: "loky" (this machine), "dask" or
        "ray" (a cluster that is connected, else this machine). The numbers are the same, bit for
        bit, for any number and kind of them on the same ``threads``.
    threads
        How many threads torch uses in each process; by default its own number for one process,
        and the cores divided by ``n_jobs`` for several.

    Returns
    -------
    DataTree
        A child for each result: ``plane_0`` ..., ``line_0`` ..., ``spectrum``, ``eigenvalues``,
        ``trace``, ``certificate``, ``start`` and, if the target has one, ``training``. JSON text
        in ``attrs["headline"]`` lists the few main numbers with their errors.

    Raises
    ------
    RunMismatch
        `out` holds a run with another configuration, checkpoint or data.
    StorageError
        `out` cannot be written, is being written by another process, or is damaged.
    InvalidArgument
        A measure, preset or setting that does not exist, or a value it cannot have; several
        processes for a target that only this one has (E-N09).

    Notes
    -----
    The cost is printed by ``theodolite survey --dry-run``. A unit of work that raises is marked
    failed, with the reason in its group's ``attrs["failures"]``, and does not stop the rest.

    Examples
    --------
    >>> import torch
    >>> import theodolite as td
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [4.0]])
    >>> objective = td.Objective(torch.nn.Linear(1, 1, bias=False), torch.nn.MSELoss(), (x, y))
    >>> tree = td.survey(objective, measures=["trace"])
    >>> round(float(tree["trace"]["trace"]), 4)  # the mean of (w x - y)^2 has 2 (1 + 4) / 2
    5.0
    """
    if seed < 0:
        raise InvalidArgument(f"seed must be at least 0; got {seed}.", code="E-S14")
    engine = engine_of(n_jobs, backend, threads=threads)
    named = isinstance(target, str) or inspect.isroutine(target)
    name = name_of(target) if named else None
    if engine.farms:
        refuse_unnamed(name, engine.workers)
    configuration = configured(
        measures=measures, preset=preset, settings=settings, seed=seed, limit=limit, target=name
    )
    with torch_threads(engine.threads):
        made = rebuilt(configuration) if name else adjusted(as_target(target), limit=limit)
    place = None if out is None else run_path(out)
    configuration = settled(made, configuration, None if fresh else place)
    total = planned(made, configuration).units
    done: dict[str, int] = {}

    def watch(p: Progress) -> None:
        done[p.group] = p.done
        if progress is not None:
            progress(sum(done.values()), total)

    return conduct(
        made,
        configuration,
        place,
        fresh=fresh,
        time_budget=time_budget,
        watch=watch,
        engine=engine,
    ).tree
