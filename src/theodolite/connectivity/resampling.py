"""Intervals over examples of functions of weighted means, by the bootstrap."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import DegenerateDataWarning, bootstrap

from theodolite.objective.stratification import Design

BATCH = 1 << 23
"""Numbers of one array while resampling."""

Array = Float64[np.ndarray, "..."]


def resampled(
    values: Float64[np.ndarray, "row example"],
    weights: Float64[np.ndarray, " example"],
    function: Callable[[Array], Array],
    measures: int,
    *,
    design: Design | None,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """The ends of percentile intervals of `measures` functions of the mean of every row.

    ``function`` maps means, rows in the last dimension, to its measures in the first. An example
    is drawn with all its rows. A sample by strata is resampled stratum by stratum, and where it
    is a share of a finite population, deviations are scaled by
    ``sqrt(n / (n - 1) * (1 - n / N))`` (Rao, Wu 1988). NaN with fewer than two examples that
    count or fewer than two resamples, where a value is not finite, and for a measure that a
    resample leaves undefined.
    """
    used = weights > 0
    values, weights = values[:, used], weights[used]
    count = len(weights)
    if count < 2 or resamples < 2 or not np.isfinite(values).all():
        nothing = np.full(measures, np.nan)
        return nothing, nothing.copy()
    middle = values @ weights / weights.sum()
    left = 1.0 if design is None else 1 - len(design.stratum) / design.population
    scale = math.sqrt(count / (count - 1) * left)

    def statistic(*chosen: Any, axis: int = -1) -> Array:
        picked = np.concatenate(chosen, axis=-1)
        times = _times(picked.reshape(-1, picked.shape[-1]), count) * weights
        means = times @ values.T / times.sum(1, keepdims=True)
        made = function(middle + scale * (means - middle))
        return made.reshape(len(made), *picked.shape[:-1])

    with warnings.catch_warnings():
        # a measure that some resamples leave undefined has no interval: NaN says so
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            _strata(used, design),
            statistic,
            n_resamples=resamples,
            batch=max(1, BATCH // count),
            vectorized=True,
            axis=-1,
            confidence_level=level,
            method="percentile",
            random_state=rng,
        ).confidence_interval
    return np.asarray(found.low), np.asarray(found.high)


def _times(picked: Any, count: int) -> Int64[np.ndarray, "resample example"]:
    """How often each example is in each resample."""
    rows = np.arange(len(picked))[:, None] * count
    times = np.bincount((picked + rows).ravel(), minlength=len(picked) * count)
    return times.reshape(len(picked), count)


def _strata(used: Any, design: Design | None) -> tuple[Any, ...]:
    """The numbers of the examples that count, by stratum; strata of one are put together."""
    count = int(used.sum())
    if design is None or len(design.stratum) != len(used):
        return (np.arange(count),)
    stratum = design.stratum[used]
    parts = [np.flatnonzero(stratum == k) for k in np.unique(stratum)]
    large = [p for p in parts if len(p) > 1]
    small = [p for p in parts if len(p) == 1]
    if len(small) == 1 and large:
        large[0] = np.concatenate([large[0], small[0]])
    elif small:
        large.append(np.concatenate(small))
    return tuple(large)
