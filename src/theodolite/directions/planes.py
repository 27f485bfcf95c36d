"""Random planes, as many as a measurement needs: what a survey draws, for use without one."""

from __future__ import annotations

from collections.abc import Iterator

from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.directions.normalize import NORMALIZATIONS
from theodolite.directions.random import random_directions
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.seeds import child_seed


def random_planes(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    count: int = 5,
    normalize: str | None = "filter",
    seed: int = 0,
) -> Iterator[Float[Tensor, "2 params"]]:
    r"""The directions of `count` random planes, one plane at a time.

    .. math:: (d_1, d_2)_k = \mathrm{random\_directions}(\mathrm{seed}_k), \qquad
        \mathrm{seed}_k = \mathrm{child\_seed}(\mathrm{seed}, \text{"plane"}, k)

    One plane is not a measurement: random planes through one point differ from each other.
    `plane_spread` gives their mean and its standard error.

    Parameters
    ----------
    theta, normalize
        As for `random_directions`.
    count
        How many planes. Plane `k` does not depend on it.
    seed
        Of all planes; the same as ``survey(seed=...)`` gives the same planes.

    Yields
    ------
    Tensor
        Shape ``(2, params)`` for each plane. ``torch.stack(list(...))`` has shape
        ``(plane, direction, params)``.

    Raises
    ------
    InvalidArgument
        At once, for a `count` below 1 (E-V12) or another `normalize` (E-G08).

    Notes
    -----
    Costs no pass, and holds one plane at a time.

    Examples
    --------
    >>> data = torch.randn(8, 3), torch.randn(8, 2)
    >>> objective = Objective(torch.nn.Linear(3, 2), torch.nn.MSELoss(), data)
    >>> [tuple(d.shape) for d in random_planes(objective, count=3)]
    [(2, 8), (2, 8), (2, 8)]
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidArgument(f"count must be at least 1; got {count!r}.", code="E-V12")
    if normalize not in NORMALIZATIONS:
        raise InvalidArgument(
            f'normalize must be "filter", "layer", "model" or None; got {normalize!r}.',
            code="E-G08",
        )
    return (
        random_directions(
            objective, theta=theta, normalize=normalize, seed=child_seed(seed, "plane", k)
        )
        for k in range(count)
    )
