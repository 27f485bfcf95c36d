"""How high a path lies above its ends: the measures, and intervals over examples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64

from theodolite import results, seeds
from theodolite.connectivity.resampling import resampled
from theodolite.connectivity.segments import Along
from theodolite.objective.evaluation import Pass

MEASURES = {
    "barrier": "largest rise of the {} above the chord between the ends",
    "instability": "largest {} minus the mean of the ends",
    "saddle_excess": "largest {} minus the larger of the ends",
    "area": "integral over the path of the {} minus the chord",
}
"""What `heights` holds, in its order."""

Array = Float64[np.ndarray, "..."]


def heights(means: Array, alphas: Array) -> Float64[np.ndarray, "measure ..."]:
    r"""Barrier, instability, saddle excess and area of curves; places in the last dimension.

    >>> heights(np.array([0.0, 3.0, 2.0]), np.array([0.0, 0.5, 1.0])).tolist()
    [2.0, 2.0, 1.0, 1.0]
    """
    first, last = means[..., :1], means[..., -1:]
    rise = means - ((1 - alphas) * first + alphas * last)
    rise[..., 0] = rise[..., -1] = 0.0
    top = means.max(-1)
    ends = means[..., [0, -1]]
    area = np.trapezoid(rise, alphas, axis=-1)
    return np.stack([rise.max(-1), top - ends.mean(-1), top - ends.max(-1), area])


def intervals(
    values: Float64[np.ndarray, "alpha example"],
    weights: Float64[np.ndarray, " example"],
    alphas: Float64[np.ndarray, " alpha"],
    **how: Any,
) -> tuple[Array, Array]:
    """The ends of the intervals of `heights`, examples resampled with all their places."""
    return resampled(values, weights, partial(heights, alphas=alphas), len(MEASURES), **how)


def measured(
    path: Along, *, level: float, resamples: int, seed: int
) -> dict[str, results.Variable]:
    """`MEASURES` of the loss and, with class labels, of the error, with ends of intervals."""
    made: dict[str, results.Variable] = {}
    for prefix, passes in path.passes.items():
        split = "test " if prefix else ""
        for kind, (values, weights, scale) in _curves(passes).items():
            rng = seeds.numpy_generator(seed, "barrier", prefix, kind)
            total = weights.sum()
            means = scale * (np.where(weights > 0, values, 0.0) @ weights) / total
            finite = bool(np.isfinite(means).all())
            nothing = np.full(len(MEASURES), np.nan)
            numbers = heights(means, path.alphas) if finite else nothing
            low, high = intervals(
                scale * values,
                weights,
                path.alphas,
                design=passes[0].design,
                level=level,
                resamples=resamples,
                rng=rng,
            )
            name = prefix + ("" if kind == "loss" else "error_")
            made |= _variables(name, f"{split}{kind}", numbers, low, high)
    return made


def saddle_losses(
    path: Along, *, level: float, resamples: int, seed: int
) -> dict[str, results.Variable]:
    """The largest loss on a path, with ends of intervals, examples resampled with all places."""
    made: dict[str, results.Variable] = {}
    for prefix, passes in path.passes.items():
        values, weights, scale = _curves(passes)["loss"]
        means = path.losses(prefix)
        top = float(means.max()) if np.isfinite(means).all() else np.nan
        low, high = resampled(
            scale * values,
            weights,
            _largest,
            1,
            design=passes[0].design,
            level=level,
            resamples=resamples,
            rng=seeds.numpy_generator(seed, "saddle", prefix),
        )
        told = f"largest {'test ' if prefix else ''}loss on the path"
        for end, word, value in (
            ("", "", top),
            ("_low", "lower", low[0]),
            ("_high", "upper", high[0]),
        ):
            long_name = f"{word} end of the {told}" if word else told
            made[f"{prefix}saddle_loss{end}"] = ((), value, {"long_name": long_name})
    return made


def _largest(means: Array) -> Float64[np.ndarray, "1 ..."]:
    made: Array = means.max(-1)[None]
    return made


def _curves(passes: tuple[Pass, ...]) -> Mapping[str, tuple[Array, Array, float]]:
    """Values by place and example, their weights and a factor: of the loss, and of the error."""
    first = passes[0]
    losses = np.stack([one.losses.double().cpu().numpy() for one in passes])
    made = {"loss": (losses, first.weights.double().cpu().numpy(), first.scale)}
    if first.hits is not None and first.hit_weights is not None:
        hits = [one.hits.double().cpu().numpy() for one in passes if one.hits is not None]
        made["error"] = 1.0 - np.stack(hits), first.hit_weights.double().cpu().numpy(), 1.0
    return made


def _variables(
    prefix: str, curve: str, numbers: Array, low: Array, high: Array
) -> dict[str, results.Variable]:
    made: dict[str, results.Variable] = {}
    for k, (name, words) in enumerate(MEASURES.items()):
        told = words.format(curve)
        made[prefix + name] = ((), numbers[k], {"long_name": told})
        made[f"{prefix}{name}_low"] = ((), low[k], {"long_name": f"lower end of the {told}"})
        made[f"{prefix}{name}_high"] = ((), high[k], {"long_name": f"upper end of the {told}"})
    return made
