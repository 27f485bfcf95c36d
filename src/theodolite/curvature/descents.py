"""Gradient descent, with each kind of noise that is said to help it away from saddles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite.curvature.escape_fields import Field
from theodolite.errors import InvalidArgument, NotFinite

Method = Literal["gradient", "perturbed", "stochastic", "isotropic"]
Outcome = Literal["escaped", "not escaped", "diverged"]


@dataclass(frozen=True)
class Descent:
    r"""How to descend: :math:`\theta \leftarrow \theta - \eta\,(g + \text{noise})`.

    Parameters
    ----------
    method
        ``"gradient"``: the full gradient. ``"stochastic"``: that of one of the objective's
        batches, drawn at every step. ``"isotropic"``: the full gradient plus Gaussian noise.
        ``"perturbed"``: the full gradient and, where it is small, now and then a jump.
    rate
        The learning rate :math:`\eta`, above 0.
    noise
        ``"isotropic"``: standard deviation of each coordinate of the gradient noise; by default
        that of equal trace, :math:`\sqrt{\operatorname{tr} \Sigma_B / n}` with
        :math:`\Sigma_B` the covariance of the batches' gradients at the point.
        ``"perturbed"``: radius of the ball jumps are drawn from, uniformly.
    threshold, wait
        ``"perturbed"``: jump where the gradient norm is at most `threshold`, and not within
        `wait` steps of the last jump.
    max_steps
        A run that has not escaped by then is given up.

    Notes
    -----
    Raises `InvalidArgument` for values out of range (E-K34).

    References
    ----------
    Jin, Ge, Netrapalli, Kakade, Jordan (2017), arXiv:1703.00887 (perturbed).

    Examples
    --------
    >>> Descent("perturbed", noise=1e-3).wait
    50
    """

    method: str = "gradient"
    rate: float = 0.1
    noise: float | None = None
    threshold: float = 1e-3
    wait: int = 50
    max_steps: int = 5000

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            allowed = ", ".join(map(repr, get_args(Method)))
            raise InvalidArgument(
                f"method must be one of {allowed}; got {self.method!r}.", code="E-K34"
            )
        if not 0 < self.rate < float("inf") or self.max_steps < 1 or self.wait < 1:
            raise InvalidArgument(
                "rate must be positive and finite, max_steps and wait at least 1; "
                f"got {self.rate}, {self.max_steps} and {self.wait}.",
                code="E-K34",
            )
        if (self.noise is None and self.method == "perturbed") or (
            self.noise is not None and not 0 <= self.noise < float("inf")
        ):
            raise InvalidArgument(
                f"noise must be at least 0 and finite; got {self.noise}.",
                fix="for method='perturbed' pass the radius of the jumps as noise.",
                code="E-K34",
            )
        if not self.threshold >= 0:
            raise InvalidArgument(
                f"threshold must be at least 0; got {self.threshold}.", code="E-K34"
            )


@dataclass(frozen=True, eq=False)
class Line:
    """What a run must leave: ``|direction' (theta - origin)|`` reaches ``radius``."""

    origin: Float64[Tensor, " params"]
    direction: Float64[Tensor, " params"]
    radius: float

    def projection(self, theta: Tensor) -> float:
        """The signed distance along the direction."""
        return float(torch.dot(self.direction, theta - self.origin))


def descended(
    field: Field,
    start: Float64[Tensor, " params"],
    line: Line,
    descent: Descent,
    generator: torch.Generator,
    watch: Callable[[Tensor], None] | None = None,
) -> tuple[int, Float64[Tensor, " params"], Outcome]:
    """Steps until `line` is left, the end, and how it went; inside the field's guard.

    `watch` is called with every point, the start and the end among them.
    """
    move = _MOVES[descent.method](field, descent, generator)
    theta = start
    for step in range(descent.max_steps + 1):
        if watch is not None:
            watch(theta)
        if abs(line.projection(theta)) >= line.radius:
            return step, theta, "escaped"
        if step == descent.max_steps:
            break
        try:
            moved = move(theta, step)
        except NotFinite:
            return step, theta, "diverged"
        if not bool(moved.isfinite().all()):
            return step, theta, "diverged"
        theta = moved
    return descent.max_steps, theta, "not escaped"


Move = Callable[[Tensor, int], Tensor]


def _plain(field: Field, descent: Descent, generator: torch.Generator) -> Move:
    return lambda theta, step: theta - descent.rate * field.gradient(theta)


def _stochastic(field: Field, descent: Descent, generator: torch.Generator) -> Move:
    def move(theta: Tensor, step: int) -> Tensor:
        batch = int(torch.multinomial(field.shares, 1, generator=generator))
        return theta - descent.rate * field.batch_gradient(theta, batch)

    return move


def _isotropic(field: Field, descent: Descent, generator: torch.Generator) -> Move:
    deviation = descent.noise or 0.0

    def move(theta: Tensor, step: int) -> Tensor:
        noise = deviation * _normal(theta, generator)
        return theta - descent.rate * (field.gradient(theta) + noise)

    return move


def _perturbed(field: Field, descent: Descent, generator: torch.Generator) -> Move:
    jumped = -descent.wait

    def move(theta: Tensor, step: int) -> Tensor:
        nonlocal jumped
        slope = field.gradient(theta)
        if float(slope.norm()) <= descent.threshold and step - jumped >= descent.wait:
            jumped = step
            theta = theta + (descent.noise or 0.0) * in_ball(theta, generator)
            slope = field.gradient(theta)
        return theta - descent.rate * slope

    return move


_MOVES: dict[str, Callable[[Field, Descent, torch.Generator], Move]] = {
    "gradient": _plain,
    "stochastic": _stochastic,
    "isotropic": _isotropic,
    "perturbed": _perturbed,
}


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(len(like), generator=generator, dtype=torch.float64).to(like)


def on_sphere(like: Tensor, generator: torch.Generator) -> Tensor:
    """A uniformly random unit vector."""
    drawn = _normal(like, generator)
    unit: Tensor = drawn / drawn.norm()
    return unit


def in_ball(like: Tensor, generator: torch.Generator) -> Tensor:
    """A uniformly random vector of the unit ball; a coordinate has variance 1 / (n + 2)."""
    unit = on_sphere(like, generator)
    share = float(torch.rand((), generator=generator, dtype=torch.float64))
    inside: Tensor = unit * share ** (1 / len(like))
    return inside
