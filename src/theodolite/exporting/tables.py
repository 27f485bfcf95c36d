"""A result as tidy CSV: one row a point, one column a coordinate or variable, nothing rounded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from theodolite.results import package_version

END = "\r\n"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so would be run by a spreadsheet; a quote in front keeps it text."""


def write_csv(result: xr.Dataset, name: str, path: Path) -> None:
    """Write one table of `result` (RFC 4180) under a block of ``#`` lines that explain it.

    The lines give every setting as JSON and every column's long name and units. Numbers are
    written so that reading them gives the same float64 back; NaN is an empty field, infinity is
    ``inf``. A variable with fewer dimensions is repeated along the others, which its line says.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        for line in explanation(result, name):
            file.write(line + END)
        for row in rows(result):
            file.write(",".join(row) + END)


def tables_of(result: xr.Dataset) -> dict[str, xr.Dataset]:
    """`result` as the tables it needs: one, unless no set of dimensions holds all the others.

    The key is what a table adds to the result's name: nothing for the one with most rows, the
    dimensions for the rest.

    >>> both = xr.Dataset({"b": ("y", [2.0]), "a": ("x", [1.0, 2.0]), "c": ((), 3.0)})
    >>> {k: sorted(map(str, v.data_vars)) for k, v in tables_of(both).items()}
    {'': ['a', 'c'], 'y': ['b']}
    """
    sets = {frozenset(map(str, v.dims)) for v in result.data_vars.values()}
    order = [frozenset(map(str, v.dims)) for v in result.data_vars.values()]
    widest = [s for s in dict.fromkeys(order) if not any(s < other for other in sets)]
    widest.sort(key=lambda s: -math.prod(result.sizes[d] for d in s))
    left = {str(k): frozenset(map(str, v.dims)) for k, v in result.data_vars.items()}
    found: dict[str, xr.Dataset] = {}
    for dims in widest:
        mine = [k for k, own in left.items() if own <= dims]
        for k in mine:
            del left[k]
        key = "_".join(d for d in map(str, result.dims) if d in dims) if found else ""
        found[key] = result[mine].assign_attrs(result.attrs)
    return found


def explanation(result: xr.Dataset, name: str) -> Iterator[str]:
    """The ``#`` lines: what this is, the settings, and what each column holds."""
    yield f"# {_line(name)}: written by theodolite {package_version()}"
    for key, value in result.attrs.items():
        yield f"# {_line(str(key))}: {json.dumps(_plain(value), ensure_ascii=True)}"
    dims = [str(d) for d in result.dims]
    for column in _columns(result):
        notes = result[column].attrs if column in result.variables else {}
        text = _line(str(notes.get("long_name", column.replace("_", " "))))
        unit = f" [{_line(str(notes['units']))}]" if notes.get("units") else ""
        own = result[column].dims if column in result.variables else (column,)
        over = [d for d in dims if d not in own]
        repeated = f" (repeated along {', '.join(over)})" if over and column not in dims else ""
        yield f"# column {_line(column)}: {text}{unit}{repeated}"


def rows(result: xr.Dataset) -> Iterator[list[str]]:
    """The header, then one row a point, the last dimension running fastest."""
    columns = _columns(result)
    yield [cell(c) for c in columns]
    sizes = {str(k): int(n) for k, n in result.sizes.items()}
    shape, dims = tuple(sizes.values()), tuple(sizes)
    arrays = [_broadcast(result, c, dims, shape) for c in columns]
    for values in zip(*arrays, strict=True):
        yield [cell(v) for v in values]


def cell(value: Any) -> str:
    """One field: shortest text that reads back as the same number, quoted where RFC 4180 asks.

    >>> cell(0.1), cell(np.float32(0.1)), cell(float("nan")), cell('a "b", c'), cell("=1+1")
    ('0.1', '0.10000000149011612', '', '"a ""b"", c"', "'=1+1")
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return "" if value != value else repr(value)
    text = str(value)
    if isinstance(value, str) and text.startswith(FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def _columns(result: xr.Dataset) -> list[str]:
    """Dimensions first, then other coordinates, then variables."""
    dims = [str(d) for d in result.dims]
    others = [str(c) for c in result.coords if str(c) not in dims]
    return dims + others + [str(v) for v in result.data_vars]


def _broadcast(
    result: xr.Dataset, column: str, dims: tuple[str, ...], shape: tuple[int, ...]
) -> list[Any]:
    if column in result.variables:
        values, own = result[column].values, tuple(map(str, result[column].dims))
    else:
        values, own = np.arange(result.sizes[column]), (column,)
    order = [own.index(d) for d in dims if d in own]
    spread = np.transpose(values, order).reshape(
        [n if d in own else 1 for d, n in zip(dims, shape, strict=True)]
    )
    flat: list[Any] = np.broadcast_to(spread, shape).ravel().tolist()
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return value if isinstance(value, str | int | float | list | tuple | dict) else str(value)


def _line(text: str) -> str:
    """`text` on one line: what would break it is written as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
