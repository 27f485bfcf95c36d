"""The one container of results: a labelled ``xarray.Dataset`` that explains itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr

from theodolite.errors import InvalidArgument

SCHEMA = 1
"""Version of the layout of results; a reader refuses a newer one."""

TODO, OK, DIVERGED, FAILED = 0, 1, 2, 3
"""Values of a ``status`` variable: NaN alone never says why a number is missing."""

STATUS_MEANING = "0 not computed, 1 ok, 2 diverged, 3 failed"

Variable = tuple[tuple[str, ...], Any, Mapping[str, Any]]


def package_version() -> str:
    """The installed version, or ``0+unknown`` from a bare checkout."""
    try:
        return version("theodolite")
    except PackageNotFoundError:
        return "0+unknown"


def dataset(
    quantity: str,
    variables: Mapping[str, Variable],
    coords: Mapping[str, Any] | None = None,
    **attrs: Any,
) -> xr.Dataset:
    """Build a result: ``variables`` maps a name to (dims, values, attrs with ``long_name``).

    Every attribute is kept as something netCDF and Zarr can hold (numbers, strings, lists of
    them; ``None``, booleans and mappings as JSON text), so a result survives the disk unchanged.

    >>> d = dataset("trace", {"trace": ((), 3.0, {"long_name": "trace of the Hessian"})}, seed=0)
    >>> d.attrs["quantity"], float(d.trace)
    ('trace', 3.0)
    """
    for name, (_, _, notes) in variables.items():
        if not notes.get("long_name"):
            raise InvalidArgument(
                f"variable {name!r} of {quantity!r} has no long_name.",
                fix="pass (dims, values, {'long_name': ..., 'units': ...}).",
                code="E-R01",
            )
    facts = {"quantity": quantity, "schema": SCHEMA, "theodolite": package_version(), **attrs}
    return xr.Dataset(
        {k: (dims, np.asarray(v), dict(a)) for k, (dims, v, a) in variables.items()},
        coords=dict(coords or {}),
        attrs={k: storable(v) for k, v in facts.items()},
    )


def storable(value: Any) -> Any:
    """`value` as netCDF and Zarr can hold it; what they cannot hold becomes JSON text."""
    if isinstance(value, bool | type(None) | Mapping):
        return json.dumps(value)
    if isinstance(value, int | float | str | np.integer | np.floating):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        flat = all(isinstance(v, int | float | str) for v in value) and len(value) > 0
        return list(value) if flat else json.dumps(list(value))
    return str(value)


def status_variable(dims: tuple[str, ...], values: Any) -> Variable:
    """The variable that tells a diverged cell from one never computed."""
    return (dims, np.asarray(values, dtype=np.uint8), {"long_name": f"status: {STATUS_MEANING}"})
