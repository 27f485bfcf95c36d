"""The tails of gradient noise: of its norms, and of its projections on random directions."""

from __future__ import annotations

import warnings

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results, seeds
from theodolite.errors import TheodoliteWarning
from theodolite.linalg.precision import without_autocast
from theodolite.noise.arguments import count, number, point_of
from theodolite.noise.moments import Moments, moments
from theodolite.noise.noise_scale import told
from theodolite.noise.stable_law import stable_sizes
from theodolite.noise.tails import REFUSED, hill_index, tail_index
from theodolite.objective import Objective

RANKS = 48
"""Shares of the examples at which tails are told."""


def gradient_tail_index(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    directions: int = 8,
    hill_share: float = 0.05,
    simulations: int = 199,
    seed: int = 0,
) -> xr.Dataset:
    r"""Tail indices of the deviations :math:`e_i` of single examples' gradients.

    .. math:: x_i = r^\top e_i \quad \text{for random } r, \qquad \|e_i\|

    Projections of a stable vector are stable with the same index in every direction, so each
    tests the law; norms have the heaviest tail of all directions.

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    directions
        Gaussian directions to project on.
    hill_share, simulations
        As for `tail_index`.

    Returns
    -------
    xarray.Dataset
        ``stable_index``, ``hill_index`` and ``p_value``, each ``(direction,)``, and
        ``hill_index_of_norms``; ``attrs["stable_refused"]`` counts directions in which the law is
        refused. For a picture of tails: ``size(direction, rank)``, the size of a projection over
        its median that the share ``exceedance(rank)`` of the examples exceeds, and ``law(rank)``,
        the same for the stable law with the median index.

    Notes
    -----
    A gradient and the products of all gradients, 6 to 9 F. Directions share the examples, so their
    indices are not independent. Projections mix many coordinates and look more Gaussian than a
    single one. Warns where the stable law is refused in more than half of the directions (E-Y17).

    Raises `InvalidArgument`, `UnsupportedModel` (E-Y01 to E-Y09, E-Y18), E-Y16 for fewer than 64
    examples.

    References
    ----------
    As for `tail_index`.

    Examples
    --------
    >>> g = torch.Generator().manual_seed(0)
    >>> x, y = torch.ones(1000, 1), torch.randn(1000, 1, generator=g)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> found = gradient_tail_index(objective, directions=1)  # gradients 2 (w - y): Gaussian
    >>> bool(found.stable_index[0] > 1.6), found.attrs["stable_refused"]
    (True, 0)
    """
    point = point_of(objective, theta)
    rows = count(directions, "directions")
    share = number(hill_share, "hill_share", above=0, below=1)
    found, projected = without_autocast(_projected)(objective, point, rows, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)  # told once, for all directions
        made = [
            tail_index(column, hill_share=share, simulations=simulations, seed=seed)
            for column in projected.T
        ]
    refused = sum(float(m.p_value) < REFUSED for m in made)
    _tell(refused, rows)
    norms = found.deviations().sum(1).sqrt().cpu().numpy()
    of_norms = hill_index(norms, max(2, round(share * len(norms))))
    dims = ("direction",)
    columns = {
        "stable_index": "index of an alpha-stable law",
        "hill_index": "tail index by Hill's estimator",
        "p_value": "p-value of the alpha-stable law",
    }
    variables: dict[str, results.Variable] = {
        name: (dims, [float(m[name]) for m in made], {"long_name": long_name})
        for name, long_name in columns.items()
    }
    variables |= _tails(projected, float(np.median([m.stable_index for m in made])))
    variables["hill_index_of_norms"] = ((), of_norms, {"long_name": "Hill's index of the norms"})
    return results.dataset(
        "gradient_tail_index",
        variables,
        {"direction": np.arange(rows), "rank": np.arange(variables["law"][1].size)},
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
        stable_refused=refused,
        hill_share=share,
        simulations=simulations,
        seed=seed,
    )


def _projected(
    objective: Objective, theta: Tensor, rows: int, seed: int
) -> tuple[Moments, Float64[np.ndarray, "example direction"]]:
    """The deviations of all examples along random directions."""
    generator = seeds.torch_generator(seed, "gradient_tail_index")
    extra = torch.randn(rows, len(theta), generator=generator, dtype=torch.float64)
    found = moments(objective, theta, extra=extra)
    along = found.extra.sum(1)
    weights = found.weights.to(along)
    projected: np.ndarray = (weights[:, None] * (along - found.shares @ along)).cpu().numpy()
    return found, projected


def _tails(
    projected: Float64[np.ndarray, "example direction"], alpha: float
) -> dict[str, results.Variable]:
    """How large the largest projections are, beside what the law with this index says."""
    count = len(projected)
    kept = np.unique(np.geomspace(1, count / 2, RANKS).round().astype(int))
    sizes = np.sort(np.abs(projected - np.median(projected, 0)), 0)[::-1]
    shares = (kept - 0.5) / count
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (sizes[kept - 1] / np.median(sizes, 0)).T
    told_law = "the same under the alpha-stable law with the median index"
    return {
        "exceedance": (("rank",), shares, {"long_name": "share of examples beyond"}),
        "size": (("direction", "rank"), relative, {"long_name": "projection over its median size"}),
        "law": (("rank",), stable_sizes(shares, alpha), {"long_name": told_law}),
    }


def _tell(refused: int, rows: int) -> None:
    if 2 * refused > rows:
        warnings.warn(
            f"gradient noise is not alpha-stable in {refused} of {rows} directions, so the stable "
            "index is no tail index there; look at hill_index. [E-Y17]",
            TheodoliteWarning,
            stacklevel=3,
        )
