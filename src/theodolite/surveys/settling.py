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
    unless ``trying``, left for later.
    """
    planes = configuration.settings.get("planes")
    if planes is None or planes.get("evaluation") != AUTO:
        return configuration
    name = _kept(path)
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


def _kept(path: Path | None) -> str | None:
    """What the run in a folder settled on, if there is one."""
    file = None if path is None else path / "config.toml"
    if file is None or not file.exists():
        return None
    name = read_toml(file).get("settings", {}).get("planes", {}).get("evaluation")
    return name if isinstance(name, str) else None
