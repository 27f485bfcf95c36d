"""The tables of the sharpness, noise and saddles sections as plain values, for programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from theodolite.plots import trust_radius
from theodolite.reporting.averages_values import average_record
from theodolite.reporting.connection_graph import graph_record
from theodolite.reporting.connectivity_values import barrier_records, connection_records
from theodolite.reporting.contents import Contents
from theodolite.reporting.definitions import definition_of
from theodolite.reporting.edge_words import edge_record
from theodolite.reporting.noise_values import noise_record
from theodolite.reporting.rescaling import changes
from theodolite.reporting.study_records import study_records

VALLEY = ("train_minimum", "test_minimum", "shift", "gap", "excess", "predicted_excess")


def records_of(contents: Contents) -> dict[str, Any]:
    """What a survey measured of sharpness, noise and saddles; without keys for what it did not."""
    found: dict[str, Any] = {}
    parts: tuple[tuple[str, Any, Any], ...] = (
        ("sharpness", contents.sharpness, _measures),
        ("rises", contents.rises, _rises),
        ("valleys", contents.valleys, _valleys),
        ("critical_point", contents.critical, _critical),
    )
    for name, part, written in parts:
        if part is not None:
            found[name] = written(part)
    noise = noise_record(contents)
    if noise is not None:
        found["noise"] = noise
    if contents.barriers:
        found["connectivity"] = barrier_records(contents)
    if contents.averages is not None:
        found["averages"] = average_record(contents.averages)
    if contents.connections.found:
        found["connections"] = connection_records(contents)
    if contents.connections.graph is not None:
        found["minima_graph"] = graph_record(contents.connections.graph)
    if contents.edge is not None:
        found["edge_of_stability"] = edge_record(contents.edge)
    studies = study_records(contents)
    if studies is not None:
        found["studies"] = studies
    if contents.escapes:
        found["escape"] = [_escape(e) for e in contents.escapes]
    return found


def _measures(found: xr.Dataset) -> dict[str, Any]:
    ratios = changes(found)
    rows = []
    for k, name in enumerate(str(n) for n in found["measure"].values):
        at, what = found.isel(measure=k), definition_of(name)
        numbers = {n: _finite(at[n]) for n in ("value", "error", "low", "high") if n in at}
        unseen = str(at["invariant_under"].values)
        rows.append(
            {
                "measure": name,
                "name": what.name,
                **numbers,
                "kind": str(at["kind"].values),
                "setting": str(at["setting"].values),
                "rescaled_value": _finite(at["rescaled_value"]),
                "rescaled_ratio": _finite(ratios[name]),
                "invariant_under": unseen.split("; ") if unseen else [],
                "formula": what.formula,
                "source": what.source,
            }
        )
    notes = {n: found.attrs.get(n, "") for n in ("not_rescaled", "no_valleys")}
    left = found.attrs.get("left_out", "[]")
    return {"measures": rows, **notes, "left_out": [] if isinstance(left, str) else list(left)}


def _rises(found: xr.Dataset) -> dict[str, Any]:
    names = ("measured", "predicted", "relative_error")
    values = {n: _listed(found[n].values) for n in names if n in found}
    return {
        "directions": str(found.attrs.get("directions", "")),
        "trust_radius": _finite(trust_radius(found)),
        "radius": _listed(found["radius"].values),
        **values,
    }


def _valleys(found: xr.Dataset) -> list[dict[str, Any]]:
    """Minima and shifts are in lengths of the line; ``length`` is the Euclidean one."""
    rows = []
    for k in range(found.sizes["direction"]):
        at = found.isel(direction=k)
        pairs = [n for name in VALLEY for n in (name, f"{name}_error")]
        rows.append(
            {
                "line": str(at["name"].values),
                "length": _finite(at["length"]),
                **{n: _finite(at[n]) for n in pairs if n in at},
                "alpha": _listed(found["alpha"].values),
                "train_loss": _listed(at["train_loss"].values),
                "test_loss": _listed(at["test_loss"].values),
            }
        )
    return rows


def _critical(found: xr.Dataset) -> dict[str, Any]:
    return {
        "accepted": str(found.attrs.get("accepted")).lower() == "true",
        "reason": str(found.attrs.get("reason", "")),
        "loss": _finite(found["loss"][-1]),
        "gradient_norm": _finite(found["gradient_norm"][-1]),
        "verdict": str(found["verdict"].values[0]) if "verdict" in found else None,
    }


def _escape(found: xr.Dataset) -> dict[str, Any]:
    names = ("median_steps", "lower_quartile", "upper_quartile", "negative_eigenvalue")
    row: dict[str, Any] = {
        "method": str(found.attrs["method"]),
        "runs": found.sizes["run"],
        "reason": str(found.attrs.get("reason", "")),
        **{n: _finite(found[n]) for n in names if n in found},
    }
    if found.sizes["run"]:
        row["linear_theory"] = _finite(np.median(found["predicted"].values))
        row["steps"] = _listed(found["steps"].values)
        row["outcome"] = [str(o) for o in found["outcome"].values]
        row["learning_rate"] = float(found.attrs["rate"])
    return row


def _listed(values: np.ndarray) -> list[Any]:
    """Nested lists with ``None`` for what is not finite."""
    return [_listed(v) if np.ndim(v) else _finite(v) for v in values]


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
