"""The one container of results: a labelled ``xarray.Dataset`` that explains itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
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


@cache
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


def examples_needed(result: xr.Dataset, error: float) -> int:
    r"""How many examples a standard error of `error` needs, from the variance in `result`.

    .. math:: n' = \left( \frac{e^2}{S^2} + \frac1N \right)^{-1}, \qquad
        S^2 = s^2 \left( \frac1n - \frac1N \right)^{-1}

    `result` is a plane or a line: its attributes hold the standard error s of the loss at the
    start, the n examples it was measured on and, for a sample, the population N (else the
    terms with N are zero). `error` is in the loss's own units. For samples by class the answer
    is for a sample by class. Itself an estimate: the relative error of S is about
    ``sqrt((k - 1) / 4 n)`` with k the kurtosis of the losses.

    Raises `InvalidArgument` for an error that is not positive, or a result without the numbers.

    >>> d = xr.Dataset(attrs={"start_loss_error": 0.1, "examples": 100})
    >>> examples_needed(d, 0.05)  # half the error, four times the examples
    400
    """
    notes = result.attrs
    missing = [k for k in ("start_loss_error", "examples") if k not in notes]
    if missing:
        raise InvalidArgument(
            f"the result does not record {' and '.join(missing)}.",
            fix="pass a plane or a line measured through a td.Objective.",
            code="E-B03",
        )
    population = notes.get("population")
    known = float(notes["start_loss_error"])
    return examples_for(error, known, int(notes["examples"]), population and int(population))


def examples_for(error: float, known: float, examples: int, population: int | None = None) -> int:
    """As `examples_needed`, from the standard error `known` on so many `examples`.

    >>> examples_for(0.1, 0.1, 100, 1000), examples_for(0.0001, 0.1, 100, 1000)
    (100, 1000)
    """
    if not error > 0:
        raise InvalidArgument(f"error must be positive; got {error}.", code="E-B02")
    if not known >= 0 or not math.isfinite(known):
        raise InvalidArgument(
            f"the variance is not known: the standard error is {known}.",
            why="with one example, or where the loss is not finite, there is none.",
            code="E-B02",
        )
    over = 0.0 if population is None else 1 / population
    if known == 0 or 1 / examples <= over:
        return 1 if known == 0 else examples
    spread = known**2 / (1 / examples - over)
    return max(1, math.ceil(1 / (error**2 / spread + over) * (1 - 1e-12)))
