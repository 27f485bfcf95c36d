"""Where the noise sits: signal against noise by layer, and how different gradients are."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.linalg.precision import without_autocast
from theodolite.noise.arguments import number, point_of, quantile, unseen
from theodolite.noise.moments import Moments, moments
from theodolite.noise.noise_scale import told
from theodolite.noise.ratios import ratio_interval
from theodolite.objective import Objective


def signal_to_noise(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    population: str | int = "data",
    level: float = 0.95,
) -> xr.Dataset:
    r"""The squared gradient of each layer against the variance of one example's.

    .. math:: s_\ell = \frac{\|G_\ell\|^2}{\operatorname{tr} \Sigma_\ell}

    A batch of B of many examples has B times as much. The inverse is the layer's simple noise
    scale.

    Parameters
    ----------
    theta, population, level
        As for `gradient_noise_scale`.

    Returns
    -------
    xarray.Dataset
        ``signal_to_noise(layer)`` with ``_low`` and ``_high``, ``gradient_norm_squared(layer)``
        and ``covariance_trace(layer)``; traces and squared norms add up over layers. NaN where a
        layer has no gradient in any example. attrs as of `gradient_noise_scale`.

    Notes
    -----
    A gradient and the norms of all gradients, 6 to 9 F. A layer is a module with parameters of
    its own; a tied tensor belongs to the first. Intervals with the data as a sample, as for
    `gradient_noise_scale`; for unequal weights they leave out how weights lean on gradients. A
    squared norm whose correction exceeds it is negative, and then so is the ratio.

    Raises `InvalidArgument`, `UnsupportedModel` (E-Y01 to E-Y09, E-Y18).

    References
    ----------
    Liu, Bai, Jiang, Chen, Wang (2020), arXiv:2001.07384 (by parameter, not by layer).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> signal_to_noise(objective, theta=torch.zeros(2)).signal_to_noise.values  # 5 / 10
    array([0.5])
    """
    point = point_of(objective, theta)
    apart = unseen(population, objective.examples)
    c = quantile(number(level, "level", above=0, below=1), objective.examples) if apart else 0.0
    found = without_autocast(moments)(objective, point)
    layers = list(objective.space.layers())
    entries = objective.space.entries
    groups = [[k for k, e in enumerate(entries) if e.layer == name] for name in layers]
    table = np.array([_of_layer(found, group, apart, c) for group in groups])
    columns = {
        "signal_to_noise": "squared gradient over variance of one example",
        "signal_to_noise_low": "lower end of squared gradient over variance",
        "signal_to_noise_high": "upper end of squared gradient over variance",
        "gradient_norm_squared": "squared norm of the gradient",
        "covariance_trace": "trace of the covariance of gradients",
    }
    return results.dataset(
        "signal_to_noise",
        {
            name: (("layer",), table[:, k], {"long_name": long_name})
            for k, (name, long_name) in enumerate(columns.items())
        },
        {"layer": [name or "model" for name in layers]},
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
        noise_population=population,
        level=level,
    )


def _of_layer(
    found: Moments, group: list[int], apart: float, c: float
) -> tuple[float, float, float, float, float]:
    n, each = found.examples, found.deviations()[:, group].sum(1)
    whole = float(found.mean_squares()[group].sum())
    spread = float(each.sum()) / (n - 1)
    squared = whole - apart * spread / n
    slopes = found.weights * (found.along[:, group].sum(1) - whole)
    rows = torch.stack([2 * slopes - apart * (each - spread) / n, each - spread])
    covariance = apart * np.cov(rows.cpu().numpy()) / n
    low, high = ratio_interval(squared, spread, covariance, c)
    if spread == 0:
        ratio = math.inf if squared > 0 else math.nan
        return ratio, ratio, ratio, squared, spread
    return squared / spread, low, high, squared, spread


def gradient_diversity(
    objective: Objective, *, theta: Shaped[Tensor, " params"] | None = None
) -> xr.Dataset:
    r"""How different the gradients of the examples are from each other.

    .. math:: \Delta = \frac{\sum_i \|g_i\|^2}{\| \sum_i g_i \|^2}, \qquad
              B_\Delta = N \Delta = 1 + \frac{N - 1}{N} \, \frac{\operatorname{tr} \Sigma}{\|g\|^2}

    with :math:`g_i` times its relative weight where weights differ. Equal gradients have 1 / N,
    orthogonal ones 1 and opposed ones more. Batches up to about :math:`B_\Delta` lose little
    against steps on single examples.

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.

    Returns
    -------
    xarray.Dataset
        ``diversity`` and ``batch_bound`` (in examples), both exact; infinite at a critical point.

    Notes
    -----
    A gradient and the norms of all gradients, 6 to 9 F. It is the data set's number: with more
    data of the same kind it falls as 1 / N, while the bound stays. Raises `InvalidArgument`,
    `UnsupportedModel` (E-Y01 to E-Y09, E-Y18).

    References
    ----------
    Yin, Pananjady, Lam, Papailiopoulos, Ramchandran, Bartlett (2018), arXiv:1706.05699.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> float(gradient_diversity(objective, theta=torch.zeros(2)).diversity)  # orthogonal
    1.0
    """
    point = point_of(objective, theta)
    found = without_autocast(moments)(objective, point)
    each = float((found.squares.sum(1) * found.weights.square()).sum())
    whole = float(found.mean_squares().sum()) * found.examples**2
    diversity = each / whole if whole > 0 else math.inf
    return results.dataset(
        "gradient_diversity",
        {
            "diversity": ((), diversity, {"long_name": "gradient diversity"}),
            "batch_bound": (
                (),
                found.examples * diversity,
                {"long_name": "batch size that diversity allows", "units": "examples"},
            ),
        },
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
    )
