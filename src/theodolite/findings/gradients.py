"""How alike gradients are: at neighboring inputs, and before and after a step."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, NotFinite
from theodolite.objective import Objective


def neighbor_correlation(gradients: Float[np.ndarray, " position"]) -> float:
    r"""How alike gradients at neighboring inputs are: 1 for a linear function, 0 for white noise.

    .. math:: \frac{\sum_i g_i\, g_{i+1}}
                   {\sqrt{\sum_{i<n} g_i^2\; \sum_{i>1} g_i^2}}

    The mean is not subtracted: a constant gradient is as predictable as can be. Zero where one
    of the sums is zero. Raises `InvalidArgument` for fewer than two positions.

    >>> neighbor_correlation(np.array([2.0, 2.0, 2.0])), neighbor_correlation(np.array([1.0, -1.0]))
    (1.0, -1.0)
    """
    g = np.asarray(gradients, dtype=np.float64)
    if g.ndim != 1 or len(g) < 2:
        raise InvalidArgument(
            f"gradients must be at two or more positions; got shape {g.shape}.", code="E-F32"
        )
    g = g / max(float(np.abs(g).max()), np.finfo(np.float64).tiny)
    size = float(np.sqrt((g[:-1] ** 2).sum() * (g[1:] ** 2).sum()))
    return float((g[:-1] * g[1:]).sum() / size) if size > 0 else 0.0


def input_gradients(
    network: nn.Module, inputs: Float[Tensor, "position 1"]
) -> Float[np.ndarray, " position"]:
    """The derivative of a network's first output at each input, with BatchNorm's statistics
    those of all `inputs` and then held fixed: the derivative of a function of one input.

    The network itself is not changed. Costs three forward passes.

    >>> input_gradients(nn.Sequential(nn.Linear(1, 1, bias=False)), torch.ones(2, 1)).shape
    (2,)
    """
    twin = copy.deepcopy(network)
    norms = [m for m in twin.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
    if norms:
        with torch.no_grad():
            twin.train()(inputs)
    x = inputs.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(twin.eval()(x)[:, 0].sum(), x)
    found: np.ndarray = gradient[:, 0].double().numpy()
    return found


def gradient_predictiveness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    rates: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
) -> float:
    r"""How much of the gradient survives a step along it, from -1 to 1.

    .. math:: \frac1k \sum_\eta \cos\bigl(g(\theta),\, g(\theta - \eta\, g(\theta))\bigr)

    1 where the gradient keeps its direction over all steps. A gradient that is not finite after
    the step, or zero, tells nothing and counts as 0. Costs ``1 + len(rates)`` gradients. The
    scale-free form of what Santurkar et al. (2018, arXiv:1805.11604) call gradient
    predictiveness, the size of the change.

    >>> x, y = torch.tensor([[1.0]]), torch.tensor([[0.0]])
    >>> objective = Objective(nn.Linear(1, 1, bias=False), nn.MSELoss(), (x, y))
    >>> gradient_predictiveness(objective, theta=torch.ones(1), rates=(0.1, 0.9))  # past zero: -1
    0.0
    """
    point = objective.start if theta is None else theta
    before = objective.gradient(point)
    found = []
    for rate in rates:
        try:
            after = objective.gradient(point - rate * before)
        except NotFinite:
            found.append(0.0)
            continue
        found.append(_cosine(before.double(), after.double()))
    return float(np.mean(found))


def _cosine(a: Tensor, b: Tensor) -> float:
    """The cosine of two vectors of any length; 0 where one is zero or not finite."""
    a, b = (v / v.abs().max().clamp(min=torch.finfo(v.dtype).tiny) for v in (a, b))
    size = float(a.norm() * b.norm())
    return float(a @ b) / size if size > 0 and np.isfinite(size) else 0.0
