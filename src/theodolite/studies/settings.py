"""Settings that all studies share: how long, to which loss, from where; checked and settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from theodolite.errors import InvalidArgument
from theodolite.studies.recipes import STARTS
from theodolite.surveys.measures.settings import FIX, count_of, share_of
from theodolite.training import Recipe

BUDGETS = ("updates", "epochs")

PATIENCE = 10
"""Where trainings stop at a loss, they may take so many times as long as the recipe does."""

SHARED: Mapping[str, Any] = {
    "budget": "updates",
    "length": None,
    "stop_loss": "auto",
    "check": 10,
    "start": "own",
    "products": 64,
    "tolerance": 0.05,
    "recipe": "",
}
"""What every study has; ``recipe`` is settled and says whose trainings they are."""


def check_shared(settings: Mapping[str, Any], measure: str) -> None:
    """Raise `InvalidArgument` for a shared setting out of its range (E-U13, E-S07)."""
    count_of(settings, measure, "seeds")
    count_of(settings, measure, "check")
    count_of(settings, measure, "products", 32)
    share_of(settings, measure, "tolerance")
    if settings.get("length") is not None:
        count_of(settings, measure, "length")
    one_of(settings, measure, "budget", BUDGETS)
    one_of(settings, measure, "start", STARTS)
    loss = settings["stop_loss"]
    if loss not in ("auto", "none") and not _positive(loss):
        raise wrong(measure, "stop_loss", 'a number above 0, "auto" or "none"', loss)


def one_of(settings: Mapping[str, Any], measure: str, name: str, allowed: Sequence[str]) -> None:
    """Raise unless a setting is one of a few words."""
    if settings[name] not in allowed:
        raise wrong(measure, name, f"one of {', '.join(allowed)}", settings[name])


def wrong(measure: str, name: str, allowed: str, got: Any) -> InvalidArgument:
    """The error of a setting that is none of what is allowed."""
    return InvalidArgument(
        f"{name} of {measure} must be {allowed}; got {got!r}.", fix=FIX, code="E-U13"
    )


def rates_of(settings: Mapping[str, Any], measure: str, values: Any) -> list[float]:
    """Learning rates in ascending order, each once."""
    listed = list(values) if isinstance(values, list | tuple) else [values]
    if not listed or not all(_positive(v) for v in listed):
        raise wrong(measure, "rates", "one or more numbers above 0", values)
    return sorted({float(v) for v in listed})


def length_of(settings: Mapping[str, Any], recipe: Recipe) -> int:
    """The budget of every training: as given, or as long as the recipe, or ten times that."""
    if settings.get("length") is not None:
        return int(settings["length"])
    own = recipe.epochs * (recipe.steps_per_epoch if settings["budget"] == "updates" else 1)
    return max(1, own * (1 if settings["stop_loss"] == "none" else PATIENCE))


def expected(settings: Mapping[str, Any], updates: int) -> float:
    """How many updates of a budget a plan counts: all, or where trainings stop at a loss a tenth.

    >>> expected({"stop_loss": "none"}, 100), expected({"stop_loss": 0.1}, 100)
    (100.0, 10.0)
    """
    return updates * (1.0 if settings["stop_loss"] == "none" else 1 / PATIENCE)


def stop_loss_of(settings: Mapping[str, Any]) -> float | None:
    """The loss at which trainings stop, None where they run to the end of their budget."""
    loss = settings["stop_loss"]
    return None if loss in ("none", "auto") else float(loss)


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < float("inf")
