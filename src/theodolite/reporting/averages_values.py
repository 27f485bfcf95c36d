"""What was averaged, in words and as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite.reporting.connectivity_values import short


def made_of(found: xr.Dataset) -> str:
    """What the result calls its network."""
    return str(found.attrs["quantity"])


def average_words(found: xr.Dataset) -> tuple[str, ...]:
    """How the average does against its members and their ensemble, on the data that count."""
    made = made_of(found)
    prefix = next(p for p in ("test_", "validation_", "") if f"{p}loss" in found)
    split = {"test_": "test", "validation_": "selection", "": "training"}[prefix]
    unit = "error" if f"{prefix}error" in found else "loss"
    name, what = f"{prefix}{unit}", f"{split} {unit}"
    networks = [str(n) for n in found["network"].values]
    members = [n for n in networks if n not in (made, "ensemble")]
    own = [float(found[name].sel(network=n)) for n in members]
    taken = [n for n in members if "taken" not in found or found["taken"].sel(member=n) == 1]
    told = [
        f"The {made} of {listed(taken)} has a {what} of "
        f"{cell(found, name, made)}; the {len(members)} members have "
        f"{number_text(min(own), name)} to {number_text(max(own), name)}. Against their mean that "
        f"is a change of {cell(found, name + '_change', made, signed=True)}."
    ]
    if "ensemble" in networks:
        told.append(
            f"The ensemble of all has {cell(found, name, 'ensemble')}, a change of "
            f"{cell(found, name + '_change', 'ensemble', signed=True)}."
        )
    told += [str(r) for r in reasons(found)]
    return tuple(told)


def reasons(found: xr.Dataset) -> list[str]:
    said = found.attrs.get("reasons", [])
    return [said] if isinstance(said, str) and said != "[]" else list(said) if said != "[]" else []


def listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{len(names)} networks"
    if len(names) == 1:
        return f"{names[0]} alone"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def average_record(found: xr.Dataset) -> dict[str, Any]:
    """Everything but the weights as plain values, for programs."""
    kept = [
        n
        for n, v in found.data_vars.items()
        if not set(v.dims) & {"parameter", "buffer"} and n != "status"
    ]
    names = ("quantity", "align", "kind", "by", "threshold", "threshold_source", "combined")
    notes = {k: found.attrs[k] for k in names if k in found.attrs}
    return {
        **notes,
        "networks": [str(n) for n in found["network"].values],
        "members": [str(n) for n in found["first"].values],
        **{str(n): _plain(found[n].values) for n in kept},
        "reasons": reasons(found),
    }


def _plain(values: Any) -> Any:
    """Nested lists, with ``None`` for what is not finite."""
    if np.ndim(values):
        return [_plain(v) for v in values]
    return float(values) if math.isfinite(float(values)) else None


def cell(found: xr.Dataset, name: str, network: str, *, signed: bool = False) -> str:
    """A number of a network with its interval."""
    at = found.sel(network=network)
    value, low, high = (float(at[name + end]) for end in ("", "_low", "_high"))
    told = number_text(value, name, signed=signed)
    if not math.isfinite(low):
        return told
    ends = (number_text(v, name, signed=signed, bare=True) for v in (low, high))
    return f"{told} ({' to '.join(ends)})"


def number_text(value: float, name: str, *, signed: bool = False, bare: bool = False) -> str:
    percent = "error" in name
    shown = round(100 * value, 2) if percent else value
    text = short(shown)
    if signed and shown > 0:
        text = f"+{text}"
    unit = "" if bare or not percent else " pp" if signed else " %"
    return text + unit
