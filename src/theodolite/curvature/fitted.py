"""Slope and curvature of a measured plane from a spline through it: no further evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float64
from scipy import ndimage

from theodolite import results
from theodolite.curvature.inherited import inherited_errors
from theodolite.curvature.splines import derivatives
from theodolite.errors import InvalidArgument
from theodolite.results import DIVERGED, OK, TODO

LEAST = 5
"""Points along each axis: the fit to every other point, which gives the error, needs three."""

SCALES = ("auto", "log", "linear")

KEPT = (
    "normalize",
    "seed",
    "plane",
    "axis_cosine",
    "direction_norm_alpha",
    "direction_norm_beta",
    "theta_norm",
    "fingerprint",
    "examples",
    "model",
)
"""Facts of a plane that hold for its curvature as well."""

Grid = Float64[np.ndarray, "alpha beta"]


@dataclass(frozen=True, eq=False)
class Fit:
    """Gradient and Hessian of one fit, and how far those of the coarser fit lie from them."""

    gradient: Float64[np.ndarray, "alpha beta 2"]
    hessian: Float64[np.ndarray, "alpha beta 2 2"]
    gradient_gap: Float64[np.ndarray, "alpha beta 2"]
    hessian_gap: Float64[np.ndarray, "alpha beta 2 2"]
    scale: str
    offset: float

    @property
    def disagreement(self) -> float:
        """The median distance between both Hessians, as a share of the Hessian."""
        size, gap = (np.linalg.norm(m, axis=(2, 3)) for m in (self.hessian, self.hessian_gap))
        known = np.isfinite(size) & np.isfinite(gap)
        tiny = np.finfo(np.float64).tiny
        return float(np.median(gap[known] / (size[known] + tiny))) if known.any() else np.inf


def surface_curvature(
    plane: xr.Dataset,
    *,
    variable: str = "loss",
    scale: str = "auto",
    offset: float | None = None,
) -> xr.Dataset:
    r"""Gradient, Hessian and principal curvatures of a plane, from a spline through its values.

    .. math:: f = \log(L + c), \quad \partial_i L = (L + c)\,\partial_i f, \quad
        \partial_{ij} L = (L + c)(\partial_{ij} f + \partial_i f\,\partial_j f), \quad
        H v = \kappa\,G v

    with `f` a bicubic spline and `G` the metric: the identity for curvatures per coordinate, and
    :math:`G_{ij} = \langle d_i, d_j \rangle` for curvatures per unit of length.

    Parameters
    ----------
    plane
        A result of ``plane``, at least 5 x 5 points, evenly spaced or not.
    variable
        The variable to fit, ``"loss"`` or ``"test_loss"``.
    scale
        ``"log"`` fits the logarithm, ``"linear"`` the values, ``"auto"`` whichever disagrees less
        with its own fit to every other point.
    offset
        `c`, in the units of `variable`. By default the median of the values less twice the
        smallest: the logarithm of height over the lowest point, in units of the median height.

    Returns
    -------
    xarray.Dataset
        Dimensions ``(alpha, beta)``, sorted: ``gradient_alpha``, ``gradient_beta``,
        ``hessian_aa``, ``hessian_ab``, ``hessian_bb`` and their errors ``gradient_error``,
        ``hessian_error`` (norms); with a dimension ``principal`` ("largest", "smallest"):
        ``curvature`` and, where the plane recorded the norms of its directions,
        ``length_curvature``, each with ``..._error`` of dimensions ``(alpha, beta)``, and ``sign``:
        1 or -1, and 0 where the curvature is smaller than its error (undetermined). ``status``: 1
        ok, 2 diverged, 3 failed, 0 not computed, also next to a point without a value.

    Raises
    ------
    InvalidArgument
        For a result that is no plane or lacks `variable` (E-X01), fewer than five points along an
        axis (E-X02), an unknown scale (E-X03), a logarithm of what is not positive (E-X04).

    Notes
    -----
    Costs no evaluation. The error is the distance to the fit through every other point, the
    largest among the nine points around: an estimate, about three times too large on smooth
    surfaces and too small where the grid misses a feature altogether; for an adaptive plane the
    error of its own fit is added, see `theodolite.curvature.inherited`. By Weyl's inequality no
    curvature is further off than the Hessian. Errors of the values themselves (``loss_error``:
    other examples) are not in it. Gaps are left out with their neighbors and never filled.
    Curvatures are those of two directions: of the full Hessian they are averages, so two positive
    ones do not exclude a negative direction, see `convexity`.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913, section 6 (principal curvatures).

    Examples
    --------
    >>> x = np.linspace(-1, 1, 5)
    >>> loss = x[:, None] ** 2 - x**2
    >>> notes = {"quantity": "plane"}
    >>> saddle = xr.Dataset({"loss": (("alpha", "beta"), loss)}, {"alpha": x, "beta": x}, notes)
    >>> surface_curvature(saddle).curvature.sel(alpha=0, beta=0).values.round(9).tolist()
    [2.0, -2.0]
    """
    ordered, values = _checked(plane, variable, scale)
    alpha, beta = (ordered[k].values.astype(np.float64) for k in ("alpha", "beta"))
    fits = _fits(values, alpha, beta, scale, offset)
    fit = min(fits, key=lambda f: f.disagreement)
    status = _status(ordered, variable, values)
    near = ndimage.binary_dilation(status != OK, np.ones((3, 3)))
    usable = np.isfinite(fit.hessian).all((2, 3)) & np.isfinite(fit.hessian_gap).all((2, 3))
    status[(status == OK) & (near | ~usable)] = TODO
    facts = {k: plane.attrs[k] for k in KEPT if k in plane.attrs}
    found = _variables(fit, status == OK, _metric(plane), inherited_errors(ordered, variable))
    return results.dataset(
        "surface_curvature",
        {**found, "status": results.status_variable(("alpha", "beta"), status)},
        {
            "alpha": ordered["alpha"],
            "beta": ordered["beta"],
            "principal": ["largest", "smallest"],
        },
        variable=variable,
        scale=fit.scale,
        offset=fit.offset,
        **{f"disagreement_{f.scale}": f.disagreement for f in fits},
        **facts,
    )


def _checked(plane: xr.Dataset, variable: str, scale: str) -> tuple[xr.Dataset, Grid]:
    if plane.attrs.get("quantity") != "plane" or variable not in plane:
        raise InvalidArgument(
            f"plane must be a result of plane() that holds {variable!r}; got "
            f"{plane.attrs.get('quantity', 'something else')!r} with {', '.join(map(str, plane))}.",
            code="E-X01",
        )
    if scale not in SCALES:
        raise InvalidArgument(
            f"scale must be one of {', '.join(map(repr, SCALES))}; got {scale!r}.", code="E-X03"
        )
    for axis in ("alpha", "beta"):
        if plane.sizes[axis] < LEAST:
            raise InvalidArgument(
                f"plane must have at least {LEAST} points along {axis}; got {plane.sizes[axis]}.",
                why="curvature and its error come from a spline through all and half the points.",
                fix=f"measure the plane with steps=({LEAST}, {LEAST}) or more.",
                code="E-X02",
            )
    ordered = plane.transpose("alpha", "beta", ...).sortby(["alpha", "beta"])
    values = ordered[variable].values.astype(np.float64)
    values = np.where(_status(ordered, variable, values) == OK, values, np.nan)
    return ordered, values


def _status(plane: xr.Dataset, variable: str, values: Grid) -> np.ndarray:
    """Why a value is missing: what the plane says, and diverged where it says nothing."""
    own = "test_status" if variable.startswith("test_") and "test_status" in plane else "status"
    known = plane[own].values if own in plane else np.full(values.shape, OK)
    known = known.astype(np.uint8)
    known[(known == OK) & ~np.isfinite(values)] = DIVERGED
    return known


def _fits(
    values: Grid, alpha: np.ndarray, beta: np.ndarray, scale: str, offset: float | None
) -> list[Fit]:
    """The fits to choose from."""
    finite = values[np.isfinite(values)]
    low, middle = (float(finite.min()), float(np.median(finite))) if finite.size else (0.0, 0.0)
    shift = middle - 2 * low if offset is None else float(offset)
    possible = bool(finite.size) and low + shift > 0
    if scale == "log" and not possible:
        raise InvalidArgument(
            f"the logarithm needs values above {-shift:g}; the smallest is {low:g}.",
            fix='pass a larger offset, or scale="linear".',
            code="E-X04",
        )
    wanted = [k for k in ("log", "linear") if scale in ("auto", k) and (k == "linear" or possible)]
    return [_fit(values, alpha, beta, k, shift if k == "log" else 0.0) for k in wanted]


def _fit(values: Grid, alpha: np.ndarray, beta: np.ndarray, scale: str, offset: float) -> Fit:
    field = np.log(values + offset) if scale == "log" else values
    fine, rough = (
        _unlogged(derivatives(field, alpha, beta, coarse=c), scale) for c in (False, True)
    )
    gaps = [b - a for a, b in zip(fine, rough, strict=True)]
    return Fit(fine[0], fine[1], gaps[0], gaps[1], scale, offset)


def _unlogged(found: Any, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian of the loss from those of what was fitted."""
    gradient = np.stack([found[1, 0], found[0, 1]], axis=-1)
    rows = ((found[2, 0], found[1, 1]), (found[1, 1], found[0, 2]))
    hessian = np.stack([np.stack(r, axis=-1) for r in rows], axis=-2)
    if scale == "linear":
        return gradient, hessian
    height = np.exp(found[0, 0])[..., None]
    outer = gradient[..., :, None] * gradient[..., None, :]
    return height * gradient, height[..., None] * (hessian + outer)


