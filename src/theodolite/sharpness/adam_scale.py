"""The diagonal by which Adam would divide its steps at a point."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.objective import Objective
from theodolite.sharpness.arguments import point_of, positive
from theodolite.sharpness.batchwise import batches_of


def adam_scale(
    objective: Objective,
    *,
    theta: Float[Tensor, " params"] | None = None,
    batch_size: int,
    epsilon: float | int = 1e-8,
    seed: int = 0,
) -> Float[Tensor, " params"]:
    r"""What Adam divides by after it has stayed at a point for long.

    .. math:: d_j = \sqrt{\mathbb E_B\, g_{B,j}^2} + \epsilon

    with :math:`g_B` the gradient of a batch. For ``largest_curvature(preconditioner=...)``.

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    batch_size
        Examples a batch; what is left over is left out.

    Returns
    -------
    Tensor
        Shape ``(params,)``, positive.

    Notes
    -----
    Costs one gradient (3 F) and two vectors; exact for this cut of the data into batches. Not
    checked: that it is what an optimizer holds, whose averages lag behind on the way. Raises
    `InvalidArgument` for an epsilon that is not positive (E-H11) or a batch larger than the data
    (E-H17).

    References
    ----------
    Kingma, Ba (2015), arXiv:1412.6980. Cohen et al. (2022), arXiv:2207.14484.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> bowl = td.Objective(torch.nn.Linear(2, 1, bias=False), torch.nn.MSELoss(), (x, y))
    >>> adam_scale(bowl, theta=torch.ones(2), batch_size=1).tolist()  # gradients (2, 0), (0, 8)
    [1.4142135381698608, 5.656854152679443]
    """
    point = point_of(objective, theta)
    (floor,) = positive(epsilon, "epsilon")
    total, count = torch.zeros_like(point), 0
    for batch in batches_of(objective, point, batch_size, seed):
        total += batch.gradient(point).square_()
        count += 1
    return (total / max(count, 1)).sqrt_() + floor
