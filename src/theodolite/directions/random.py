"""Random directions: the axes of a slice through the loss surface."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.directions.normalize import check_finite, check_name, fill
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.parameters import ParameterSpace
from theodolite.seeds import torch_generator


def random_directions(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    count: int = 2,
    normalize: str | None = "filter",
    seed: int = 0,
) -> Float[Tensor, "direction params"]:
    r"""Gaussian directions with the norms of theta.

    .. math:: d \sim \mathcal N(0, I), \qquad
        d_{ij} \leftarrow d_{ij}\,\lVert\theta_{ij}\rVert / \lVert d_{ij}\rVert

    for filter :math:`j` of layer :math:`i` (see `normalized` for the four ways).

    Parameters
    ----------
    theta
        The point whose norms count, shape ``(params,)``; by default ``objective.start``.
    count
        How many directions. Direction `k` does not depend on it.
    normalize
        ``"filter"``, ``"layer"``, ``"model"`` or ``None``.
    seed
        The same seed gives the same numbers on every device, for any number of threads and any
        order of the model's parameters: each tensor has its own stream, named after it.

    Returns
    -------
    Tensor
        Shape ``(direction, params)``, in the dtype of points.

    Raises
    ------
    InvalidArgument
        For a `count` below 1 (E-G09), another `normalize` (E-G08), or a zero direction (E-G05).

    Notes
    -----
    Costs no pass. Normalized directions are only nearly orthogonal: the cosine of two has a
    standard deviation of about one over the square root of the coordinates that move.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913.

    Examples
    --------
    >>> x, y = torch.randn(8, 3), torch.randn(8, 2)
    >>> objective = Objective(torch.nn.Linear(3, 2), torch.nn.MSELoss(), (x, y))
    >>> d = random_directions(objective, count=1, normalize="model")
    >>> bool(torch.isclose(d.norm(), objective.start.norm()))
    True
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidArgument(f"count must be at least 1; got {count!r}.", code="E-G09")
    space = objective.space
    point = objective.start if theta is None else theta
    check_name(normalize)
    space.check(point)
    check_finite(point, space, "theta")
    made = torch.empty(count, space.size, dtype=space.dtype)
    for index, row in enumerate(made):
        _draw(row, space, seed, index)
        fill(row, row, point, space, normalize)
    return made.to(objective.device)


def _draw(out: Tensor, space: ParameterSpace, seed: int, index: int) -> None:
    """One draw in float32 for every tensor, from the stream of its first name by alphabet."""
    for e in space.entries:
        stream = torch_generator(seed, "direction", index, min((e.name, *e.aliases)))
        noise = torch.randn(e.size, generator=stream, dtype=torch.float32, device="cpu")
        out[e.offset : e.stop] = noise
