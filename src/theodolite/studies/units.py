"""A study as a group of units: each trains its networks, measures them, and is one chunk."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.studies.layouts import Layout
from theodolite.studies.names import COMPARED_WORDS, WORDS
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.target import Target

Rows = Callable[[Target, int], Sequence[Mapping[str, float]]]
"""Trains and measures the members of a unit: one row of numbers each."""


def study_group(
    measure: str,
    name: str,
    layout: Layout,
    rows: Rows,
    facts: Callable[[Target], Mapping[str, Any]],
    *,
    words: Mapping[str, str] | None = None,
    passes: float = 1.0,
) -> Group:
    """The group called `name`; ``words`` are long names of what `rows` gives beside the usual."""
    named = {**WORDS, **(words or {})}

    def opened(target: Target) -> Unit:
        known = {**facts(target), "axes": json.dumps({k: list(v) for k, v in layout.axes.items()})}

        def unit(number: int) -> xr.Dataset:
            return _slice(name, rows(target, number), named, known)

        return unit

    return Group(name, measure, opened, layout.units, "unit", passes=passes)


def _slice(
    name: str,
    rows: Sequence[Mapping[str, float]],
    words: Mapping[str, str],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    """One unit's numbers over (unit, member)."""
    dims = ("unit", "member")

    def column(key: str) -> np.ndarray:
        return np.array([[row[key] for row in rows]])

    variables: dict[str, results.Variable] = {
        key: (dims, column(key).astype(np.float64), {"long_name": text})
        for key, text in words.items()
    }
    marks = column("compared").astype(np.uint8)
    variables["compared"] = (dims, marks, {"long_name": COMPARED_WORDS})
    variables["status"] = results.status_variable(dims, column("status"))
    return results.dataset(name, variables, **facts)
