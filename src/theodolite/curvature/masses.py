"""Shares of a spectrum: what lies between two values, near zero, below it, and far out.

Everything here works on stored results: no products, no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float64

from theodolite import results
from theodolite.curvature.probe_errors import first_reached, probe_error, quantile_error
from theodolite.curvature.smoothing import bracketed, nodes_and_weights, settings_of, size_of
from theodolite.errors import InvalidArgument


@dataclass(frozen=True, eq=False)
class Share:
    """A share of the eigenvalues by probe, its error, and what the nodes allow."""

    sample: Float64[np.ndarray, " probe"]
    error: float
    low: float
    high: float


def spectral_mass(
    density: xr.Dataset, *, above: float = -math.inf, below: float = math.inf
) -> xr.Dataset:
    r"""The share of eigenvalues between two values, with bounds and its standard error.

    .. math:: \mu(a, b) = \frac1n \#\{i : a < \lambda_i < b\}

    Parameters
    ----------
    density
        A result of `spectral_density`.
    above, below
        ``a`` and ``b``, in the units of the eigenvalues.

    Returns
    -------
    xarray.Dataset
        ``mass``, its ``standard_error`` over the probes, ``low`` and ``high`` (0-d) and
        ``sample(probe)``.

    Notes
    -----
    No products. A node stands for the eigenvalues around it on both sides, so each end is
    uncertain by the weights of its two neighbors; ``low`` and ``high`` take them off and in. By
    the inequalities of Chebyshev, Markov and Stieltjes the share that a probe sees lies between.
    They bound what so many Lanczos steps resolve; the standard error is that of the probes, from
    their spread and from the variance that a share of this size has (Student's t with 7 more
    degrees of freedom than probes, for an interval).

    Raises `InvalidArgument` where `above` is not less than `below` (E-C40).

    References
    ----------
    Szego (1975), Orthogonal Polynomials, section 3.41.

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> nodes = {"node": (dims, [[-2.0, 1.0, 3.0]]), "weight": (dims, [[0.125, 0.25, 0.625]])}
    >>> density = xr.Dataset(nodes, attrs={"quantity": "spectral_density"})
    >>> float(spectral_mass(density, above=0.0, below=2.0).mass)
    0.25
    """
    if not above < below:
        raise InvalidArgument(
            f"above must be less than below; got {above:g} and {below:g}.", code="E-C40"
        )
    node, weight = nodes_and_weights(density)
    return results.dataset(
        "spectral_mass",
        _described(
            "mass", share(node, weight, above, below, size_of(density)), "share of eigenvalues"
        ),
        {"probe": np.arange(len(node))},
        **{**settings_of(density), "above": above, "below": below},
    )


def share(
    node: Float64[np.ndarray, "probe step"],
    weight: Float64[np.ndarray, "probe step"],
    above: float,
    below: float,
    size: int | None,
) -> Share:
    """The share between two values, by probe."""
    up_to = (node <= above).sum(1)
    until = (node < below).sum(1)
    least, most = (list(bracketed(weight, k)) for k in (up_to, until))
    if above == -math.inf:
        least = [np.zeros(len(node))] * 3
    if below == math.inf:
        most = [np.ones(len(node))] * 3
    low = np.clip(most[0] - least[2], 0, 1)
    inside = ((node > above) & (node < below)).astype(np.float64)
    return Share(
        np.clip(most[1] - least[1], 0, 1),
        probe_error(inside, weight, size),
        float(low.mean()),
        float((most[2] - least[0]).mean()),
    )


def spectral_summary(
    density: xr.Dataset,
    *,
    near_zero: float = 1e-2,
    negative: float = 1e-3,
    outlying: float = 0.1,
    tail: float = 0.01,
) -> xr.Dataset:
    r"""What a spectral density says in numbers: bulk, outliers, and the share below zero.

    With :math:`\lambda_* = \max |\theta|`, the largest node in size,

    .. math:: \mu_0 = \frac1n \#\{|\lambda_i| < \epsilon_0 \lambda_*\}, \quad
              \mu_- = \frac1n \#\{\lambda_i < -\epsilon_- \lambda_*\}, \quad
              k = \#\{|\lambda_i| > \epsilon_o \lambda_*\}.

    Parameters
    ----------
    density
        A result of `spectral_density`.
    near_zero, negative, outlying
        The three thresholds, relative to the largest node in size.
    tail
        The bulk lies between the quantiles `tail` and ``1 - tail`` of the density.

    Returns
    -------
    xarray.Dataset
        ``near_zero_mass``, ``negative_mass`` and ``outliers`` (a number of eigenvalues), each with
        ``_error`` (over probes), ``_low`` and ``_high`` (what the nodes allow); ``bulk_low`` and
        ``bulk_high`` likewise (a bound beyond the last node is NaN); ``mean`` (the trace over the
        size) and ``second_moment`` with errors; all 0-d, and samples along ``probe``.

    Notes
    -----
    No products. A count far below one in ten thousand of the parameters is seen by luck alone: a
    probe gives a single eigenvector a weight that varies by its own size. Count outliers with
    `eigenpairs`, which certifies each; this says how many to ask for. A threshold decides what
    counts: report it with the number. Raises `InvalidArgument` for thresholds outside 0 to 1.

    References
    ----------
    Sagun, Bottou, LeCun (2016), arXiv:1611.07476. Ghorbani, Krishnan, Xiao (2019),
    arXiv:1901.10159. Papyan (2020), JMLR 21.

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> nodes = {"node": (dims, [[-0.5, 0.0, 10.0]]), "weight": (dims, [[0.25, 0.5, 0.25]])}
    >>> density = xr.Dataset(nodes, attrs={"quantity": "spectral_density", "size": 4})
    >>> found = spectral_summary(density)
    >>> float(found.near_zero_mass), float(found.negative_mass), float(found.outliers)
    (0.5, 0.25, 1.0)
    """
    for name, value in (("near_zero", near_zero), ("negative", negative), ("outlying", outlying)):
        _require_share(name, value, 1.0)
    _require_share("tail", tail, 0.5)
    node, weight = nodes_and_weights(density)
    top = float(np.abs(np.where(weight > 0, node, 0)).max())
    size = size_of(density)
    cuts = [max(c * top, np.finfo(np.float64).tiny) for c in (near_zero, negative, outlying)]
    zero = share(node, weight, -cuts[0], cuts[0], size)
    below = share(node, weight, -math.inf, -cuts[1], size)
    inner = share(node, weight, -cuts[2], cuts[2], size)
    all_of = size or 1
    outer = Share(
        all_of * (1 - inner.sample),
        all_of * inner.error,
        all_of * (1 - inner.high),
        all_of * (1 - inner.low),
    )
    edges = {"bulk_low": tail, "bulk_high": 1 - tail}
    powers = {
        "mean": (node, "mean eigenvalue"),
        "second_moment": (node**2, "mean squared eigenvalue"),
    }
    plain = {
        name: ((weight * f).sum(1), probe_error(f, weight, size), label)
        for name, (f, label) in powers.items()
    }
    return results.dataset(
        "spectral_summary",
        {
            **_described("near_zero_mass", zero, "share of eigenvalues near zero"),
            **_described("negative_mass", below, "share of negative eigenvalues"),
            **_described("outliers", outer, "number of eigenvalues far from zero"),
            **{k: v for n, q in edges.items() for k, v in _edge(n, node, weight, q, size).items()},
            **{k: v for n, p in plain.items() for k, v in _plain(n, *p).items()},
        },
        {"probe": np.arange(len(node))},
        **{
            **settings_of(density),
            "largest_node": top,
            "near_zero": near_zero,
            "negative": negative,
            "outlying": outlying,
            "tail": tail,
        },
    )


def _edge(
    name: str,
    node: Float64[np.ndarray, "probe step"],
    weight: Float64[np.ndarray, "probe step"],
    q: float,
    size: int | None,
) -> dict[str, results.Variable]:
    """A quantile: for each probe the first node up to which at least `q` of the weight lies.

    That of the probe's own measure lies between the neighbors (Chebyshev, Markov, Stieltjes).
    """
    first = first_reached(weight, q)
    beside = np.pad(node, ((0, 0), (1, 1)), constant_values=np.nan)
    low, sample, high = (beside[np.arange(len(node)), first + k] for k in (0, 1, 2))
    label = f"quantile {q:g} of the spectrum"
    return {
        **_plain(name, sample, quantile_error(node, weight, q, size), label),
        f"{name}_low": ((), low.mean(), {"long_name": "lower bound from the nodes"}),
        f"{name}_high": ((), high.mean(), {"long_name": "upper bound from the nodes"}),
    }


def _described(name: str, found: Share, label: str) -> dict[str, results.Variable]:
    sample = "sample" if name == "mass" else f"{name}_sample"
    prefix = "" if name == "mass" else f"{name}_"
    error = "standard_error" if name == "mass" else f"{name}_error"
    return {
        name: ((), found.sample.mean(), {"long_name": label}),
        error: ((), found.error, {"long_name": "standard error over probes"}),
        f"{prefix}low": ((), found.low, {"long_name": "lower bound from the nodes"}),
        f"{prefix}high": ((), found.high, {"long_name": "upper bound from the nodes"}),
        sample: (("probe",), found.sample, {"long_name": f"{label}, seen by one probe"}),
    }


def _plain(
    name: str, sample: Float64[np.ndarray, " probe"], error: float, label: str
) -> dict[str, results.Variable]:
    return {
        name: ((), sample.mean(), {"long_name": label}),
        f"{name}_error": ((), error, {"long_name": "standard error over probes"}),
        f"{name}_sample": (("probe",), sample, {"long_name": f"{label}, seen by one probe"}),
    }


def _require_share(name: str, value: float, most: float) -> None:
    if not 0 < value < most:
        raise InvalidArgument(
            f"{name} must be above 0 and below {most:g}; got {value}.", code="E-C41"
        )
