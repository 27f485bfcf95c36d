"""The few numbers a report computes itself from surfaces and spectra, each with its error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite.curvature import mass_error, negative_mass
from theodolite.plots import finished, line_from_plane
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number
from theodolite.results import OK
from theodolite.shapes import bend_shares

DISTANCES = (0.1, 0.25, 0.5, 1.0)
QUOTED = 0.1
"""The distance of the headline number "rise"."""


@dataclass(frozen=True)
class Rise:
    """How much the loss rises at ``distance``: the mean over ``directions``, and how many were
    left out because the loss diverged or was not computed there."""

    number: Number
    distance: float
    directions: int
    left_out: int


def mean_with_error(samples: Sequence[float] | np.ndarray, unit: str = "") -> Number:
    """The mean and its standard error; no error from a single sample.

    >>> mean_with_error([1.0, 3.0])
    Number(value=2.0, error=1.0, exact=False, unit='')
    """
    values = np.asarray(samples, dtype=np.float64)
    error = float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else None
    return Number(float(values.mean()), error, unit=unit)


def start_value(contents: Contents, variable: str = "loss") -> Number | None:
    """`variable` at the surveyed point itself, with its standard error over examples."""
    written = contents.number(variable)
    if written is not None:
        return written
    for plane in contents.planes:
        middle = plane.sel(alpha=0.0, beta=0.0, method="nearest")
        if variable in plane and _is_start(middle):
            return _with_error(middle, variable)
    for line in contents.lines:
        middle = line.sel(alpha=0.0, method="nearest")
        if variable in line and _is_start(middle):
            return _with_error(middle, variable)
    return None


def lines_through_start(contents: Contents) -> list[xr.Dataset]:
    """The random lines; without any, both axes of every plane."""
    found = [line for line in contents.lines if _covers_start(line)]
    axes = [line_from_plane(p, axis=k) for p in contents.planes for k in (1, 2)]
    return found or [line for line in axes if _covers_start(line)]


def word_distance(contents: Contents) -> float | None:
    """The smallest round distance that the grid resolves in every direction."""
    lines = lines_through_start(contents)
    if not lines:
        return None
    reach = min(min(-float(x["alpha"].min()), float(x["alpha"].max())) for x in lines)
    step = max(float(np.diff(x["alpha"].values).max()) for x in lines)
    return next((d for d in DISTANCES if step <= d * (1 + 1e-9) and d <= reach * (1 + 1e-9)), None)


def rise(contents: Contents, distance: float) -> Rise | None:
    """The mean rise of the loss at plus and minus `distance` along each direction.

    Values between grid points are interpolated linearly. The error is the standard error over
    directions, which is what limits it: one direction says little about another. At 10 % the
    survey's own number is taken where it wrote one.
    """
    found, left_out = rises(contents, distance)
    if not found:
        return None
    written = contents.number("rise") if distance == QUOTED else None
    number = mean_with_error(found) if written is None else written
    return Rise(number, distance, len(found), left_out)


def rises(contents: Contents, distance: float) -> tuple[tuple[float, ...], int]:
    """The rise along each direction, and how many directions left the finite range."""
    lines = lines_through_start(contents)
    ends = [[interpolated(x, "loss", d) for d in (-distance, 0.0, distance)] for x in lines]
    finite = [e for e in ends if np.isfinite(e).all()]
    return tuple((a + b) / 2 - middle for a, middle, b in finite), len(ends) - len(finite)


def bend_share(contents: Contents) -> Number | None:
    """Percent of places where a plane curves downward along one of its axes.

    A place is three neighboring points of a grid line. A convex function has none. It counts
    when its second difference is below minus 1e-6 of the loss, which rounding cannot make. The
    error is the standard error over the planes' directions.
    """
    shares = [s for p in contents.planes for s in _bends(p) if math.isfinite(s)]
    return mean_with_error(100 * np.array(shares), "%") if shares else None


def diverged(contents: Contents) -> tuple[int, int]:
    """How many points of all planes diverged, and how many were tried."""
    status = [p["status"].values for p in contents.planes if "status" in p]
    return sum(int((s == 2).sum()) for s in status), sum(int((s != 0).sum()) for s in status)


def negative_weight(contents: Contents) -> Number | None:
    """Percent of the spectrum's weight below zero; the error is `mass_error`."""
    written = contents.number("negative_weight")
    if written is not None or contents.spectrum is None:
        return written
    found = negative_mass(finished(contents.spectrum))
    return Number(100 * float(found["negative_mass"]), 100 * mass_error(found), unit="%")


