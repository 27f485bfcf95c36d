"""The demonstration's networks: two residual networks, equal but for their shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from theodolite import datasets, models
from theodolite.objective import Objective
from theodolite.surveys.target import Target
from theodolite.training import Recipe, train

KINDS = {"skip": "With skip connections", "plain": "Without skip connections"}
"""The two networks: the folder's name and the title."""

TITLE = "Residual networks with and without skip connections"


@dataclass(frozen=True)
class Settings:
    """Everything that decides what the demonstration does and how long it takes."""

    depth: int = 44
    width: int = 8
    stem_stride: int = 2
    epochs: int = 8
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    batch_size: int = 64
    train_examples: int | None = None
    limit: int = 128
    preset: str = "quick"
    survey: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "planes": {
                "count": 1,
                "steps": [21, 21],
                "batch_norm": "both",
                "evaluation": "plain",
            },
            "lines": {"count": 4, "steps": 21},
            "spectrum": {"steps": 30, "probes": 2},
            "trace": {"max_products": 32},
            "sharpness": {"steps": 3, "draws": 4, "products": 8, "directions": 3},
        }
    )


SETTINGS = Settings()
"""What ``theodolite demo`` uses: at most six minutes on two cores, training included."""


def recipe(skip: bool, settings: Settings) -> Recipe:
    """How one of the two networks is trained."""
    network = partial(
        models.resnet,
        settings.depth,
        width=settings.width,
        skip=skip,
        stem_stride=settings.stem_stride,
    )
    return Recipe(
        network,
        datasets.fashion_mnist(limit=settings.train_examples),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        warmup=min(1.0, settings.epochs / 2),
    )


def weights_folder(folder: str | Path, kind: str) -> Path:
    """Where the weights of one network lie."""
    return Path(folder) / "weights" / kind


def build(
    kind: str = "skip",
    folder: str = "runs/demo",
    progress: Callable[[int, int], None] | None = None,
) -> Target:
    """One of the demonstration's targets: trained now, or read back where it was trained before."""
    skip, made = kind == "skip", SETTINGS
    chosen = recipe(skip, made)
    trained = train(chosen, progress=progress, checkpoints=weights_folder(folder, kind))
    loss = torch.nn.CrossEntropyLoss()
    return Target(
        Objective(trained.model, loss, chosen.data.train),
        test=Objective(trained.model, loss, chosen.data.test),
        checkpoints=tuple(map(str, trained.checkpoints)),
        recipe=chosen,
        name=KINDS[kind],
        training=trained.history,
    )
