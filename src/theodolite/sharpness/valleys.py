"""Train and test loss along the same lines: valleys shifted against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.directions import random_directions
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass
from theodolite.sharpness.arguments import at_least, facts, point_of, vectors
from theodolite.sharpness.perturbed import at_points, mean_and_error, weighted_mean_and_error


@dataclass(frozen=True, eq=False)
class Profile:
    """Losses of all examples along a line by point, their weights, and mean and error by point."""

    losses: Tensor
    weights: Tensor
    means: list[tuple[float, float]]


@dataclass(frozen=True)
class Valley:
    """The lowest point along one line: a parabola through the three lowest points of a grid."""

    minimum: float
    error: float
    curvature: float


@dataclass(frozen=True)
class Shift:
    """What one direction says; NaN where one of the valleys has no bottom within the span."""

    train_minimum: float
    train_minimum_error: float
    test_minimum: float
    test_minimum_error: float
    shift: float
    shift_error: float
    train_curvature: float
    test_curvature: float
    gap: float = math.nan
    gap_error: float = math.nan
    excess: float = math.nan
    excess_error: float = math.nan
    predicted_excess: float = math.nan
    predicted_excess_error: float = math.nan


NAMES = {
    "train_minimum": "where the training loss is lowest along the direction",
    "test_minimum": "where the test loss is lowest along the direction",
    "shift": "test minimum minus training minimum",
    "train_curvature": "second derivative of the training loss at its minimum",
    "test_curvature": "second derivative of the test loss at its minimum",
    "gap": "test loss minus training loss at the training minimum",
    "excess": "test loss at the training minimum above its lowest",
    "predicted_excess": "half the test curvature times the squared shift",
}


def shifted_valley(
    objective: Objective,
    test: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    directions: Float[Tensor, ...] | None = None,
    span: Sequence[float | int] = (-1, 1),
    steps: int = 41,
    count: int = 5,
    seed: int = 0,
) -> xr.Dataset:
    r"""How far the valleys of training and test loss are shifted, and what the shift costs.

    .. math:: \alpha_i = \arg\min_\alpha L_i(\theta + \alpha d), \qquad
        L_{test}(\alpha_{train}) - L_{test}(\alpha_{test})
        \approx \tfrac12 L''_{test}\,(\alpha_{test} - \alpha_{train})^2

    The argument that flat minima generalize: the same shift costs less where the valley is wide.

    Parameters
    ----------
    test
        The same model on other data.
    theta
        Where alpha is 0, shape ``(params,)``; by default ``objective.start``.
    directions
        Shape ``(direction, params)`` or ``(params,)``, used as long as they are; by default
        `count` random ones with the norms of theta's filters.
    span, steps
        First and last alpha, and points between, at least 5.

    Returns
    -------
    xarray.Dataset
        By ``direction``: ``train_minimum``, ``test_minimum`` and ``shift``; ``train_curvature``
        and ``test_curvature`` (second derivatives by alpha); ``gap``, test minus training loss
        at the training minimum; ``excess``, the left side of the formula, and
        ``predicted_excess``, the right. With ``_error``: standard errors over examples. NaN where
        a valley has no bottom inside the span. ``mean_absolute_shift`` and ``mean_excess``, with
        standard errors over directions. ``train_loss(direction, alpha)`` and ``test_loss``, the
        valleys themselves, with their errors.

    Notes
    -----
    Costs ``steps + 2`` F of both objectives a direction; holds all losses of a line. Minima come
    from a parabola through three points of the grid: make `span` narrow enough for it. Their
    errors are those of the slope over the curvature (delta method), the two data sets taken as
    independent samples (the prediction has the error of half the square of a Gaussian shift);
    those of the excess do not know that the minimum was chosen. Losses are
    means by example, also for objectives that are sums. Not checked: that theta is near a
    minimum, and that directions other than these behave alike: what matters most may lie along
    few of them.

    Raises `InvalidArgument` for a test objective with other parameters (E-H30), a span that is
    none (E-H31), fewer than 5 steps (E-H12) or wrong directions (E-H15).

    References
    ----------
    Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), arXiv:1609.04836, figure 1.

    Examples
    --------
    >>> model, one = torch.nn.Linear(1, 1, bias=False), torch.ones(4, 1)
    >>> train = td.Objective(model, torch.nn.MSELoss(), (one, 0.0 * one))  # w^2
    >>> test = td.Objective(model, torch.nn.MSELoss(), (one, 0.5 * one))  # (w - 1/2)^2
    >>> at = torch.zeros(1)
    >>> found = shifted_valley(train, test, theta=at, directions=torch.ones(1))
    >>> round(float(found["shift"][0]), 4), round(float(found.excess[0]), 4)
    (0.5, 0.25)
    """
    point = point_of(objective, theta)
    _check_same(objective, test)
    alphas = _alphas(span, at_least(5, steps, "steps"))
    at_least(1, count, "count")
    if directions is None:
        rows = random_directions(objective, theta=point, count=count, seed=seed)
    else:
        rows = vectors(objective, directions, "directions")
    shifts, curves = [], []
    for row in rows:
        lines = _lines(objective, test, point, row.to(point), alphas)
        shifts.append(_measured(objective, test, point, row.to(point), alphas, lines))
        curves.append([line.means for line in lines])
    columns = {f.name: np.array([asdict(s)[f.name] for s in shifts]) for f in fields(Shift)}
    dims = ("direction",)
    variables: dict[str, results.Variable] = {}
    for name, values in columns.items():
        what = NAMES[name.removesuffix("_error")]
        long = f"standard error: {what}" if name.endswith("_error") else what
        variables[name] = (dims, values, {"long_name": long})
    for k, split in enumerate(("train", "test")):
        means = np.array([both[k] for both in curves])  # direction, alpha, mean and error
        long = f"{split} loss along the direction"
        variables[f"{split}_loss"] = ((*dims, "alpha"), means[..., 0], {"long_name": long})
        long = f"standard error: {long}"
        variables[f"{split}_loss_error"] = ((*dims, "alpha"), means[..., 1], {"long_name": long})
    for name, source in (("absolute_shift", np.abs(columns["shift"])), ("excess", None)):
        mean, error = mean_and_error(columns["excess"] if source is None else source)
        long = f"mean {name.replace('_', ' ')} over directions"
        variables[f"mean_{name}"] = ((), mean, {"long_name": long})
        variables[f"mean_{name}_error"] = ((), error, {"long_name": f"standard error: {long}"})
    return results.dataset(
        "shifted_valley",
        variables,
        {"direction": np.arange(len(rows)), "alpha": alphas},
        **facts(objective, point, "shifted_valley, shift"),
        test_fingerprint=test.fingerprint,
        test_examples=test.examples,
        span=[float(v) for v in span],
        steps=steps,
        seed=seed,
    )


def _measured(
    objective: Objective,
    test: Objective,
    theta: Tensor,
    direction: Tensor,
    alphas: Float64[np.ndarray, " alpha"],
    lines: Sequence[Profile],
) -> Shift:
    """What both valleys along one direction say of each other."""
    ours, theirs = (_valley(line, alphas) for line in lines)
    made = Shift(
        ours.minimum,
        ours.error,
        theirs.minimum,
        theirs.error,
        theirs.minimum - ours.minimum,
        math.hypot(ours.error, theirs.error),
        ours.curvature,
        theirs.curvature,
    )
    if not math.isfinite(made.shift):
        return made
    (own,) = _at(objective, theta, direction, [ours.minimum])
    there, lowest = _at(test, theta, direction, [ours.minimum, theirs.minimum])
    known, known_error = weighted_mean_and_error(*own)
    loss, loss_error = weighted_mean_and_error(*there)
    excess, excess_error = weighted_mean_and_error(there[0] - lowest[0], there[1])
    return Shift(
        **{
            **asdict(made),
            "gap": loss - known,
            "gap_error": math.hypot(loss_error, known_error),
            "excess": excess,
            "excess_error": excess_error,
            "predicted_excess": 0.5 * theirs.curvature * made.shift**2,
            "predicted_excess_error": theirs.curvature
            * made.shift_error
            * math.hypot(made.shift, made.shift_error / 2**0.5),
        }
    )


def _at(
    objective: Objective, theta: Tensor, direction: Tensor, alphas: Iterable[float]
) -> list[tuple[Tensor, Tensor]]:
    """Losses and weights of all examples at some points of a line."""

    def read(made: Pass) -> tuple[Tensor, Tensor]:
        return made.losses.cpu(), made.weights.cpu()

    start, along = theta.to(objective.device), direction.to(objective.device)
    return at_points(objective, start, (alpha * along for alpha in alphas), read)


def _lines(
    objective: Objective,
    test: Objective,
    theta: Tensor,
    direction: Tensor,
    alphas: Float64[np.ndarray, " alpha"],
) -> list[Profile]:
    """The losses of both along one direction."""
    made = []
    for one in (objective, test):
        found = _at(one, theta, direction, alphas.tolist())
        weights = found[0][1]
        means = [weighted_mean_and_error(losses, weights) for losses, _ in found]
        made.append(Profile(torch.stack([losses for losses, _ in found]), weights, means))
    return made


def _valley(line: Profile, alphas: Float64[np.ndarray, " alpha"]) -> Valley:
    """The bottom of a line of losses; NaN where it lies at an end, or the line is flat."""
    losses, weights = line.losses, line.weights
    nowhere = Valley(math.nan, math.nan, math.nan)
    means = np.array([mean for mean, _ in line.means])
    if not np.isfinite(means).any():
        return nowhere
    k, h = int(np.nanargmin(means)), float(alphas[1] - alphas[0])
    if not 0 < k < len(alphas) - 1:
        return nowhere
    left, middle, right = losses[k - 1], losses[k], losses[k + 1]
    slopes, bends = (right - left) / (2 * h), (left - 2 * middle + right) / h**2
    slope, _ = weighted_mean_and_error(slopes, weights)
    bend, _ = weighted_mean_and_error(bends, weights)
    if not bend > 0 or not math.isfinite(bend):
        return nowhere
    move = -slope / bend
    _, error = weighted_mean_and_error(slopes + move * bends, weights)
    return Valley(float(alphas[k]) + move, error / bend, bend)


def _alphas(span: Sequence[float | int], steps: int) -> Float64[np.ndarray, " alpha"]:
    ends = tuple(span)
    if len(ends) != 2 or not all(math.isfinite(v) for v in ends) or not ends[0] < ends[1]:
        raise InvalidArgument(
            f"span must be two numbers, the first below the second; got {span!r}.", code="E-H31"
        )
    return np.linspace(float(ends[0]), float(ends[1]), steps)


def _check_same(objective: Objective, test: Objective) -> None:
    """Raise unless both have the same parameters."""
    ours, theirs = ([(e.name, e.shape) for e in o.space.entries] for o in (objective, test))
    if ours != theirs:
        wrong = [name for name, _ in set(ours) ^ set(theirs)] or ["their order"]
        raise InvalidArgument(
            f"test must have the parameters of the objective; they differ in {sorted(wrong)[0]!r}.",
            fix="build both from the same model.",
            code="E-H30",
        )
