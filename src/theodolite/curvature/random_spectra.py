"""The spectrum of a large random symmetric matrix, and how far a measured one is from it.

Everything here works on stored results: no products, no torch.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float64

from theodolite import results
from theodolite.curvature.smoothing import nodes_and_weights
from theodolite.errors import InvalidArgument


def semicircle(radius: float, *, points: int = 513) -> xr.Dataset:
    r"""Wigner's semicircle: the limit of the spectrum of a symmetric matrix of independent entries.

    .. math:: \rho(x) = \frac{2}{\pi R^2} \sqrt{R^2 - x^2}, \qquad
        F(x) = \frac12 + \frac{x \sqrt{R^2 - x^2}}{\pi R^2} + \frac1\pi \arcsin \frac xR

    Parameters
    ----------
    radius
        R, above 0: for entries of variance :math:`s^2` off the diagonal, :math:`2 s \sqrt n`.
    points
        Evenly spaced from -R to R, at least 2.

    Returns
    -------
    xarray.Dataset
        ``density(eigenvalue)`` and ``share_below(eigenvalue)``, which is F.

    Notes
    -----
    Raises `InvalidArgument` for a radius or points out of range (E-K26).

    References
    ----------
    Wigner (1958), Annals of Mathematics 67.

    Examples
    --------
    >>> law = semicircle(2.0, points=3)
    >>> law.density.values.round(4).tolist(), law.share_below.values.tolist()
    ([0.0, 0.3183, 0.0], [0.0, 0.5, 1.0])
    """
    if not 0 < radius < np.inf or points < 2:
        raise InvalidArgument(
            f"radius must be positive and finite and points at least 2; got {radius} and {points}.",
            code="E-K26",
        )
    x = np.linspace(-radius, radius, points)
    density = 2 / (np.pi * radius**2) * np.sqrt(radius**2 - x**2)
    return results.dataset(
        "semicircle",
        {
            "density": (("eigenvalue",), density, {"long_name": "density of the semicircle"}),
            "share_below": (("eigenvalue",), _share(x, radius), {"long_name": "share below"}),
        },
        {"eigenvalue": ("eigenvalue", x, {"long_name": "eigenvalue"})},
        radius=radius,
        points=points,
    )


def semicircle_distance(density: xr.Dataset, *, radius: float | None = None) -> xr.Dataset:
    r"""The largest difference between a measured spectrum's distribution and the semicircle's.

    .. math:: D = \sup_x |F_\mathrm{measured}(x) - F_R(x)|

    Parameters
    ----------
    density
        A result of `spectral_density`.
    radius
        Of the semicircle, centered at 0; by default that with the same second moment,
        :math:`R = 2 \sqrt{\operatorname{tr} A^2 / n}`.

    Returns
    -------
    xarray.Dataset
        ``distance`` (0-d, of all probes together), ``sample(probe)`` and ``resolution`` (0-d):
        half the largest weight of a node, below which a distance says nothing. attrs: ``radius``.

    Notes
    -----
    At a node the measured distribution is taken in the middle of its jump, because a node of a
    quadrature stands for the eigenvalues around it on both sides. The distance of all probes
    together falls with their number, that of one does not. A network's Hessian is far from the
    semicircle: a spike at zero and outliers.
    Raises `InvalidArgument` for another kind of result (E-C10) or one with gaps (E-C11), for a
    spectrum that is zero or a radius that is not positive (E-K26).

    References
    ----------
    Pennington, Bahri (2017), ICML (Wigner and Wishart parts of a network's Hessian).

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> nodes = {"node": (dims, [[-1.0, 1.0]]), "weight": (dims, [[0.5, 0.5]])}
    >>> gap = semicircle_distance(xr.Dataset(nodes, attrs={"quantity": "spectral_density"}))
    >>> gap.attrs["radius"], round(float(gap.distance), 4)  # 1/4 - (1/2 - 3**.5/4/pi - 1/6)
    (2.0, 0.0545)
    """
    node, weight = nodes_and_weights(density)
    moment = float((weight * node**2).sum(1).mean())
    chosen = 2 * moment**0.5 if radius is None else radius
    if not 0 < chosen < np.inf:
        raise InvalidArgument(
            f"radius must be positive and finite; got {chosen}.",
            why="by default it is that of a spectrum with the same second moment.",
            code="E-K26",
        )
    each = [_distance(x[None], w[None], chosen) for x, w in zip(node, weight, strict=True)]
    own = ("quantity", "schema", "theodolite")
    facts = {k: v for k, v in density.attrs.items() if k not in own} | {"radius": float(chosen)}
    return results.dataset(
        "semicircle_distance",
        {
            "distance": (
                (),
                _distance(node, weight, chosen),
                {"long_name": "largest difference of the distribution functions"},
            ),
            "sample": (("probe",), each, {"long_name": "the same for one probe"}),
            "resolution": (
                (),
                weight.max() / 2 / len(node),
                {"long_name": "distance below which nothing is resolved"},
            ),
        },
        {"probe": np.arange(len(node))},
        **facts,
    )


def _share(x: np.ndarray, radius: float) -> np.ndarray:
    inside = np.clip(x / radius, -1, 1)
    return np.asarray(0.5 + inside * np.sqrt(1 - inside**2) / np.pi + np.arcsin(inside) / np.pi)


def _distance(
    node: Float64[np.ndarray, "probe step"],
    weight: Float64[np.ndarray, "probe step"],
    radius: float,
) -> float:
    order = np.argsort(node, axis=None, kind="stable")
    jump = weight.ravel()[order] / len(node)
    middle = np.cumsum(jump) - jump / 2
    counted = jump > 0
    return float(np.abs(middle - _share(node.ravel()[order], radius))[counted].max())
