"""The index of a point: how much of the space curves down, as a function of the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64

from theodolite import results
from theodolite.curvature.probe_errors import probe_error
from theodolite.curvature.saddle_counts import counted_below, masses_below, verdicts
from theodolite.curvature.spectrum import probe_quadrature
from theodolite.errors import InvalidArgument
from theodolite.linalg.ends import LowEnd, iterated_end, whole_spectrum
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.quadrature import Quadrature

THRESHOLDS = tuple(float(f"{t:.3g}") for t in np.logspace(-6, -1, 11))
"""Default thresholds, two a decade."""

_TAU = {"long_name": "threshold, relative to the largest eigenvalue in size"}


def saddle_index(
    operator: Operator,
    *,
    thresholds: Sequence[float] | None = None,
    dense_limit: int = 3000,
    probes: int = 8,
    steps: int | None = None,
    count: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""The share of directions that curve down, as a curve over thresholds.

    .. math:: \alpha(\tau) = \frac1n \#\{i : \lambda_i < -\tau \max_j |\lambda_j|\}

    Parameters
    ----------
    operator
        A symmetric operator, e.g. ``hessian(objective)``.
    thresholds
        Values of tau above 0 and below 1, ascending; by default two a decade from 1e-6 to 0.1.
    dense_limit
        Up to this size the whole spectrum is computed, else it is sampled.
    probes, steps
        Of the quadrature; by default 8 probes of 80 steps. Sampled only.
    count
        Lowest eigenvalues found by iteration, by default 10. Sampled only.
    seed
        Of all random vectors.

    Returns
    -------
    xarray.Dataset
        Over ``tau``: ``index`` (the curve), ``index_low`` and ``index_high`` (bounds),
        ``standard_error`` (over the probes; 0 where exact), ``certain_negative`` (eigenvalues
        surely below the threshold), ``possible_negative`` (at most so many; NaN where that is
        not known), ``miss_probability`` (of a lower eigenvalue) and ``verdict``: "minimum up to
        tau" (no eigenvalue lies below the threshold), "saddle with at least k directions",
        "maximum" or "undetermined". Over ``direction``, from the lowest on: ``eigenvalue`` and
        ``residual``, its error. When sampled, ``sample(probe, tau)``. attrs: ``method`` ("dense"
        or "lanczos"), ``scale`` and ``scale_error`` (the largest eigenvalue in size), ``products``.

    Notes
    -----
    Dense: ``size`` products and ``4 * size**2`` numbers. Sampled:
    ``(probes + 1) * steps`` products, about 15 for the scale and up to ``500 + 50 * count`` for
    the lowest eigenvalues; memory: the vectors of `ritz_pairs`, `steps` and 14 more. An eigenvalue
    is called negative only if it lies below the threshold
    by more than its error, and a minimum only if none can lie below it (sampled: with a chance
    of at most 1e-3 to have overlooked one). So at thresholds under the rounding of the products
    (1e-7 in float32) zero eigenvalues make the verdict "undetermined", not a sign. A network has
    very many of them: an index at one threshold says little. Between ``index_low`` and
    ``index_high`` the quadrature has not resolved the cut; they hold for the average of the
    probes, whose own error is ``standard_error``. Not checked: that the point is critical.

    Raises `InvalidArgument` for thresholds (E-K24) or counts (E-K25) out of range and for an
    operator that is not symmetric; `NotFinite`.

    References
    ----------
    Dauphin et al. (2014), arXiv:1406.2572 (index). Ghorbani, Krishnan, Xiao (2019),
    arXiv:1901.10159 (quadrature). Parlett (1998), The Symmetric Eigenvalue Problem, chapter 10.

    Examples
    --------
    >>> import torch
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([4.0, 1.0, -0.1, -2.0]).double()))
    >>> curve = saddle_index(a, thresholds=[0.01, 0.1, 0.9])
    >>> curve.index.values.tolist(), curve.verdict.values.tolist()[::2]
    ([0.5, 0.25, 0.0], ['saddle with at least 2 directions', 'minimum up to tau'])
    """
    taus = _thresholds(thresholds)
    _require(operator, dense_limit, probes, steps, count)
    depth = min(80, operator.size) if steps is None else steps
    if operator.size <= dense_limit:
        end = without_autocast(whole_spectrum)(operator, taus)
        facts = {"method": "dense", "products": end.products, "seed": seed}
        return _dataset(operator, taus, end, _exact(end, taus), facts)
    wanted = min(10, operator.size) if count is None else count
    end = without_autocast(iterated_end)(operator, taus, count=wanted, steps=depth, seed=seed)
    rules = [probe_quadrature(operator, steps=depth, seed=seed, probe=p) for p in range(probes)]
    used = end.products + sum(rule.products for rule in rules)
    facts = {"method": "lanczos", "products": used, "seed": seed, "steps": depth, "probes": probes}
    return _dataset(operator, taus, end, _sampled(rules, taus * end.scale, operator.size), facts)


