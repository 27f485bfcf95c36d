"""The covariance of the gradients of single examples: the noise of SGD."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators.second_moment import empirical_fisher


def gradient_covariance(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    engine: str = "auto",
    memory_budget: int | None = None,
    verify: bool = True,
) -> Operator:
    r"""The covariance of the gradients of single examples at one point, as an operator.

    .. math:: \Sigma = \frac{1}{1 - \sum_i p_i^2} \sum_i p_i \, (g_i - g)(g_i - g)^\top,
              \qquad p_i = \frac{w_i}{\sum_j w_j}, \quad g = \sum_i p_i \, g_i

    For equal weights that is the unbiased :math:`\frac{1}{N-1} \sum_i (g_i - g)(g_i - g)^\top`,
    and the gradient of a batch of B examples drawn without replacement has the covariance
    :math:`\frac{1}{B} (1 - \frac{B}{N}) \Sigma`.

    Parameters
    ----------
    objective, theta, engine, memory_budget, verify
        As for `empirical_fisher`.

    Returns
    -------
    Operator
        As from `hessian`; positive semidefinite up to rounding. ``facts`` are those of the
        empirical Fisher products behind it.

    Notes
    -----
    A product of the empirical Fisher matrix (4 F) and, once, a gradient (3 F). ``g_i`` is the
    gradient of ``objective.losses``: of means, also where the objective is a sum. The matrix of
    the mean is subtracted from that of the moments, so that eigenvalues below about 1e-7 (in
    float32) of :math:`\|g\|^2` are rounding.

    Raises `InvalidArgument` where only one example counts, `UnsupportedModel` as
    `empirical_fisher`.

    References
    ----------
    Mandt, Hoffman, Blei (2017), JMLR 18. Smith, Le (2018), arXiv:1710.06451.

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> at = torch.zeros(2)  # gradients (-2, 0) and (0, -4)
    >>> td.gradient_covariance(td.Objective(model, torch.nn.MSELoss(), (x, y)), at).dense()
    tensor([[ 2., -4.],
            [-4.,  8.]])
    """
    point = objective.point(theta)
    moments = empirical_fisher(
        objective, point, engine=engine, memory_budget=memory_budget, verify=verify
    )
    weights = _weights(objective)
    spread = 1 - float(weights.square().sum())
    if int((weights != 0).sum()) < 2:
        raise InvalidArgument(
            "a covariance needs two examples at least; only one counts here.",
            fix="give the objective more examples.",
            code="E-D31",
        )
    scale = objective.scale

    @cache
    def mean() -> Tensor:
        return objective.gradient(point).to(moments.dtype) / scale

    def centered(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def multiply(given: Tensor) -> Tensor:
            g, v = mean(), given.to(mean())
            along = torch.tensordot(g, v, 1)  # a number, or a row of them
            mine = torch.outer(g, along) if v.dim() == 2 else g * along
            return (product(v) / scale - mine) / spread

        return multiply

    assert moments.matmat is not None
    return Operator(
        centered(moments.matvec),
        moments.size,
        moments.dtype,
        "gradient covariance",
        moments.device,
        centered(moments.matmat),
        moments.facts,
    )


def _weights(objective: Objective) -> Tensor:
    """The share of each example in the mean, those that count for nothing as zero."""
    weights = objective.start_pass.weights
    shares: Tensor = weights / weights.sum()
    return shares
