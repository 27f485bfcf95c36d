"""Whether noise is where the curvature is."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.probes import signs
from theodolite.noise.arguments import count, number, point_of, quantile
from theodolite.noise.intervals import around, with_ends
from theodolite.noise.moments import moments
from theodolite.noise.noise_covariance import covariance_operator
from theodolite.noise.noise_scale import told
from theodolite.objective import Objective
from theodolite.operators import ggn, hessian

TOGETHER = 8
"""Probes multiplied at once."""

MATRICES = {"hessian": hessian, "ggn": ggn}

LONG = {
    "alignment": ("P tr(H Sigma) / (tr H tr Sigma)", ""),
    "cosine": ("cosine of H and Sigma", ""),
}
PARTS = {
    "both": "(Hz)'(Sigma z)",
    "curvature": "z'Hz",
    "curvature_square": "|Hz|^2",
    "noise_square": "|Sigma z|^2",
}


def noise_curvature_alignment(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    matrix: str = "hessian",
    probes: int = 64,
    level: float = 0.95,
    engine: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    r"""How far the covariance of gradients leans toward directions of high curvature.

    .. math:: \mu = \frac{P \operatorname{tr}(H \Sigma)}
              {\operatorname{tr} H \operatorname{tr} \Sigma}, \qquad
              \cos(H, \Sigma) = \frac{\operatorname{tr}(H \Sigma)}{\|H\|_F \|\Sigma\|_F}

    with P parameters. Noise alike in all directions has :math:`\mu = 1`; noise in proportion to
    the curvature has a cosine of 1 and :math:`\mu = P \|H\|_F^2 / (\operatorname{tr} H)^2`.

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    matrix
        ``"hessian"`` or ``"ggn"`` for H.
    probes
        Random sign vectors, 8 or more; each is multiplied by both matrices.
    level
        Of the intervals.
    engine
        Of the products with H, as in `hessian` and `ggn`.

    Returns
    -------
    xarray.Dataset
        ``alignment`` and ``cosine``, each with ``_low`` and ``_high``, and what they are made of,
        by probe z: ``both(probe)`` (Hz)'(Sigma z), ``curvature(probe)`` z'Hz,
        ``curvature_square(probe)`` and ``noise_square(probe)``; ``covariance_trace`` is exact.

    Notes
    -----
    12 F a probe. Ratios of means over probes, with the jackknife's bias correction and error:
    every mean is unbiased, the ratio to second order. A probe's :math:`\|Hz\|^2` spreads by up to
    :math:`\sqrt 2` of its mean where one eigenvalue rules, so 64 probes leave about 10 %. With the
    data as population; where tr H is negative or near zero :math:`\mu` has no meaning and its
    interval is wide. Not checked: that the Hessian is that of a smooth function.

    Raises `InvalidArgument`, `UnsupportedModel` (E-Y01 to E-Y09, E-Y18), E-Y13 for another matrix.

    References
    ----------
    Wu, Wang, Su (2022), arXiv:2207.02628. Zhu, Wu, Yu, Wu, Ma (2019), arXiv:1803.00195. Thomas
    et al. (2020), arXiv:1906.07774.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))  # H = diag(1, 4)
    >>> found = noise_curvature_alignment(objective, theta=torch.zeros(2), probes=96)
    >>> 2 * 34 / (5 * 10)  # Sigma = [[2, -4], [-4, 8]]
    1.36
    >>> bool(found.alignment_low < 1.36 < found.alignment_high)
    True
    """
    if matrix not in MATRICES:
        allowed = ", ".join(map(repr, MATRICES))
        raise InvalidArgument(f"matrix must be one of {allowed}; got {matrix!r}.", code="E-Y13")
    point = point_of(objective, theta)
    probes = count(probes, "probes", least=8)
    c = quantile(number(level, "level", above=0, below=1), probes)
    found = without_autocast(moments)(objective, point)
    trace = float(found.deviations().sum()) / (found.examples - 1)
    drawn = without_autocast(_drawn)(
        MATRICES[matrix](objective, point, engine=engine), covariance_operator(found), probes, seed
    )
    size = objective.space.size
    with np.errstate(all="ignore"):
        measures = {
            "alignment": _jackknife(drawn, lambda m: size * m[0] / (m[1] * trace)),
            "cosine": _jackknife(drawn, lambda m: m[0] / np.sqrt(m[2] * m[3])),
        }
    values = {name: around(value, error * error, c) for name, (value, error) in measures.items()}
    variables = with_ends(values, LONG)
    for (name, long_name), row in zip(PARTS.items(), drawn, strict=True):
        variables[name] = (("probe",), row, {"long_name": long_name})
    told_trace = {"long_name": "trace of the covariance of gradients"}
    variables["covariance_trace"] = ((), trace, told_trace)
    return results.dataset(
        "noise_curvature_alignment",
        variables,
        {"probe": np.arange(probes)},
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
        matrix=matrix,
        level=level,
        seed=seed,
        products=2 * probes,
    )


def _drawn(
    curvature: Operator, noise: Operator, probes: int, seed: int
) -> Float64[np.ndarray, "4 probe"]:
    """The four numbers of each probe."""
    assert curvature.matmat is not None
    assert noise.matmat is not None
    rows = []
    for first in range(0, probes, TOGETHER):
        some = range(first, min(first + TOGETHER, probes))
        z = torch.stack([signs(curvature, seed, "alignment", probe) for probe in some], 1)
        bent, moved = curvature.matmat(z).double(), noise.matmat(z).double()
        made = [bent * moved, z.double() * bent, bent.square(), moved.square()]
        rows.append(torch.stack([m.sum(0) for m in made]).cpu())
    found: np.ndarray = torch.cat(rows, 1).numpy()
    return found


def _jackknife(
    samples: Float64[np.ndarray, "quantity probe"],
    function: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, float]:
    """A function of means over probes, its bias of first order taken off, and its error."""
    k = samples.shape[1]
    whole = float(function(samples.mean(1, keepdims=True))[0])
    without = function((samples.sum(1, keepdims=True) - samples) / (k - 1))
    error = math.sqrt((k - 1) / k * float(((without - without.mean()) ** 2).sum()))
    return k * whole - (k - 1) * float(without.mean()), error
