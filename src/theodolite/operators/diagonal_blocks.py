"""Diagonal blocks: one operator a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators.loss_hessian import hessian

BY = ("layer", "tensor")


def blocks(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    matrix: Callable[..., Operator] = hessian,
    by: str = "layer",
    **settings: Any,
) -> dict[str, Operator]:
    r"""The diagonal blocks of a matrix, one a layer or tensor, in the order of the parameters.

    .. math:: H_{kk} = \nabla^2_{\theta_k} L(\theta), \qquad \theta = (\theta_1, \dots, \theta_m)

    Parameters
    ----------
    objective, theta
        As for `hessian`.
    matrix
        `hessian`, `ggn`, `fisher`, `empirical_fisher` or `gradient_covariance`.
    by
        ``"layer"``: all tensors one module holds together (a tied tensor belongs to the first);
        ``"tensor"``: each alone.
    settings
        Passed on to `matrix`.

    Returns
    -------
    dict[str, Operator]
        By name of the layer or tensor; a parameter the model itself holds is in ``""``. A block of
        any other choice is ``matrix(objective.restricted("fc1", "*.bias"))``.

    Notes
    -----
    A product with a block runs backward only as far as its parameters, so blocks near the output
    cost less than a product with the whole; each block keeps graphs of its own (``memory_budget``
    is per block) from its first product on. Not seen here: what lies between blocks.

    Examples
    --------
    >>> import torch, theodolite as td
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    >>> {k: b.size for k, b in blocks(td.Objective(model, torch.nn.MSELoss(), (x, y))).items()}
    {'0': 2, '1': 2}
    """
    if by not in BY:
        raise InvalidArgument(
            f"by must be one of {', '.join(map(repr, BY))}; got {by!r}.", code="E-D30"
        )
    groups: dict[str, tuple[str, ...]]
    if by == "tensor":
        groups = {e.name: (e.name,) for e in objective.space.entries}
    else:
        groups = {k: tuple(e.name for e in v) for k, v in objective.space.layers().items()}
    return {
        name: matrix(objective.restricted(*names, theta=theta), **settings)
        for name, names in groups.items()
    }
