"""How loss becomes height and color: log or linear, where it is clipped, which contour lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.results import OK

DECADES_FOR_LOG = 2.0
"""A range above this many decades is drawn on a log scale unless the caller says otherwise."""
CLIP_QUANTILE = 0.95
CLIP_FACTOR = 2.0
"""Drawn heights stop early when the last 5 % of points reach over twice as high as the rest."""


@dataclass(frozen=True)
class Heights:
    """A recorded choice of scale: ``low`` to ``high`` is drawn, ``top`` was reached.

    ``decades`` is the log10 range of the finite values (NaN where one is zero or negative);
    ``clipped`` counts the values above ``high``, which are drawn at ``high``.
    """

    log: bool
    low: float
    high: float
    top: float
    clipped: int
    decades: float
    levels: tuple[float, ...]

    def attrs(self) -> dict[str, float | int | bool | list[float]]:
        """The choices as plain values, to be kept beside the picture."""
        return {**asdict(self), "levels": list(self.levels)}


def finite_values(plane: xr.Dataset, variable: str = "loss") -> np.ndarray:
    """The values of `variable` where the point was computed and is finite, flat, float64."""
    if variable not in plane:
        raise InvalidArgument(
            f"variable must be one of {sorted(map(str, plane.data_vars))}; got {variable!r}.",
            where=f"a result of quantity {plane.attrs.get('quantity')!r}",
            code="E-P01",
        )
    values = np.asarray(plane[variable].values, dtype=np.float64)
    good = np.isfinite(values)
    own = "test_status" if variable.startswith("test_") and "test_status" in plane else "status"
    if own in plane:
        good &= plane[own].values == OK
    return values[good]


def heights(
    planes: xr.Dataset | Sequence[xr.Dataset], variable: str = "loss", *, log: bool | None = None
) -> Heights:
    """One scale for all `planes`, so that equal colors mean equal loss in every panel.

    `log` is decided by the range when ``None``: above two decades, and all values positive.
    Raises ``InvalidArgument`` when `log` is asked for and a value is zero or negative.

    >>> plane = xr.Dataset({"loss": ("alpha", [0.01, 0.1, 10.0])})
    >>> scale = heights(plane)
    >>> scale.log, scale.decades
    (True, 3.0)
    """
    many = [planes] if isinstance(planes, xr.Dataset) else list(planes)
    values = np.concatenate([finite_values(p, variable) for p in many] or [np.empty(0)])
    if values.size == 0:
        return Heights(False, 0.0, 1.0, 0.0, 0, math.nan, ())
    bottom, top = float(values.min()), float(values.max())
    decades = math.log10(top / bottom) if bottom > 0 else math.nan
    if log and not bottom > 0:
        raise InvalidArgument(
            f"log must be False: the smallest {variable} is {bottom:g}, and a log scale needs "
            "positive values.",
            fix="pass log=False, or None to let the range decide.",
            code="E-P02",
        )
    chosen = decades > DECADES_FOR_LOG if log is None else log
    high = clip_height(values, log=chosen)
    clipped = int((values > high).sum())
    levels = tuple(contour_levels(bottom, high, log=chosen))
    return Heights(chosen, bottom, high, top, clipped, decades, levels)


def capped(scale: Heights, planes: Sequence[xr.Dataset], high: float) -> Heights:
    """`scale` drawn up to `high` only, if that is lower: what is above gets the last color.

    >>> plane = xr.Dataset({"loss": ("alpha", [0.01, 0.1, 1.0, 10.0])})
    >>> capped(heights(plane), [plane], 2.0).clipped
    1
    """
    if not scale.low < high < scale.high:
        return scale
    clipped = sum(int((finite_values(p) > high).sum()) for p in planes)
    levels = tuple(contour_levels(scale.low, high, log=scale.log))
    return replace(scale, high=high, clipped=clipped, levels=levels)


def clip_height(values: np.ndarray, *, log: bool) -> float:
    """Where drawing stops: the largest value, or lower when a few points dwarf all others."""
    shown = np.log10(values) if log else values
    low, top = float(shown.min()), float(shown.max())
    most = float(np.quantile(shown, CLIP_QUANTILE))
    if top - low <= CLIP_FACTOR * (most - low) or most == low:
        return float(values.max())
    high = low + 1.25 * (most - low)
    return float(10**high if log else high)


def contour_levels(low: float, high: float, *, log: bool, most: int = 15) -> list[float]:
    """Round values strictly between `low` and `high`, at most `most` of them.

    >>> contour_levels(0.0, 1.0, log=False, most=5)
    [0.2, 0.4, 0.6, 0.8]
    >>> contour_levels(0.05, 60.0, log=True, most=5)
    [0.1, 1.0, 10.0]
    """
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return []
    if log and high / low >= 5:
        return _log_levels(low, high, most)
    step = round_step((high - low) / min(most, 12))
    first = math.floor(low / step) + 1
    found = [round(k * step, 12) for k in range(first, first + 2 * most)]
    return [v for v in found if low < v < high][:most]


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `least`.

    >>> round_step(0.3), round_step(12.0)
    (0.5, 20.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if factor * power >= least * (1 - 1e-12):
            return factor * power
    return 10.0 * power


def _log_levels(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for mantissas in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in range(first, last + 1) for m in mantissas]
        inside = [float(f"{v:.0e}") for v in found if low < v < high]
        if len(inside) <= most:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def shown(values: np.ndarray, scale: Heights) -> np.ndarray:
    """`values` as drawn: clipped at ``scale.high`` and, on a log scale, their log10."""
    clipped = np.asarray(np.minimum(values, scale.high), dtype=np.float64)
    if not scale.log:
        return clipped
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(clipped > 0, np.log10(clipped), np.nan))


def plain(value: float | int) -> str:
    """A round value as a label: ``0.05``, ``20``, ``5,000``, ``100,000``, ``2e6``.

    >>> [plain(v) for v in (0.05, 20.0, 5000.0, 1e5, 2e6, 3e-5, 0.0)]
    ['0.05', '20', '5,000', '100,000', '2e6', '3e-5', '0']
    """
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:,.6f}".rstrip("0").rstrip(".")
        return text.replace("-", "\N{MINUS SIGN}")
    mantissa, exponent = f"{value:.3e}".split("e")
    short = mantissa.rstrip("0").rstrip(".").replace("-", "\N{MINUS SIGN}")
    return f"{short}e{int(exponent)}"
