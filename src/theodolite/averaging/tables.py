"""Losses and errors of several networks side by side, with intervals that pair their examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from theodolite import results, seeds
from theodolite.averaging.readings import Reading
from theodolite.connectivity.resampling import resampled

Array = Float64[np.ndarray, "..."]

KINDS = ("", "_change", "_change_best")
"""A number of a network itself, minus the members' mean, and minus the best member's."""

WORDS = {
    "": "{}",
    "_change": "{} minus the mean of the members",
    "_change_best": "{} minus the lowest of the members",
}

SPLITS = {"": "", "validation_": "selection ", "test_": "test "}


def compared(means: Array, shares: Float64[np.ndarray, " member"]) -> Array:
    """`KINDS` of every network, from their means in the last dimension, the members first.

    >>> compared(np.array([1.0, 3.0, 1.5]), np.array([0.5, 0.5])).tolist()
    [1.0, 3.0, 1.5, -1.0, 1.0, -0.5, 0.0, 2.0, 0.5]
    """
    members = means[..., : len(shares)]
    middle, least = (members * shares).sum(-1), members.min(-1)
    made = [means, means - middle[..., None], means - least[..., None]]
    return np.moveaxis(np.concatenate(made, -1), -1, 0)


def table(
    readings: Mapping[str, Reading],
    shares: Float64[np.ndarray, " member"],
    *,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, results.Variable]:
    """`KINDS` of loss and error by network and, of classifiers, how much members disagree."""
    made: dict[str, results.Variable] = {}
    for prefix, found in readings.items():
        passes = [*found.passes, *([] if found.together is None else [found.together])]
        for kind in ("loss", "error"):
            if kind == "error" and passes[0].hits is None:
                continue
            values, weights, scale = curves(passes, kind)
            how: dict[str, Any] = {
                "design": passes[0].design,
                "level": level,
                "resamples": resamples,
                "rng": seeds.numpy_generator(seed, "averaging", prefix, kind),
            }
            extra = found.disagreement if kind == "error" else None
            rows = values if extra is None else np.vstack([values, extra.numpy()])
            made |= _block(f"{prefix}{kind}", rows, weights, scale, shares, extra is not None, how)
    return made


def curves(passes: Sequence[Any], kind: str) -> tuple[Array, Array, float]:
    """Values by network and example, their weights, and a factor."""
    first = passes[0]
    if kind == "loss":
        losses = np.stack([p.losses.double().cpu().numpy() for p in passes])
        return losses, first.weights.double().cpu().numpy(), first.scale
    hits = np.stack([p.hits.double().cpu().numpy() for p in passes])
    return 1.0 - hits, first.hit_weights.double().cpu().numpy(), 1.0


def _block(
    name: str,
    rows: Array,
    weights: Array,
    scale: float,
    shares: Array,
    disagreeing: bool,
    how: dict[str, Any],
) -> dict[str, results.Variable]:
    count = len(rows) - disagreeing

    def measures(means: Array) -> Array:
        own = compared(means[..., :count], shares)
        if not disagreeing:
            return own
        return np.concatenate([own, disagreements(means, shares, count)])

    mean = np.where(weights > 0, rows, 0.0) @ weights / weights.sum()
    numbers = measures(scale * mean)
    low, high = resampled(scale * rows, weights, measures, len(numbers), **how)
    prefix, _, curve = name.rpartition("_")
    split = SPLITS[prefix + "_" if prefix else ""]
    made: dict[str, results.Variable] = {}
    for k, kind in enumerate(KINDS):
        told = WORDS[kind].format(split + curve)
        for end, word, at in ends(numbers, low, high):
            values = at[k * count : (k + 1) * count]
            made[name + kind + end] = (("network",), values, {"long_name": word + told})
    if disagreeing:
        for k, (label, told) in enumerate(DISAGREEMENTS.items()):
            for end, word, at in ends(numbers, low, high):
                value = at[len(KINDS) * count + k]
                full = f"{prefix}_{label}{end}" if prefix else label + end
                made[full] = ((), value, {"long_name": f"{word}{split}{told}"})
    return made


def ends(numbers: Array, low: Array, high: Array) -> tuple[tuple[str, str, Array], ...]:
    """A number and the ends of its interval: what their names and words add."""
    return (
        ("", "", numbers),
        ("_low", "lower end of the ", low),
        ("_high", "upper end of the ", high),
    )


DISAGREEMENTS = {
    "disagreement": "share of examples on which two members differ",
    "normalized_disagreement": "disagreement over the mean share of wrong answers",
}


def disagreements(means: Array, shares: Array, count: int) -> Array:
    """`DISAGREEMENTS`; the second is not defined where nothing is wrong."""
    different, wrong = means[..., count], means[..., : len(shares)].mean(-1)
    nothing = np.full_like(different, np.nan)
    return np.stack([different, np.divide(different, wrong, out=nothing, where=wrong > 0)])
