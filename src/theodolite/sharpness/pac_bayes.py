"""The largest Gaussian perturbation that keeps the error low: sharpness of PAC-Bayes bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from scipy.stats import t as student
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass
from theodolite.sharpness import noise
from theodolite.sharpness.arguments import at_least, facts, not_negative, point_of, positive
from theodolite.sharpness.bisection import RATIO, crossing
from theodolite.sharpness.perturbed import at_points, loss_of, mean_and_error

LEVEL = 0.95
"""Confidence of the interval."""

FIRST = 0.1
"""The first sigma tried."""


def pac_bayes_sharpness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    magnitude_aware: bool = False,
    error_rise: float = 0.1,
    loss_rise: float | int | None = None,
    epsilon: float | int = 1e-3,
    origin: Shaped[Tensor, " params"] | None = None,
    draws: int = 20,
    seed: int = 0,
) -> xr.Dataset:
    r"""The largest sigma whose Gaussian perturbations raise the error by 0.1 at most.

    .. math:: \sigma^* = \max\{\sigma : \mathbb E_u\,\mathrm{err}(\theta + u) -
        \mathrm{err}(\theta) \le 0.1\}, \qquad
        u_i \sim \mathcal N(0, \sigma^2) \ \text{or}\ \mathcal N(0, \sigma^2\theta_i^2 + \epsilon^2)

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    magnitude_aware
        The second distribution.
    error_rise
        Rise of one minus the accuracy; above 0 and below 1.
    loss_rise
        A rise of the loss to use instead; needed where there are no class labels.
    epsilon
        Of the second distribution: a standard deviation. The paper has 1e-3.
    origin
        The point training started from: adds ``bound_term``, with the first distribution.
    draws
        Perturbations, the same at every sigma; at least 2.

    Returns
    -------
    xarray.Dataset
        ``sigma`` with ``sigma_low`` and ``sigma_high``, a 95 % interval;
        ``pac_bayes_sharpness``, :math:`1/\sigma^{*2}`; ``mean_rise(tried)``,
        ``standard_error(tried)`` and ``rise(tried, draw)`` at every sigma tried, in
        ``tried``. With `origin` ``bound_term``:
        :math:`\|\theta-\theta_0\|^2/(4\sigma^{*2}) + \ln(m/\sigma^*) + 10` for m examples, with
        ``bound_term_low`` and ``bound_term_high`` at the other ends of sigma's interval. NaN
        where sigma lies beyond a factor of 2^40 from 0.1, or there is none.

    Notes
    -----
    Bisection on a lattice with a ratio of 1.09, interpolated: about 10 to 25 sigmas at `draws` F
    each. The interval is where the mean rise minus (plus) its error times Student's t passes the
    level: at ``sigma_low`` the true rise is below it, at ``sigma_high`` above, each with 97.5 %
    confidence, if the rise grows with sigma. Not checked: that it does; look at ``mean_rise``.
    An error on few examples moves in steps. Where the loss is not finite every answer counts as
    wrong. The second distribution does not see layers rescaled if epsilon is 0.

    Raises `InvalidArgument` for a rise outside its range (E-H23), no class labels and no
    `loss_rise` (E-H24), an `origin` with `magnitude_aware` (E-H25), fewer than 2 draws (E-H12).

    References
    ----------
    Jiang, Neyshabur, Mobahi, Krishnan, Bengio (2020), arXiv:1912.02178. Neyshabur, Bhojanapalli,
    McAllester, Srebro (2017), arXiv:1706.08947.

    Examples
    --------
    >>> one, zero = torch.ones(1, 1), torch.zeros(1, 1)
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (one, zero))  # the loss is theta^2
    >>> found = pac_bayes_sharpness(bowl, theta=torch.zeros(1), loss_rise=0.25, draws=200)
    >>> bool(found.sigma_low < 0.5 < found.sigma_high)  # the mean of u^2 is sigma^2
    True
    """
    point = point_of(objective, theta)
    at_least(2, draws, "draws")
    read, level, on = _reading(objective, error_rise, loss_rise)
    scale = not_negative(epsilon, "epsilon") if magnitude_aware else None
    center = _origin(objective, origin, magnitude_aware)
    (base,) = at_points(objective, point, [torch.zeros_like(point)], read)
    curve = _Curve(objective, point, scale, draws, seed, read, base)
    times = float(student.ppf((1 + LEVEL) / 2, draws - 1))
    low, sigma, high = (curve.sigma(level, by) for by in (times, 0.0, -times))
    term = {} if center is None else _bound_terms(objective, point, center, (sigma, high, low))
    settings = {"magnitude_aware": magnitude_aware, "epsilon": scale, "level": level, "on": on}
    return _dataset(
        curve,
        {"sigma": sigma, "sigma_low": low, "sigma_high": high, **term},
        **facts(objective, point, _measure(on, scale)),
        **settings,
        confidence=LEVEL,
        draws=draws,
        seed=seed,
    )


@dataclass(frozen=True, eq=False)
class _Curve:
    """The rise of the error on a lattice of sigmas, each measured once, with the same draws."""

    objective: Objective
    theta: Tensor
    epsilon: float | None
    draws: int
    seed: int
    read: Callable[[Pass], float]
    base: float
    measured: dict[int, Float64[np.ndarray, " draw"]] = field(default_factory=dict)

    def rises(self, place: int) -> Float64[np.ndarray, " draw"]:
        """One value a draw."""
        if place not in self.measured:
            offsets = self._offsets(FIRST * RATIO**place)
            found = at_points(self.objective, self.theta, offsets, self.read)
            self.measured[place] = np.array(found) - self.base
        return self.measured[place]

    def bound(self, place: int, times: float) -> float:
        """The mean rise, plus its standard error so many times."""
        rises = self.rises(place)
        if not np.isfinite(rises).all():
            return math.inf
        mean, error = mean_and_error(rises)
        return float(mean + times * error)

    def sigma(self, level: float, times: float) -> float:
        """Where `bound` passes the level; NaN where it does not."""
        place = crossing(lambda k: self.bound(k, times), level)
        return math.nan if place is None else FIRST * RATIO**place

    def _offsets(self, sigma: float) -> Iterator[Tensor]:
        deviation = deviation_of(self.theta, sigma, self.epsilon)
        for draw in range(self.draws):
            yield deviation * noise.gaussian(self.theta, self.seed, "pac-bayes", draw)


def deviation_of(
    theta: Float[Tensor, " params"], sigma: float, epsilon: float | None
) -> Float[Tensor, " params"]:
    """Standard deviations of the coordinates: the root of the variance, which papers state."""
    if epsilon is None:
        return torch.full_like(theta, sigma)
    return ((sigma * theta) ** 2 + epsilon**2).sqrt()


def _reading(
    objective: Objective, error_rise: float, loss_rise: float | int | None
) -> tuple[Callable[[Pass], float], float, str]:
    """How a pass becomes an error or a loss, the rise asked for, and which of the two it is."""
    if loss_rise is not None:
        return loss_of, positive(loss_rise, "loss_rise")[0], "loss"
    if not 0 < error_rise < 1:
        raise InvalidArgument(
            f"error_rise must be above 0 and below 1; got {error_rise!r}.", code="E-H23"
        )
    if objective.start_pass.hits is None:
        raise InvalidArgument(
            "loss_rise must be given: the targets are no class labels, so there is no error.",
            fix="for example loss_rise=0.1 * float(objective.value()).",
            code="E-H24",
        )
    wrong: Callable[[Pass], float] = lambda made: (  # noqa: E731
        1 - made.accuracy() if math.isfinite(made.loss()) else 1.0
    )
    return wrong, float(error_rise), "error"


def _origin(objective: Objective, origin: Tensor | None, magnitude_aware: bool) -> Tensor | None:
    if origin is None:
        return None
    if magnitude_aware:
        raise InvalidArgument(
            "origin goes with magnitude_aware=False: the bound's term is that of one sigma for "
            "all coordinates.",
            code="E-H25",
        )
    objective.space.check(origin, "origin")
    return origin.to(objective.device)


def _bound_terms(
    objective: Objective, theta: Tensor, origin: Tensor, sigmas: tuple[float, float, float]
) -> dict[str, float]:
    """The term at sigma and both ends of its interval: it falls as sigma grows."""
    gap = float(torch.linalg.vector_norm(theta.double() - origin.double()))
    names = ("bound_term", "bound_term_low", "bound_term_high")
    return {
        name: gap**2 / (4 * sigma**2) + math.log(objective.examples / sigma) + 10
        for name, sigma in zip(names, sigmas, strict=True)
    }


def _measure(on: str, epsilon: float | None) -> str:
    """The row of the table of invariances."""
    aware = "" if epsilon is None else ", magnitude-aware" + ("" if epsilon else ", epsilon=0")
    return f"pac_bayes_sharpness{aware}, {on}"


def _dataset(curve: _Curve, numbers: dict[str, float], **attrs: Any) -> xr.Dataset:
    names = {
        "sigma": "largest standard deviation that keeps the rise",
        "sigma_low": "lower end of the interval of sigma",
        "sigma_high": "upper end of the interval of sigma",
        "bound_term": "distance term of the PAC-Bayes bound",
        "bound_term_low": "lower end of the interval of the distance term",
        "bound_term_high": "upper end of the interval of the distance term",
    }
    places = sorted(curve.measured)
    rises = np.stack([curve.measured[place] for place in places])
    means, errors = mean_and_error(rises.T)
    long = f"rise of the {attrs['on']}"
    variables: dict[str, results.Variable] = {
        "pac_bayes_sharpness": ((), numbers["sigma"] ** -2, {"long_name": "1 / sigma^2"}),
        **{k: ((), v, {"long_name": names[k]}) for k, v in numbers.items()},
        "rise": (("tried", "draw"), rises, {"long_name": long}),
        "mean_rise": (("tried",), means, {"long_name": f"mean {long}"}),
        "standard_error": (("tried",), errors, {"long_name": f"standard error of the mean {long}"}),
    }
    tried = [FIRST * RATIO**place for place in places]
    passes = 1 + len(places) * curve.draws
    coords = {"tried": tried, "draw": np.arange(curve.draws)}
    return results.dataset("pac_bayes_sharpness", variables, coords, **attrs, passes=passes)
