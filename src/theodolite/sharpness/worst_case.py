"""The largest rise of the loss within a distance: the sharpness that SAM minimizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective
from theodolite.sharpness.arguments import point_of, positive
from theodolite.sharpness.ball import Ball, label_of, norm_of
from theodolite.sharpness.maximum import described, maxima


def worst_case_sharpness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    rho: float | int | Sequence[float | int] = 0.05,
    p: float | int = 2,
    steps: int = 20,
    restarts: int = 1,
    batch_size: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""The largest rise of the loss within a distance of theta, as far as ascent finds it.

    .. math:: \max_{\|e\|_p \le \rho} L(\theta + e) - L(\theta)

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    rho
        The distance, or several.
    p
        2 or ``math.inf``.
    steps
        Steps of ascent. One is SAM's: :math:`e = \rho g/\|g\|` (for infinity, of its signs).
    restarts
        Ascents; the first starts at theta, others on random points of the ball.
    batch_size
        m-sharpness: the mean over disjoint random batches of so many examples of the batch's own
        largest rise. Examples left over are left out.
    seed
        Of restarts and batches.

    Returns
    -------
    xarray.Dataset
        ``worst_case_sharpness(rho)``, 0 or more; ``first_step(rho)``, the rise after SAM's one
        step, which may be negative; ``rise(rho, restart, step)`` at every point tried;
        ``boundary(rho)``, the norm of the best perturbation over rho (below 1: a maximum inside,
        or too few steps); ``status(rho)``. With `batch_size` steps and boundary get a dimension
        ``batch`` in front, ``batch_rise(batch, rho)`` has the maxima, and
        ``standard_error(rho)`` is that of their mean. NaN where the loss was not finite at a
        point tried.

    Notes
    -----
    At most 4 F for every step, restart and rho; batches together cost as much as all data.
    Projected ascent from the best point so far: after a rise the next step is twice as long (16
    radii at most), after none a quarter. **A lower bound**: ascent may stop in a local maximum;
    compare restarts, and watch whether ``rise`` still grows with the step. Where the gradient is
    exactly zero one step goes nowhere (0), and ascents of several steps start on a random point.
    Grows with smaller batches, since each has a maximum of its own. Not checked: that the loss is
    finite everywhere in the ball. Changes with a rescaling of layers that leaves the network as it
    is: see `adaptive_sharpness`.

    Raises `InvalidArgument` for a rho that is not positive (E-H11), another p (E-H16), steps or
    restarts below 1 (E-H12), or a batch larger than the data (E-H17).

    References
    ----------
    Foret, Kleiner, Mobahi, Neyshabur (2021), arXiv:2010.01412 (one step, and m-sharpness).
    Andriushchenko et al. (2023), arXiv:2302.07011 (many steps).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # w'Hw/2, eigenvalues 1 and 4
    >>> found = worst_case_sharpness(bowl, theta=torch.zeros(2), rho=0.5)
    >>> round(float(found.worst_case_sharpness[0]), 5)  # 0.5 * 4 * 0.5 ** 2
    0.5
    """
    radii, norm, point = positive(rho, "rho"), norm_of(p), point_of(objective, theta)
    how: dict[str, Any] = {
        "steps": steps,
        "restarts": restarts,
        "batch_size": batch_size,
        "seed": seed,
    }
    balls = [Ball(radius, norm) for radius in radii]
    found = without_autocast(maxima)(objective, point, balls, **how)
    measure = f"worst_case_sharpness, p={label_of(norm)}"
    return described(
        "worst_case_sharpness", measure, objective, point, balls, found, p=label_of(norm), **how
    )
