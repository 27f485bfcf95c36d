"""The settings of the noise measure: what they are by default, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from theodolite.errors import InvalidArgument
from theodolite.noise.arguments import unseen
from theodolite.surveys.measures.settings import count_of, flag_of, share_of
from theodolite.surveys.target import Target

FLAGS = ("curvature", "layers", "diversity")
SHARES = ("level", "tolerance", "waste")
COUNTS = {"products": 32, "looked": 8, "eigenvalues": 0, "tails": 0, "batch_size": 0}
"""The least of every count."""

FEWEST = 8
"""Probes that a ratio's error needs."""


def settings(products: int, probes: int) -> dict[str, Any]:
    """Complete settings: the simple scale and its share in every layer."""
    return {
        "curvature": False,
        "population": "auto",
        "level": 0.95,
        "tolerance": 0.05,
        "products": products,
        "looked": 24,
        "layers": True,
        "diversity": False,
        "eigenvalues": 0,
        "probes": 0,
        "tails": 0,
        "batch_size": 0,
        "learning_rate": 0.0,
        "momentum": 0.0,
        "waste": 0.1,
    }


def checked(settings: Mapping[str, Any], target: Target) -> None:
    """Raise `InvalidArgument` for the first setting that is out of range, by name."""
    for name in FLAGS:
        flag_of(settings, "noise", name)
    for name in SHARES:
        share_of(settings, "noise", name)
    for name, least in COUNTS.items():
        count_of(settings, "noise", name, least)
    if 0 < count_of(settings, "noise", "probes", 0) < FEWEST:
        raise InvalidArgument(
            f"probes of noise must be 0 for none, or at least {FEWEST}; got {settings['probes']}.",
            code="E-S07",
        )
    _number(settings, "learning_rate", "0 for none, or a positive number", lambda v: v >= 0)
    _number(settings, "momentum", "at least 0 and below 1", lambda v: 0 <= v < 1)
    if settings["learning_rate"] and not settings["batch_size"]:
        raise InvalidArgument(
            "learning_rate of noise needs a batch_size: temperatures are of both.",
            fix="state the batch size as well, or no learning rate.",
            code="E-Y20",
        )
    population = population_of(settings, target)
    most = population if isinstance(population, int) else target.objective.examples
    if population != "distribution" and settings["batch_size"] > most:
        raise InvalidArgument(
            f"batch_size of noise must be at most the {most:,} examples that batches are drawn "
            f"from; got {settings['batch_size']:,}.",
            fix='for a stream of examples say population = "distribution".',
            code="E-Y21",
        )


def population_of(settings: Mapping[str, Any], target: Target) -> str | int:
    """Whose gradient is meant: with "auto" that of all the examples a sample was drawn from."""
    population = settings["population"]
    if population == "auto":
        population = target.examples_available or "data"
    unseen(population, target.objective.examples)
    made: str | int = population
    return made


def _number(settings: Mapping[str, Any], name: str, what: str, fits: Any) -> None:
    value = settings[name]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not np.isfinite(value) or not fits(value):
        raise InvalidArgument(f"{name} of noise must be {what}; got {value!r}.", code="E-S07")
