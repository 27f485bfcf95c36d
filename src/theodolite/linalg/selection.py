"""Which end of a spectrum is wanted, and what would disprove that all of it was found."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int

from theodolite.errors import InvalidArgument

Which = Literal["largest", "smallest", "both", "magnitude"]
"""Algebraically largest, smallest, half from each end (one more above), or largest in size."""


def require_which(which: str) -> None:
    if which not in get_args(Which):
        allowed = ", ".join(map(repr, get_args(Which)))
        raise InvalidArgument(f"which must be one of {allowed}; got {which!r}.", code="E-L11")


def preference(values: Float64[np.ndarray, " k"], which: str) -> Int[np.ndarray, " k"]:
    """Indices of `values` from the most to the least wanted.

    >>> preference(np.array([3.0, -4.0, 1.0]), "magnitude").tolist()
    [1, 0, 2]
    >>> preference(np.array([3.0, -4.0, 1.0]), "both").tolist()
    [0, 1, 2]
    """
    up = np.argsort(values, kind="stable")
    if which == "largest":
        return up[::-1].copy()
    if which == "smallest":
        return up
    if which == "magnitude":
        return np.argsort(-np.abs(values), kind="stable")
    ends = np.empty_like(up)
    ends[0::2] = up[::-1][: (len(up) + 1) // 2]
    ends[1::2] = up[: len(up) // 2]
    return ends


def thresholds(wanted: Float64[np.ndarray, " count"], which: str) -> tuple[float, float]:
    """``(low, high)``: an eigenvalue outside, if missed, would change the `wanted` ones.

    `wanted` are in the order of `preference`. An end that was not asked for is infinite.

    >>> thresholds(np.array([5.0, 2.0]), "largest")
    (-inf, 2.0)
    """
    if which == "largest":
        return -np.inf, float(wanted.min())
    if which == "smallest":
        return float(wanted.max()), np.inf
    if which == "magnitude":
        edge = float(np.abs(wanted).min())
        return -edge, edge
    low = float(wanted[1::2].max()) if len(wanted) > 1 else -np.inf
    return low, float(wanted[0::2].min())