def largest_eigenvalue(contents: Contents) -> Number | None:
    """The largest computed eigenvalue, with its residual as error."""
    written = contents.number("largest_eigenvalue")
    if written is not None:
        return written
    pairs = contents.eigenvalues
    if pairs is None or pairs.sizes["eigenvalue"] == 0:
        return None
    top = int(np.argmax(pairs["eigenvalue"].values))
    return Number(float(pairs["eigenvalue"][top]), float(pairs["residual"][top]))


def trace_value(contents: Contents) -> Number | None:
    """The trace with its standard error."""
    written = contents.number("trace")
    if written is not None or contents.trace is None:
        return written
    error = float(contents.trace["standard_error"])
    exact = contents.trace.attrs.get("method") == "exact"
    return Number(float(contents.trace["trace"]), None if exact else error, exact=exact)


def difference(a: Number, b: Number) -> Number:
    """``b - a``, errors added in quadrature; none where either has none.

    >>> difference(Number(1.0, 3.0), Number(5.0, 4.0))
    Number(value=4.0, error=5.0, exact=False, unit='')
    """
    if a.exact and b.exact:
        return Number(b.value - a.value, exact=True, unit=a.unit)
    errors = [0.0 if n.exact else n.error for n in (a, b)]
    known = [e for e in errors if e is not None]
    error = math.hypot(*known) if len(known) == 2 else None
    return Number(b.value - a.value, error, unit=a.unit)


def ratio(a: Number, b: Number) -> Number | None:
    """``b / a`` with relative errors added in quadrature; ``None`` unless both are positive."""
    if not (a.value > 0 and b.value > 0):
        return None
    value = b.value / a.value
    if a.error is None or b.error is None:
        return Number(value)
    return Number(value, value * math.hypot(a.error / a.value, b.error / b.value))


def _is_start(point: xr.Dataset) -> bool:
    near = all(abs(float(point[c])) < 1e-9 for c in ("alpha", "beta") if c in point.coords)
    return near and ("status" not in point or int(point["status"]) == OK)


def _with_error(point: xr.Dataset, variable: str) -> Number:
    name = f"{variable}_error"
    return Number(float(point[variable]), float(point[name]) if name in point else None)


def _covers_start(line: xr.Dataset) -> bool:
    alpha = line["alpha"].values
    start = abs(float(line.attrs.get("at", 0.0))) < 1e-9
    return bool(start and alpha.size > 1 and alpha.min() <= 0 <= alpha.max())


def interpolated(line: xr.Dataset, variable: str, at: float) -> float:
    """`variable` of a line at a distance, linear between measured points; else NaN."""
    values = line[variable].values.astype(np.float64)
    if "status" in line:
        values = np.where(line["status"].values == OK, values, np.nan)
    return float(np.interp(at, line["alpha"].values, values, left=np.nan, right=np.nan))


def _bends(plane: xr.Dataset) -> list[float]:
    loss = plane["loss"].transpose("alpha", "beta").values.astype(np.float64)
    if "status" in plane:
        ok = plane["status"].transpose("alpha", "beta").values == OK
        loss = np.where(ok, loss, np.nan)
    return bend_shares(loss, *(plane[c].values.astype(np.float64) for c in ("alpha", "beta")))