def _metric(plane: xr.Dataset) -> Float64[np.ndarray, "2 2"] | None:
    """Inner products of the two directions, where the plane recorded them."""
    names = ("direction_norm_alpha", "direction_norm_beta", "axis_cosine")
    if not all(n in plane.attrs for n in names):
        return None
    first, second, cosine = (float(plane.attrs[n]) for n in names)
    mixed = first * second * cosine
    metric = np.array([[first**2, mixed], [mixed, second**2]])
    return metric if np.isfinite(metric).all() and np.linalg.det(metric) > 0 else None


def _variables(
    fit: Fit,
    known: Bool[np.ndarray, "alpha beta"],
    metric: np.ndarray | None,
    inherited: tuple[Grid, Grid],
) -> dict[str, results.Variable]:
    dims, top = ("alpha", "beta"), ("principal", "alpha", "beta")
    unit = "per unit of the plane's coordinates"
    found: dict[str, results.Variable] = {}

    def add(name: str, values: np.ndarray, text: str) -> None:
        kept = np.where(known, values, np.nan)
        found[name] = (top if values.ndim == 3 else dims, kept, {"long_name": text})

    for k, axis in enumerate(dims):
        add(f"gradient_{axis}", fit.gradient[..., k], f"slope along {axis}, {unit}")
    slope_error = _widest(_norm(fit.gradient_gap), known) + inherited[0]
    add("gradient_error", slope_error, "error of the gradient, a norm")
    for name, i, j in (("aa", 0, 0), ("ab", 0, 1), ("bb", 1, 1)):
        add(f"hessian_{name}", fit.hessian[..., i, j], f"second derivative, {unit} squared")
    for prefix, root, text in (
        ("", np.eye(2), f"{unit} squared"),
        ("length_", None if metric is None else np.linalg.cholesky(metric), "per length squared"),
    ):
        if root is None:
            continue
        curvature = _principal(fit.hessian, root, known)
        error = _widest(np.abs(_principal(fit.hessian_gap, root, known)).max(0), known)
        error = error + inherited[1] * float(np.linalg.norm(np.linalg.inv(root), 2)) ** 2
        add(f"{prefix}curvature", curvature, f"principal curvature, {text}")
        add(f"{prefix}curvature_error", error, f"error of the principal curvatures, {text}")
        if not prefix:
            add("hessian_error", error, f"error of the Hessian, its spectral norm, {text}")
            sign = np.where(known & (np.abs(curvature) > error), np.sign(curvature), 0)
            words = "sign of the principal curvature, 0 where it is undetermined"
            found["sign"] = (top, sign.astype(np.int8), {"long_name": words})
    return found


def _principal(matrices: np.ndarray, root: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Eigenvalues of ``H v = k G v`` with ``G = root root'``, the larger first."""
    out = np.full((2, *known.shape), np.nan)
    inverse = np.linalg.inv(root)
    plain = inverse @ matrices[known] @ inverse.T
    out[:, known] = np.linalg.eigvalsh(plain)[:, ::-1].T
    return out


def _norm(vectors: np.ndarray) -> Grid:
    return np.asarray(np.linalg.norm(vectors, axis=-1))


def _widest(errors: Grid, known: Bool[np.ndarray, "alpha beta"]) -> Grid:
    """The largest of the errors of each point and its neighbors: differences pass through zero."""
    filled = np.where(known & np.isfinite(errors), errors, -np.inf)
    return np.asarray(ndimage.maximum_filter(filled, size=3, mode="nearest"))
