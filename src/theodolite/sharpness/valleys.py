"""Train and test loss along the same lines: valleys shifted against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.directions import random_directions
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.sharpness.arguments import at_least, facts, point_of, vectors
from theodolite.sharpness.perturbed import mean_and_error, weighted_mean_and_error
from theodolite.sharpness.valley_errors import (
    QUANTITIES,
    Influence,
    error_over_examples,
    influence,
)
from theodolite.sharpness.valley_lines import Profile, losses_at, profiles, valley


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
        a valley has no bottom inside the span. ``mean_absolute_shift``, ``mean_gap``,
        ``mean_excess`` and ``mean_predicted_excess`` over the directions that have both minima:
        ``_error`` is the standard error over directions, for other random ones;
        ``_example_error`` that over examples, which all directions share, for these ones.
        ``train_loss(direction, alpha)`` and ``test_loss``, the valleys themselves, with their
        errors.

    Notes
    -----
    Costs ``steps + 2`` F of both objectives a direction; holds all losses of a line, and eight
    numbers by example for each. Minima come from a parabola through three points of the grid:
    make `span` narrow enough for it. Errors come from the influence of every example on the
    minima, and through them on gap and excess (delta method), the two data sets taken as
    independent samples; excess and prediction are squares of a shift, and have the variance of a
    Gaussian's as well. They cannot be negative, so where there is no shift at all they lie
    above it by about their error. Losses are means by example, also for objectives that are
    sums. Not checked: that theta is near a
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
    shifts, influences, curves, weights = [], [], [], []
    for row in rows:
        lines = profiles((objective, test), point, row.to(point), alphas)
        shift, moved = _measured(objective, test, point, row.to(point), alphas, lines)
        shifts.append(shift)
        influences += [] if moved is None else [moved]
        curves.append([line.means for line in lines])
        weights = [line.weights for line in lines]
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
    variables |= _means(columns, influences, weights)
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
) -> tuple[Shift, Influence | None]:
    """What both valleys along one direction say of each other."""
    ours, theirs = (valley(line, alphas) for line in lines)
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
        return made, None
    ((own, weights),) = losses_at(objective, theta, direction, [ours.minimum])
    (there, others), (lowest, _) = losses_at(test, theta, direction, [ours.minimum, theirs.minimum])
    values = {
        "gap": mean_of(there, others) - mean_of(own, weights),
        "excess": mean_of(there - lowest, others),
        "predicted_excess": 0.5 * theirs.curvature * made.shift**2,
    }
    slope = lines[1].slope(alphas, ours.minimum)
    found = influence(ours, theirs, own, there, lowest, slope)
    errors = {
        f"{name}_error": error_over_examples([found], name, (weights, others)) for name in values
    }
    return replace(made, **values, **errors), found


def mean_of(losses: Tensor, weights: Tensor) -> float:
    """The weighted mean over examples."""
    return weighted_mean_and_error(losses, weights)[0]


def _means(
    columns: Mapping[str, Float64[np.ndarray, " direction"]],
    influences: Sequence[Influence],
    weights: Sequence[Tensor],
) -> dict[str, results.Variable]:
    """Means over the directions that have both minima, with both kinds of error."""
    variables: dict[str, results.Variable] = {}
    known = np.isfinite(columns["excess"])
    for name in ("absolute_shift", *QUANTITIES):
        values = np.abs(columns["shift"]) if name == "absolute_shift" else columns[name]
        mean, error = mean_and_error(values[known]) if known.any() else (np.nan, np.nan)
        long = f"mean {name.replace('_', ' ')} over directions"
        variables[f"mean_{name}"] = ((), mean, {"long_name": long})
        variables[f"mean_{name}_error"] = ((), error, {"long_name": f"standard error: {long}"})
        if name != "absolute_shift":
            spread = error_over_examples(influences, name, weights) if influences else np.nan
            notes = {"long_name": f"standard error over examples: {long}"}
            variables[f"mean_{name}_example_error"] = ((), spread, notes)
    return variables


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
