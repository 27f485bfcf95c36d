"""How rough a slice of a loss surface is, in three ways that do not depend on its height."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from theodolite.errors import InvalidArgument


def excess_variation(profile: Float[np.ndarray, " position"]) -> float:
    r"""How far a profile goes up and down beyond its net change, as a share of its range.

    .. math:: \frac{\sum_i |f_{i+1} - f_i| - |f_n - f_1|}{\max f - \min f}

    0 for a monotone profile, whose total variation is its net change; 2 for a full swing there
    and back; 0 for a constant one. Raises `InvalidArgument` for fewer than two positions or
    values that are not finite.

    >>> excess_variation(np.array([0.0, 1.0, 3.0])), excess_variation(np.array([0.0, 1.0, 0.0]))
    (0.0, 2.0)
    """
    f = _finite(profile, dimensions=1)
    spread = float(np.ptp(f))
    if spread == 0:
        return 0.0
    return max(0.0, (float(np.abs(np.diff(f)).sum()) - abs(float(f[-1] - f[0]))) / spread)


def negative_curvature_share(surface: Float[np.ndarray, "beta alpha"]) -> float:
    r"""The share of inner grid points whose 2 by 2 Hessian has a negative eigenvalue.

    Central differences: :math:`f_{xx}`, :math:`f_{yy}` from the neighbors, :math:`f_{xy}` from
    the corners. An eigenvalue counts as negative below minus a millionth of the larger one's
    size and below rounding of the highest value, so that a valley's flat direction does not, nor
    flat ground. Raises as `excess_variation`.

    >>> x, y = np.meshgrid(np.arange(5.0), np.arange(5.0))
    >>> negative_curvature_share(x**2 + y**2), negative_curvature_share(x**2 - y**2)
    (0.0, 1.0)
    """
    f = _finite(surface, dimensions=2)
    middle = f[1:-1, 1:-1]
    xx = f[1:-1, 2:] - 2 * middle + f[1:-1, :-2]
    yy = f[2:, 1:-1] - 2 * middle + f[:-2, 1:-1]
    xy = (f[2:, 2:] - f[2:, :-2] - f[:-2, 2:] + f[:-2, :-2]) / 4
    mean, radius = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    smallest, size = mean - radius, np.maximum(np.abs(mean + radius), np.abs(mean - radius))
    rounding = 16 * np.finfo(np.float64).eps * float(np.abs(f).max())
    return float((smallest < -np.maximum(1e-6 * size, rounding)).mean())


def local_minima(surface: Float[np.ndarray, "beta alpha"]) -> int:
    """Inner grid points lower than all eight neighbors. Raises as `excess_variation`.

    >>> local_minima(np.array([[2.0, 2, 2, 2], [2, 1, 2, 2], [2, 2, 2, 2]]))
    1
    """
    f = _finite(surface, dimensions=2)
    rows, columns = f.shape
    lower = np.ones((rows - 2, columns - 2), dtype=bool)
    for i in range(3):
        for j in range(3):
            if (i, j) != (1, 1):
                lower &= f[1:-1, 1:-1] < f[i : rows - 2 + i, j : columns - 2 + j]
    return int(lower.sum())


def largest_rise(profile: Float[np.ndarray, " position"]) -> float:
    """The most a profile climbs above an earlier point, over its highest minus its lowest value.

    0 for one that never rises. Raises as `excess_variation`.

    >>> largest_rise(np.array([4.0, 1.0, 2.0, 0.0]))
    0.25
    """
    f = _finite(profile, dimensions=1)
    spread = float(np.ptp(f))
    return float((f - np.minimum.accumulate(f)).max()) / spread if spread > 0 else 0.0


def _finite(values: np.ndarray, *, dimensions: int) -> np.ndarray:
    f = np.asarray(values, dtype=np.float64)
    least = 2 if dimensions == 1 else 3
    if f.ndim != dimensions or min(f.shape, default=0) < least or not np.isfinite(f).all():
        raise InvalidArgument(
            f"a slice must have {dimensions} dimensions of at least {least} finite values; "
            f"got shape {f.shape}, {int((~np.isfinite(f)).sum())} values not finite.",
            code="E-F33",
        )
    return f
