"""From quadrature nodes to a curve, and to the share of negative curvature.

Everything here works on stored results: no products, no torch.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import xarray as xr
from jaxtyping import Float64, Int
from scipy.special import ndtr

from theodolite import results
from theodolite.curvature.probe_errors import probe_error
from theodolite.errors import InvalidArgument

Scale = Literal["linear", "log"]

WIDTHS = {"linear": 0.01, "log": 0.1}
"""Default widths of the kernel: a share of the range, and decades."""

DECADES = 6
"""The logarithmic scale turns linear this many decades below the largest node."""

TAILS = 6.0
"""Kernel widths drawn beyond the outermost nodes: all but 1e-9 of the mass."""


def smooth(
    density: xr.Dataset,
    *,
    points: int = 1024,
    width: float | None = None,
    scale: Scale = "linear",
) -> xr.Dataset:
    r"""Smooth the nodes of a spectral density with a Gaussian kernel, probe by probe.

    .. math:: \phi_p(x) = \sum_s w_{ps} \, \mathcal N(x; x(\theta_{ps}), \sigma^2)

    On the linear scale :math:`x(t) = t` and :math:`\sigma` is `width` times the range of the
    nodes. On the log scale :math:`x(t) = \operatorname{asinh}(t / 2 \epsilon) / \ln 10`, decades
    of :math:`|t|` with its sign kept, linear below :math:`\epsilon`, six decades under the
    largest node; :math:`\sigma` is `width` decades. Both are scale invariant: the curve of
    ``c * A`` is that of ``A`` stretched by `c`.

    Parameters
    ----------
    density
        A result of `spectral_density`.
    points
        Points of the curve. Each holds the average over its cell, so a coarse curve still
        integrates to one; it only shows less.
    width
        By default 0.01 of the range, or 0.1 decades. Positive.

    Returns
    -------
    xarray.Dataset
        ``density(probe, eigenvalue)`` and coordinate ``position(eigenvalue)``, the `x` above,
        evenly spaced: the sum of the density times that spacing is one for each probe. attrs
        record ``scale``, ``points``, ``width``, ``kernel`` (:math:`\sigma` itself) and, on the
        log scale, ``floor`` (:math:`\epsilon`), beside those of `density`.

    Notes
    -----
    The kernel is a choice for the eye, not a property of the spectrum. On the linear scale an
    outlier far from the bulk makes the kernel wide beside the bulk, whose shape then is the
    kernel's: use the log scale there.

    References
    ----------
    Lin, Saad, Yang (2016), SIAM Review 58. Papyan (2020), JMLR 21 (log densities).

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> nodes = {"node": (dims, [[1.0, 3.0]]), "weight": (dims, [[0.5, 0.5]])}
    >>> curve = smooth(xr.Dataset(nodes, attrs={"quantity": "spectral_density"}), points=99)
    >>> round(float(curve.density.sum() * (curve.position[1] - curve.position[0])), 6)
    1.0
    """
    chosen = _width(width, points, scale)
    node, weight = nodes_and_weights(density)
    used = node[weight > 0]
    floor = float(np.abs(used).max()) * 10.0**-DECADES or 1.0
    place = _positions(node, scale, floor)
    span = float(np.ptp(place[weight > 0]))
    unit = 1.0 if scale == "log" else span or float(np.abs(used).max()) or 1.0
    kernel = chosen * unit
    low, high = place[weight > 0].min(), place[weight > 0].max()
    edge = np.linspace(low - TAILS * kernel, high + TAILS * kernel, points + 1)
    curve = _cell_averages(edge, place, weight, kernel)
    position = (edge[1:] + edge[:-1]) / 2
    value = 2 * floor * np.sinh(position * np.log(10)) if scale == "log" else position
    per = "a decade" if scale == "log" else "a unit of the eigenvalue"
    return results.dataset(
        "smoothed_spectral_density",
        {
            "density": (
                ("probe", "eigenvalue"),
                curve,
                {"long_name": "spectral density", "units": f"share of eigenvalues in {per}"},
            )
        },
        {
            "probe": np.arange(len(node)),
            "eigenvalue": ("eigenvalue", value, {"long_name": "eigenvalue"}),
            "position": ("eigenvalue", position, {"long_name": "position on the axis"}),
        },
        **{
            **settings_of(density),
            "scale": scale,
            "points": points,
            "width": chosen,
            "kernel": kernel,
            **({"floor": floor} if scale == "log" else {}),
        },
    )


def negative_mass(density: xr.Dataset, *, threshold: float = 1e-3) -> xr.Dataset:
    r"""The share of eigenvalues below zero, with bounds and its standard error over the probes.

    .. math:: \alpha(\tau) = \frac1n \#\{i : \lambda_i < -\tau \max_j |\theta_j|\}
        \approx \sum_{s: \, \theta_s < -\tau \max |\theta|} w_s

    Parameters
    ----------
    density
        A result of `spectral_density`.
    threshold
        Relative to the largest node in size, above 0. Rounding gives zero eigenvalues a sign,
        and networks have very many near zero: report the share with its threshold.

    Returns
    -------
    xarray.Dataset
        ``negative_mass`` and its ``standard_error`` over the probes (0-d), ``low`` and ``high``
        (0-d), ``sample(probe)``.

    Notes
    -----
    A node stands for the eigenvalues around it on both sides, so a cut between two nodes is
    uncertain by their weights, equally for every probe: the standard error does not show it.
    ``low`` leaves out the last node below the cut and ``high`` takes in the first one above;
    by the inequalities of Chebyshev, Markov and Stieltjes the share seen by a probe lies
    between. Where they are far apart the density has not resolved the cut: use more steps or a
    larger threshold. At 1e-6 and 80 steps the sum alone can be twice the true share.

    References
    ----------
    Dauphin et al. (2014), arXiv:1406.2572 (the index). Szego (1975), Orthogonal Polynomials,
    section 3.41 (the bounds).

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> nodes = {"node": (dims, [[-2.0, -1.0, 3.0]]), "weight": (dims, [[0.125, 0.25, 0.625]])}
    >>> share = negative_mass(xr.Dataset(nodes, attrs={"quantity": "spectral_density"}))
    >>> float(share.negative_mass), float(share.low), float(share.high)
    (0.375, 0.125, 1.0)
    """
    if not 0 < threshold < 1:
        raise InvalidArgument(
            f"threshold must be above 0 and below 1; got {threshold}.", code="E-C06"
        )
    node, weight = nodes_and_weights(density)
    below = (node < -threshold * np.abs(node).max()).sum(1)
    low, sample, high = bracketed(weight, below)
    count = len(sample)
    inside = (np.arange(node.shape[1]) < below[:, None]).astype(np.float64)
    error = probe_error(inside, weight, size_of(density))
    return results.dataset(
        "negative_mass",
        {
            "negative_mass": ((), sample.mean(), {"long_name": "share of negative eigenvalues"}),
            "standard_error": ((), error, {"long_name": "standard error over probes"}),
            "low": ((), low.mean(), {"long_name": "lower bound from the nodes"}),
            "high": ((), high.mean(), {"long_name": "upper bound from the nodes"}),
            "sample": (("probe",), sample, {"long_name": "share seen by one probe"}),
        },
        {"probe": np.arange(count)},
        **{**settings_of(density), "threshold": threshold},
    )


def mass_error(mass: xr.Dataset) -> float:
    """The error to tell of a `negative_mass`: of the probes, or of the nodes where that is more.

    Where the nodes do not resolve the cut the share lies anywhere between ``low`` and ``high``,
    and the spread of the probes, which all see the same, says nothing of that.
    """
    value = float(mass["negative_mass"])
    beside = value - float(mass["low"]), float(mass["high"]) - value
    return float(np.nanmax([float(mass["standard_error"]), *beside]))


def bracketed(
    weight: Float64[np.ndarray, "probe step"], count: Int[np.ndarray, " probe"]
) -> tuple[Float64[np.ndarray, " probe"], ...]:
    """At least, about and at most: the weight of the first nodes less one, of them, and one more.

    A probe whose Krylov space ended early has nodes without weight, and its others are
    eigenvalues: nothing is open about them.
    """
    low, sample, high = (mass_of_first(weight, count + shift) for shift in (-1, 0, 1))
    ended = (weight <= 0).any(1)
    return np.where(ended, sample, low), sample, np.where(ended, sample, high)


def mass_of_first(
    weight: Float64[np.ndarray, "probe step"], count: Int[np.ndarray, " probe"]
) -> Float64[np.ndarray, " probe"]:
    """For each probe, the weight of its first `count` nodes; nodes ascend."""
    total = np.pad(np.cumsum(weight, axis=1), ((0, 0), (1, 0)))
    return np.asarray(total[np.arange(len(weight)), np.clip(count, 0, weight.shape[1])])


def _width(width: float | None, points: int, scale: str) -> float:
    if scale not in get_args(Scale):
        allowed = ", ".join(map(repr, get_args(Scale)))
        raise InvalidArgument(f"scale must be one of {allowed}; got {scale!r}.", code="E-C07")
    if points < 2:
        raise InvalidArgument(f"points must be at least 2; got {points}.", code="E-C08")
    chosen = WIDTHS[scale] if width is None else width
    if not 0 < chosen < np.inf:
        raise InvalidArgument(f"width must be positive and finite; got {chosen}.", code="E-C09")
    return float(chosen)


def nodes_and_weights(
    density: xr.Dataset,
) -> tuple[Float64[np.ndarray, "probe step"], Float64[np.ndarray, "probe step"]]:
    """The arrays of a result of `spectral_density`; raises for another or an incomplete one."""
    if density.attrs.get("quantity") != "spectral_density":
        raise InvalidArgument(
            "density must be a result of spectral_density; got quantity "
            f"{density.attrs.get('quantity')!r}.",
            code="E-C10",
        )
    node, weight = (
        density[name].transpose("probe", "step").values.astype(np.float64)
        for name in ("node", "weight")
    )
    if not (np.isfinite(node).all() and np.isfinite(weight).all()):
        missing = int((~np.isfinite(node).all(1)).sum())
        raise InvalidArgument(
            f"density must be complete; {missing} of {len(node)} probes are not computed.",
            fix="select the finished probes first: density.isel(probe=...).",
            code="E-C11",
        )
    return node, weight


def _positions(
    node: Float64[np.ndarray, "probe step"], scale: str, floor: float
) -> Float64[np.ndarray, "probe step"]:
    return np.asarray(np.arcsinh(node / (2 * floor)) / np.log(10)) if scale == "log" else node


def _cell_averages(
    edge: Float64[np.ndarray, " edges"],
    place: Float64[np.ndarray, "probe step"],
    weight: Float64[np.ndarray, "probe step"],
    kernel: float,
) -> Float64[np.ndarray, "probe cells"]:
    """The kernel's mass in each cell over its width, node by node so that memory stays small."""
    mass = np.zeros((len(place), len(edge)))
    for step in range(place.shape[1]):
        mass += weight[:, step, None] * ndtr((edge - place[:, step, None]) / kernel)
    return np.asarray(np.diff(mass, axis=1) / np.diff(edge))


def size_of(density: xr.Dataset) -> int | None:
    """The number of eigenvalues, where the result says it."""
    return int(density.attrs.get("size", 0)) or None


def settings_of(density: xr.Dataset) -> dict[str, object]:
    """The settings of `density`, without what every result states for itself."""
    own = ("quantity", "schema", "theodolite")
    return {name: value for name, value in density.attrs.items() if name not in own}
