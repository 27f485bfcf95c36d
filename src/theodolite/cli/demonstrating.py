"""The demonstration from training to the page, with one clock over all of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import xarray as xr

from theodolite import models
from theodolite.cli import demonstration, printing, terminal, watching
from theodolite.cli.demonstration import KINDS, Settings, weights_folder
from theodolite.cli.durations import about
from theodolite.cli.failures import FAILED
from theodolite.cli.passes import seconds_a_pass
from theodolite.cli.stopping import terminating
from theodolite.cli.watching import Advance
from theodolite.objective import Objective
from theodolite.reporting import report, write_summary
from theodolite.surveys import surveying
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.execution import Progress
from theodolite.surveys.folder import run_path
from theodolite.surveys.plan import Plan
from theodolite.surveys.target import Target, adjusted

FACTORY = "theodolite.cli.demonstration:build"

STEP = 3.0
"""A step of training costs about as much as so many forward passes over its batch."""


def demonstrated(output: str, *, fresh: bool, dry_run: bool, as_json: bool) -> int:
    """Train, survey and report both networks into one folder."""
    folder, settings = run_path(output), demonstration.SETTINGS
    stages = costs(settings)
    terminal.say(f"Demo     {', then '.join(stages)}; then one page")
    terminal.say(f"Store    {folder}  (resumable)")
    if dry_run:
        terminal.say(f"Cost     {about(seconds(settings, stages))}; nothing was written")
        return 0
    try:
        with terminating(), watching.whole(stages) as advance:
            trees = {
                title: surveyed(folder, kind, settings, fresh, advance)
                for kind, title in KINDS.items()
            }
    except (KeyboardInterrupt, SystemExit):
        terminal.say("Stopped; what was computed is saved. The same command goes on.")
        raise
    page = report(trees, folder / "report.html", title=demonstration.TITLE)
    for title, tree in trees.items():
        terminal.say(f"{title}\n{printing.headline_lines(tree)}")
    failures = "\n".join(filter(None, map(printing.failure_lines, trees.values())))
    if failures:
        terminal.say(failures)
    numbers = {title: json.loads(tree.attrs["headline"]) for title, tree in trees.items()}
    told = json.dumps({"report": str(page), "headline": numbers}, indent=1)
    terminal.result(told if as_json else str(page))
    return FAILED if failures else 0


def surveyed(
    folder: Path, kind: str, settings: Settings, fresh: bool, advance: Advance
) -> xr.DataTree:
    """One network, trained or read back, and its survey, continued where it was left."""
    if fresh:
        forget_weights(folder, kind)
    target = demonstration.build(
        kind, str(folder), progress=lambda done, total: advance(f"train {kind}", done / total)
    )
    advance(f"train {kind}", 1.0)
    chosen = configuration(folder, kind, settings)
    ready = adjusted(target, limit=settings.limit)
    total = surveying.planned(ready, chosen).passes

    def watch(state: Progress) -> None:
        advance(f"survey {kind}", 1.0 - state.passes_left / total)

    finished = surveying.conduct(
        ready,
        chosen,
        folder / kind,
        fresh=fresh,
        watch=watch,
        command=["theodolite", *sys.argv[1:]],
    )
    write_summary(finished.tree, folder / kind / "summary.json")
    return finished.tree


def configuration(folder: Path, kind: str, settings: Settings) -> Configuration:
    """The survey of one network, as ``theodolite resume`` can repeat it."""
    return surveying.configured(
        preset=settings.preset,
        settings=settings.survey,
        limit=settings.limit,
        target=FACTORY,
        arguments={"kind": kind, "folder": str(folder.resolve())},
    )


def plan_of(settings: Settings) -> tuple[Target, Plan]:
    """An untrained network of the same size, on random pictures, and the plan of its survey."""
    network = models.resnet(settings.depth, width=settings.width, stem_stride=settings.stem_stride)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(settings.limit, 1, 28, 28, generator=generator)
    y = torch.arange(settings.limit) % 10
    objective = Objective(network, torch.nn.CrossEntropyLoss(), (x, y))
    saved = tuple(f"epoch_{k:04d}.safetensors" for k in range(settings.epochs + 1))
    target = Target(objective, test=objective, checkpoints=saved)
    return target, surveying.planned(target, configuration(Path("."), "skip", settings))


def costs(settings: Settings) -> dict[str, float]:
    """Every stage and its cost, in forward passes over one example."""
    split = demonstration.recipe(True, settings).data
    training = settings.epochs * (STEP * split.sizes["train"] + sum(split.sizes.values()))
    survey = plan_of(settings)[1].passes * settings.limit
    return {
        f"{what} {kind}": cost
        for kind in KINDS
        for what, cost in (("train", training), ("survey", survey))
    }


def seconds(settings: Settings, stages: dict[str, float]) -> float:
    """What all stages take, from the time of one forward pass on this machine."""
    return sum(stages.values()) / settings.limit * seconds_a_pass(plan_of(settings)[0])


def forget_weights(folder: Path, kind: str) -> None:
    """Remove what an earlier training left."""
    place = weights_folder(folder, kind)
    for pattern in ("recipe.json", "state.pt", "epoch_*.safetensors"):
        for path in place.glob(pattern):
            path.unlink()
