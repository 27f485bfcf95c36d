"""The whole tree as one netCDF-4 file, which xarray, MATLAB, R, Julia and ncview read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from theodolite.exporting.optional import needed
from theodolite.results import storable

LARGEST = 2**63
"""Whole numbers from here on do not fit netCDF's signed 64 bits and are kept as text."""


def write_netcdf(tree: xr.DataTree, path: Path) -> None:
    """Write `tree` with its groups; ``xarray.open_datatree(path)`` gives it back.

    Values, coordinates, names and attributes come back equal, with two exceptions that the
    format makes: a list of one value comes back as that value, and text as Python objects rather
    than fixed-width strings. Raises ``InvalidArgument`` (E-E10) without h5netcdf and h5py.
    """
    needed("h5netcdf", extra="export", purpose="netCDF")
    needed("h5py", extra="export", purpose="netCDF")
    storable_tree(tree).to_netcdf(path, engine="h5netcdf")


def storable_tree(tree: xr.DataTree) -> xr.DataTree:
    """A shallow copy whose attributes netCDF can hold; arrays are shared, not copied."""
    groups = {node.path: _storable(node.to_dataset(inherit=False)) for node in tree.subtree}
    return xr.DataTree.from_dict(groups)


def _storable(result: xr.Dataset) -> xr.Dataset:
    plain = result.copy(deep=False)
    plain.attrs = _attributes(result.attrs)
    for name in plain.variables:
        plain[name].attrs = _attributes(result[name].attrs)
        plain[name].encoding = {}
        if plain[name].dtype == object:
            plain[name] = plain[name].astype(str)
    return plain


def _attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): _attribute(v) for k, v in attrs.items()}


def _attribute(value: Any) -> Any:
    kept = storable(value)
    if isinstance(kept, int) and not -LARGEST <= kept < LARGEST:
        return str(kept)
    if isinstance(kept, list) and not all(isinstance(v, str) for v in kept):
        return np.asarray(kept)
    return kept.replace("\0", "\\0") if isinstance(kept, str) else kept
