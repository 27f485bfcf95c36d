"""Whether points lie in one basin: the barriers between them, and the refusal to cross one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.connectivity.relations import idle_loss
from theodolite.errors import InvalidArgument
from theodolite.intervals.verdicts import threshold_of
from theodolite.objective import Objective

ROUNDING = 1e-9
"""Barriers below this share of the losses are rounding."""

KEPT = ("barrier", "barrier_low", "barrier_high", "error_barrier", "distance")
"""What a result keeps of the barrier matrix."""


def limit_of(objective: Objective, threshold: Any, losses: Sequence[float]) -> tuple[float, str]:
    """The largest barrier within a basin, and where it comes from; by default that of `relation`.

    Two percent of what the worst member has learned over the network with all weights zero, but
    no less than what is rounding. One pass.
    """
    if threshold is not None:
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not threshold >= 0:
            raise InvalidArgument(
                f"threshold must be a number, 0 or more, in units of the loss; got {threshold!r}.",
                code="E-A81",
            )
    limit, source = threshold_of(losses, idle_loss(objective), threshold)
    least = ROUNDING * max(abs(x) for x in losses) if threshold is None else 0.0
    return max(limit, least), source


def end_losses(matrix: xr.Dataset) -> list[float]:
    """The losses of the points themselves."""
    losses = matrix["loss"].values
    return [float(losses[k, k, 0]) for k in range(len(losses))]


def across(matrix: xr.Dataset, limit: float) -> list[tuple[int, int]]:
    """The pairs with a barrier above `limit`, or one that is not finite, highest first."""
    values = matrix["barrier"].values
    pairs = [p for p in combinations(range(len(values)), 2) if not values[p] <= limit]
    return sorted(pairs, key=lambda p: -np.nan_to_num(values[p], nan=np.inf))


def refuse_across(matrix: xr.Dataset, limit: float, source: str, *, aligned: bool) -> None:
    """Raise where two of the points are parted by a barrier, naming the pairs and the way out."""
    pairs = across(matrix, limit)
    if not pairs:
        return
    every = len(matrix["first"]) * (len(matrix["first"]) - 1) // 2
    told = "; ".join(pair_words(matrix, p) for p in pairs[:3])
    more = f"; and {len(pairs) - 3} more" if len(pairs) > 3 else ""
    still = "still, with their units aligned," if aligned else "in different basins:"
    raise InvalidArgument(
        f"{len(pairs)} of {every} pairs lie {still} "
        + ("across a barrier: " if aligned else "")
        + f"{told}{more}. The most allowed is {limit:.3g} ({source}).",
        where="averaging",
        why=midpoint_words(matrix, pairs[0]),
        fix=(
            "average their answers instead: td.ensemble"
            if aligned
            else 'permute the units first with align="weights", or average the answers instead: '
            "td.ensemble"
        )
        + "; threshold= sets another limit.",
        code="E-A85",
    )


def pair_words(matrix: xr.Dataset, pair: tuple[int, int]) -> str:
    """A pair with its barrier and interval."""
    cell = matrix.isel(first=pair[0], second=pair[1])
    named = f"{cell['first'].item()} and {cell['second'].item()}"
    value, low, high = (float(cell["barrier" + end]) for end in ("", "_low", "_high"))
    if not math.isfinite(value):
        return f"{named} (the loss between them is not finite)"
    around = f", {low:.3g} to {high:.3g}" if math.isfinite(low) else ""
    return f"{named} (barrier {value:.3g}{around})"


def midpoint_words(matrix: xr.Dataset, pair: tuple[int, int]) -> str:
    """What the average of a pair would cost."""
    curve = matrix["loss"].values[pair]
    middle, worse = curve[len(curve) // 2], max(curve[0], curve[-1])
    first, second = (str(matrix[d].values[k]) for d, k in zip(("first", "second"), pair))  # noqa: B905
    return (
        f"an average lies on the barrier: half way between {first} and {second} the loss is "
        f"{middle:.3g}, at the worse of them {worse:.3g}."
    )


def barriers(matrix: xr.Dataset, prefix: str = "") -> dict[str, results.Variable]:
    """The matrices as variables of another result."""
    kept = [n for n in KEPT if n in matrix]
    words = "with units aligned, " if prefix else ""
    return {
        prefix + n: (
            ("first", "second"),
            matrix[n].values,
            {"long_name": words + str(matrix[n].attrs["long_name"])},
        )
        for n in kept
    }
