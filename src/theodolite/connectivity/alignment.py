"""Linear centered kernel alignment of two sets of activations, biased and debiased."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import t as student
from torch import Tensor

GROUPS = 20
"""Parts of the examples that are left out in turn."""

FEWEST = 4
"""Examples the unbiased estimator needs."""

Rows = Float64[Tensor, "example feature"]


def biased_alignment(x: Rows, y: Float64[Tensor, "example other"]) -> float:
    r"""``|Y'X|^2 / (|X'X| |Y'Y|)`` of centered columns (Kornblith et al. 2019); NaN if constant."""
    x, y = x - x.mean(0), y - y.mean(0)
    size = math.sqrt(_products(x, x) * _products(y, y))
    return _products(x, y) / size if size > 0 else math.nan


def debiased_alignment(x: Rows, y: Float64[Tensor, "example other"]) -> float:
    """The same from unbiased estimates of the three terms; may be negative, NaN if constant."""
    if len(x) < FEWEST:
        return math.nan
    x, y = x - x.mean(0), y - y.mean(0)
    size = _unbiased(x, x) * _unbiased(y, y)
    return _unbiased(x, y) / math.sqrt(size) if size > 0 else math.nan


def _unbiased(x: Tensor, y: Tensor) -> float:
    r"""n (n - 3) times the unbiased HSIC of linear kernels (Song et al. 2012), without them.

    .. math:: \operatorname{tr} \tilde K \tilde L
        + \frac{1^\top \tilde K 1\; 1^\top \tilde L 1}{(n - 1)(n - 2)}
        - \frac{2}{n - 2} 1^\top \tilde K \tilde L 1

    with the diagonals of both kernels zero.
    """
    n = len(x)
    own, other = x.square().sum(1), y.square().sum(1)
    rows, columns = x @ x.sum(0) - own, y @ y.sum(0) - other
    trace = _products(x, y) - float(own @ other)
    sums = float(rows.sum()) * float(columns.sum()) / ((n - 1) * (n - 2))
    return trace + sums - 2 / (n - 2) * float(rows @ columns)


def _products(x: Tensor, y: Tensor) -> float:
    """``|Y'X|^2``, by features or by examples, whichever are fewer."""
    if x.shape[1] * y.shape[1] <= len(x) ** 2:
        return float((x.T @ y).square().sum())
    return float(((x @ x.T) * (y @ y.T)).sum())


def alignment_error(x: Rows, y: Float64[Tensor, "example other"], order: Tensor) -> float:
    """The standard error over examples of `debiased_alignment`, leaving groups of them out.

    `order` is a random order of the examples. Resampling would not do: an example drawn twice is
    like itself, which is what debiasing takes out.
    """
    groups = min(GROUPS, len(x) // 2)
    if groups < 2 or len(x) < 2 * FEWEST:
        return math.nan
    parts = torch.tensor_split(order, groups)
    without = []
    for part in parts:
        kept = torch.ones(len(x), dtype=torch.bool)
        kept[part] = False
        without.append(debiased_alignment(x[kept], y[kept]))
    values = np.array(without)
    return float(np.sqrt((groups - 1) * np.mean((values - values.mean()) ** 2)))


def reach(error: float, level: float, examples: int) -> float:
    """Half an interval of Student's t, with the degrees of freedom of the groups."""
    groups = min(GROUPS, examples // 2)
    return float(student.ppf((1 + level) / 2, groups - 1)) * error if groups > 1 else math.nan
