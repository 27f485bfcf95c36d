"""The settings of the sharpness measure: what they are by default, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from theodolite.errors import InvalidArgument
from theodolite.surveys.measures.settings import FIX, count_of

POSITIVE = ("rho", "adaptive_rho", "sigma", "adaptive_sigma", "epsilon")
NOT_NEGATIVE = ("eta0", "loss_rise", "pac_epsilon", "learning_rate")
COUNTS = {
    "steps": 2,
    "restarts": 1,
    "draws": 2,
    "products": 2,
    "directions": 1,
    "batch_size": 1,
    "layers": 1,
    "pac_draws": 2,
    "subspace": 0,
    "valleys": 0,
    "valley_top": 0,
    "valley_steps": 5,
}
"""The least of every count."""

CHOICES = {
    "definitions": ("basic", "all"),
    "p": ("2", "inf"),
    "by": ("element", "filter"),
    "matrix": ("fisher", "ggn", "empirical"),
    "along": ("random", "top", "gradient"),
}


def settings(steps: int, draws: int, products: int, directions: int) -> dict[str, Any]:
    """Complete settings: the eight basic definitions and no valleys."""
    return {
        "definitions": "basic",
        "rho": 0.05,
        "adaptive_rho": 0.5,
        "p": "2",
        "by": "element",
        "eta0": 0.0,
        "restarts": 1,
        "batch_size": 32,
        "sigma": 0.01,
        "adaptive_sigma": 0.1,
        "epsilon": 1e-3,
        "subspace": 0,
        "steps": steps,
        "draws": draws,
        "products": products,
        "layers": 1,
        "matrix": "fisher",
        "error_rise": 0.1,
        "loss_rise": 0.0,
        "pac_epsilon": 1e-3,
        "pac_draws": 8,
        "origin": "",
        "learning_rate": 0.0,
        "momentum": 0.9,
        "directions": directions,
        "along": "random",
        "factor": 5.0,
        "valleys": 0,
        "valley_top": 0,
        "valley_steps": 21,
    }


def checked(settings: Mapping[str, Any]) -> None:
    """Raise `InvalidArgument` for the first setting that is out of range, by name."""
    for name, least in COUNTS.items():
        count_of(settings, "sharpness", name, least)
    for name in POSITIVE:
        _number(settings, name, "a positive number", lambda v: v > 0)
    for name in NOT_NEGATIVE:
        _number(settings, name, "0 or a positive number", lambda v: v >= 0)
    _number(settings, "error_rise", "a number above 0 and below 1", lambda v: 0 < v < 1)
    _number(settings, "momentum", "at least 0 and below 1", lambda v: 0 <= v < 1)
    factor_of(settings)
    if not isinstance(settings["origin"], str):
        raise InvalidArgument(
            "origin of sharpness must be the path of a file of weights, or empty; "
            f"got {settings['origin']!r}.",
            code="E-S07",
        )
    for name, allowed in CHOICES.items():
        if str(settings[name]) not in allowed:
            raise InvalidArgument(
                f"{name} of sharpness must be one of {', '.join(allowed)}; got {settings[name]!r}.",
                fix=FIX,
                code="E-S07",
            )


def _number(settings: Mapping[str, Any], name: str, what: str, fits: Any) -> None:
    value = settings[name]
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not np.isfinite(value) or not fits(value):
        raise InvalidArgument(
            f"{name} of sharpness must be {what}; got {value!r}.", fix=FIX, code="E-S07"
        )


def factor_of(settings: Mapping[str, Any]) -> float:
    """By how much a layer is rescaled; 0 for not at all."""
    value = settings["factor"]
    wrong = isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value == 1
    if wrong or not np.isfinite(value):
        raise InvalidArgument(
            f"factor of sharpness must be positive and not 1, or 0 for none; got {value!r}.",
            fix=FIX,
            code="E-S07",
        )
    return float(value)
