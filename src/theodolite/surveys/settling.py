"""Settings that are found by trying, settled once before a survey begins and then part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from theodolite.directions import random_directions
from theodolite.seeds import child_seed
from theodolite.surfaces.evaluating import fastest, start_of
from theodolite.surfaces.slices import grid
from theodolite.surveys.configuration import Configuration, read_toml
from theodolite.surveys.measures.planes import groups
from theodolite.surveys.plan import Trial
from theodolite.surveys.tables import table_of
from theodolite.surveys.target import Target

AUTO, PLAIN = "auto", "plain"


def settled(
    target: Target,
    configuration: Configuration,
    path: Path | None = None,
    *,
    alone: bool = True,
    trying: bool = True,
) -> Configuration:
    """The configuration with the evaluation of planes named, where it said "auto".

    A run that is continued keeps the evaluation it began with: it is read from the folder at
    `path`. A process that is not `alone` (a shard, which must compute the bits the others compute
    without asking them) evaluates plainly. Otherwise the candidates are timed on this target, or,
    unless ``trying``, left for later. Other measures settle their own (`Measure.settle`).
    """
    configuration = _by_measure(target, configuration, path, alone, trying)
    planes = configuration.settings.get("planes")
    if planes is None or planes.get("evaluation") != AUTO:
        return configuration
    name = _kept(path, "planes").get("evaluation")
    if name == AUTO or (name is None and not trying):
        return configuration
    name = name or (found(target, planes, configuration.seed) if alone else PLAIN)
    changed = {**configuration.settings, "planes": {**planes, "evaluation": name}}
    return replace(configuration, settings=changed)


def found(target: Target, planes: Mapping[str, Any], seed: int) -> str:
    """The planner's choice for the first plane's grid and all planes' passes, by name."""
    objective = target.objective
    passes = sum((g.units * g.passes for g in groups(target, planes, seed)), 0.0)
    own = child_seed(seed, "plane", 0)
    directions = random_directions(objective, normalize=None, seed=own)
    scale = objective.start.double().norm() / directions.double().norm(dim=1, keepdim=True)
    alphas, betas = grid(planes["span"], planes["steps"])
    start = start_of(objective, objective.start)
    along = (directions * scale.to(directions)).to(start)
    return fastest(objective, start, along, alphas, betas, passes).name


def _by_measure(
    target: Target, configuration: Configuration, path: Path | None, alone: bool, trying: bool
) -> Configuration:
    """The configuration with what its measures find on the target themselves."""
    table = table_of(configuration.measures)
    changed = dict(configuration.settings)
    for name in configuration.measures:
        settle = table[name].settle if name in table else None
        if settle is not None:
            trial = Trial(_kept(path, name), alone, trying)
            changed[name] = settle(target, changed[name], configuration.seed, trial)
    return replace(configuration, settings=changed)


def _kept(path: Path | None, measure: str) -> Mapping[str, Any]:
    """What the run in a folder settled on for a measure, if there is one."""
    file = None if path is None else path / "config.toml"
    if file is None or not file.exists():
        return {}
    found: Mapping[str, Any] = read_toml(file).get("settings", {}).get(measure, {})
    return found