def _exact(end: LowEnd, taus: Float64[np.ndarray, " tau"]) -> dict[str, results.Variable]:
    """The curve of the eigenvalues, with their errors as its bounds."""
    cuts = taus[:, None] * end.scale
    surely = -taus[:, None] * (end.scale + end.scale_error)
    share = {
        "index": (end.values < -cuts).mean(1),
        "index_low": (end.values + end.errors < surely).mean(1),
        "index_high": (end.values - end.errors < -cuts).mean(1),
        "standard_error": np.zeros(len(taus)),
    }
    return _curve(share)


def _sampled(
    rules: Sequence[Quadrature], cuts: Float64[np.ndarray, " tau"], size: int
) -> dict[str, results.Variable]:
    """The curve of the mean spectral measure of some probes."""
    node, weight = (np.stack([getattr(r, k) for r in rules]) for k in ("node", "weight"))
    mass, low, high = masses_below(node, weight, cuts)
    error = np.array([probe_error((node < -cut).astype(np.float64), weight, size) for cut in cuts])
    means = {"index": mass.mean(0), "index_low": low.mean(0), "index_high": high.mean(0)}
    words = {"long_name": "share of negative eigenvalues seen by one probe"}
    return {
        **_curve({**means, "standard_error": error}),
        "sample": (("probe", "tau"), mass, words),
    }


def _curve(share: dict[str, np.ndarray]) -> dict[str, results.Variable]:
    words = {
        "index": "share of eigenvalues below minus the threshold",
        "index_low": "lower bound of the share",
        "index_high": "upper bound of the share",
        "standard_error": "standard error over probes",
    }
    return {name: (("tau",), share[name], {"long_name": text}) for name, text in words.items()}


def _dataset(
    operator: Operator,
    taus: Float64[np.ndarray, " tau"],
    end: LowEnd,
    curve: dict[str, results.Variable],
    facts: dict[str, Any],
) -> xr.Dataset:
    counts = counted_below(end, taus)
    named = {
        "certain_negative": (counts.certain, "eigenvalues surely below minus the threshold"),
        "possible_negative": (counts.possible, "upper bound of their number"),
        "miss_probability": (end.missed, "bound on the chance that a lower one was overlooked"),
        "verdict": (verdicts(counts, operator.size), "what the eigenvalues make of the point"),
    }
    variables: dict[str, results.Variable] = dict(curve)
    for name, (values, text) in named.items():
        variables[name] = (("tau",), values, {"long_name": text})
    variables["eigenvalue"] = (("direction",), end.values, {"long_name": "lowest eigenvalues"})
    variables["residual"] = (("direction",), end.errors, {"long_name": "bound of their error"})
    return results.dataset(
        "saddle_index",
        variables,
        {"tau": ("tau", taus, _TAU), "direction": np.arange(len(end.values))},
        **{
            **operator.facts,
            "operator": operator.label,
            "size": operator.size,
            "scale": end.scale,
            "scale_error": end.scale_error,
            **facts,
        },
    )


def _thresholds(given: Sequence[float] | None) -> Float64[np.ndarray, " tau"]:
    taus = np.array(THRESHOLDS if given is None else [float(t) for t in given])
    if not len(taus) or not (taus > 0).all() or not (taus < 1).all() or (np.diff(taus) <= 0).any():
        raise InvalidArgument(
            f"thresholds must ascend between 0 and 1, ends excluded; got {taus.tolist()}.",
            why="at 0, rounding gives the zero eigenvalues of a network a sign.",
            code="E-K24",
        )
    return taus


def _require(
    operator: Operator, dense_limit: int, probes: int, steps: int | None, count: int | None
) -> None:
    named = (("steps", steps, operator.size), ("count", count, operator.size))
    for name, value, most in (*named, ("probes", probes, None), ("dense_limit", dense_limit, None)):
        least = 0 if name == "dense_limit" else 1
        if value is not None and (value < least or (most is not None and value > most)):
            until = "" if most is None else f" and at most the operator's size {most}"
            raise InvalidArgument(
                f"{name} must be at least {least}{until}; got {value}.", code="E-K25"
            )
