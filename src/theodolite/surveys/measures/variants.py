"""The targets a surface is measured on: as given, and with BatchNorm statistics recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from theodolite.errors import InvalidArgument
from theodolite.objective.statistics import batch_norm_layers
from theodolite.surveys.target import Target

CHOICES, RECOMPUTED = ("both", "given"), "_recomputed"


def variants(target: Target, settings: Mapping[str, Any]) -> tuple[tuple[str, Target], ...]:
    """The target under the name "", and its variant named "_recomputed" where there is one.

    There is one when ``settings["batch_norm"]`` is "both" (it is "given" by default), the model
    has BatchNorm layers with running statistics, and the target is evaluated with frozen ones. The
    variant shares model, data and tensors with the target; training and test objective recompute
    each from its own data. Making it costs up to four passes over each.

    Raises `InvalidArgument` for any other setting (E-B01).
    """
    if len(variant_names(target, settings)) == 1:
        return (("", target),)
    own, test = target.objective, target.test
    recomputed = replace(
        target,
        objective=own.with_batch_norm("recompute"),
        test=None if test is None else test.with_batch_norm("recompute"),
    )
    return (("", target), (RECOMPUTED, recomputed))


def variant_names(target: Target, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that `variants` gives, without computing anything: for a plan.

    Raises `InvalidArgument` for a setting other than "both" and "given" (E-B01).
    """
    choice = settings.get("batch_norm", "given")
    if choice not in CHOICES:
        raise InvalidArgument(
            f"batch_norm must be one of {', '.join(CHOICES)}; got {choice!r}.",
            fix='use "both" for a second surface with recomputed statistics.',
            code="E-B01",
        )
    own = target.objective
    frozen = own.batch_norm == "frozen" and own.mode == "eval"
    both = choice == "both" and frozen and bool(batch_norm_layers(own.model))
    return ("", RECOMPUTED) if both else ("",)
