"""The noise scale from norms of gradients of small and of large batches, as training sees them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results, seeds
from theodolite.errors import InvalidArgument
from theodolite.linalg.precision import without_autocast
from theodolite.noise.arguments import count, number, point_of, quantile
from theodolite.noise.intervals import around, with_ends
from theodolite.noise.ratios import ratio_interval
from theodolite.objective import Objective
from theodolite.objective.arrangement import subset

LONG = {
    "simple": ("simple noise scale tr(Sigma) / |G|²", "examples"),
    "covariance_trace": ("trace of the covariance of gradients", ""),
    "gradient_norm_squared": ("squared norm of the gradient", ""),
}


def two_batch_noise_scale(
    small: Any,
    large: Any,
    *,
    small_batch: int,
    large_batch: int,
    examples: int | None = None,
    level: float = 0.95,
) -> xr.Dataset:
    r"""The simple noise scale from squared norms of gradients at two batch sizes.

    .. math:: \|G\|^2 = \frac{B_2 |g_2|^2 - B_1 |g_1|^2}{B_2 - B_1}, \qquad
              \operatorname{tr} \Sigma = \frac{|g_1|^2 - |g_2|^2}{1 / B_1 - 1 / B_2}, \qquad
              B_{\text{simple}} = \frac{\overline{\operatorname{tr} \Sigma}}{\overline{\|G\|^2}}

    Parameters
    ----------
    small, large
        Squared norms, shape ``(draw,)``, the same number of both; or ``(draw, worker)``, of which
        the mean over workers is taken. A draw's small batches may be part of its large one, as
        with gradients before and after an all-reduce.
    small_batch, large_batch
        Their sizes in examples.
    examples
        Where batches are drawn without replacement from so many examples and G is their
        gradient; by default that of a distribution.
    level
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        ``simple`` (in examples), ``covariance_trace`` and ``gradient_norm_squared``, each with
        ``_low`` and ``_high``, and the two estimates of each draw.

    Notes
    -----
    Numerator and denominator are unbiased and averaged apart: the mean of ratios has no
    expectation, because the denominator comes near zero. Intervals are Fieller's, from the
    covariance of both over draws; the upper end is infinite where the gradient may be zero.
    Not checked: that the draws are independent and at one point. Draws from a running training
    mix the noise with its change.

    Raises `InvalidArgument` for sizes in the wrong order, fewer than two draws or numbers that
    are no squared norms (E-Y03, E-Y04, E-Y10).

    References
    ----------
    McCandlish, Kaplan, Amodei et al. (2018), arXiv:1812.06162, appendix A.1.

    Examples
    --------
    >>> small, large = [5.0, 7.0], [2.0, 4.0]  # means 6 and 3 at 1 and 4 examples
    >>> found = two_batch_noise_scale(small, large, small_batch=1, large_batch=4)
    >>> float(found.covariance_trace), float(found.gradient_norm_squared), float(found.simple)
    (4.0, 2.0, 2.0)
    """
    b1 = count(small_batch, "small_batch")
    b2 = count(large_batch, "large_batch", least=b1 + 1)
    over = 0.0 if examples is None else 1 / count(examples, "examples", least=b2)
    level = number(level, "level", above=0, below=1)
    first, second = _squares(small, "small"), _squares(large, "large")
    if len(first) != len(second):
        raise InvalidArgument(
            f"small and large must have as many draws; got {len(first)} and {len(second)}.",
            code="E-Y10",
        )
    spread = (first - second) / (1 / b1 - 1 / b2)
    squared = (b2 * second - b1 * first) / (b2 - b1) + over * spread
    draws = np.stack([spread, squared])
    covariance, c = np.cov(draws) / len(first), quantile(level, len(first))
    top, bottom = draws.mean(1)
    low, high = ratio_interval(float(top), float(bottom), covariance, c)
    values = {
        "simple": (top / bottom if bottom > 0 else math.inf, max(low, 0.0), high),
        "covariance_trace": around(float(top), covariance[0, 0], c),
        "gradient_norm_squared": around(float(bottom), covariance[1, 1], c),
    }
    variables = with_ends(values, LONG)
    for name, row in zip(("covariance_trace", "gradient_norm_squared"), draws, strict=True):
        variables[f"{name}_draw"] = (("draw",), row, {"long_name": f"{LONG[name][0]}, one draw"})
    return results.dataset(
        "two_batch_noise_scale",
        variables,
        {"draw": np.arange(len(first))},
        small_batch=b1,
        large_batch=b2,
        examples=examples,
        level=level,
    )


def batch_gradient_norms(
    objective: Objective,
    *,
    batch_size: int,
    draws: int = 32,
    theta: Shaped[Tensor, " params"] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Squared norms of the gradients of random batches, drawn without replacement.

    .. math:: |g_B|^2, \qquad \mathbb E |g_B|^2 = \|G\|^2 + \operatorname{tr} \Sigma
              \left( \frac1B - \frac1N \right)

    with G the gradient of all N examples.

    Parameters
    ----------
    batch_size
        Examples in a batch, 1 to N.
    draws
        Batches, each from all examples.
    theta
        Where, shape ``(params,)``; by default ``objective.start``.

    Returns
    -------
    xarray.Dataset
        ``squared_norm(draw)``.

    Notes
    -----
    A gradient of ``batch_size`` examples a draw, ``3 B / N`` F. A batch has its own mean over the
    weights of its examples, as in training; batches in which nothing counts are drawn again.
    Other errors are those of `gradient_noise_scale`.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> at = torch.zeros(2)  # gradients (-2, 0) and (0, -4): mean (-1, -2)
    >>> batch_gradient_norms(objective, batch_size=2, draws=1, theta=at).squared_norm.values
    array([5.])
    """
    point = point_of(objective, theta)
    size = count(batch_size, "batch_size", most=objective.examples)
    draws = count(draws, "draws")
    found: list[float] = []
    turn = 0
    while len(found) < draws:
        generator = seeds.torch_generator(seed, "batch_gradient_norms", size, turn)
        turn += 1
        chosen = torch.randperm(objective.examples, generator=generator)[:size].tolist()
        made = gradient_of_batch(objective, point, chosen)
        if made is not None:
            found.append(float(made.double().square().sum()))
        elif turn > 100 * draws:
            raise InvalidArgument(
                f"hardly any batch of {size} has an example that counts.",
                fix="pass a larger batch_size.",
                code="E-Y11",
            )
    return results.dataset(
        "batch_gradient_norms",
        {"squared_norm": (("draw",), found, {"long_name": "squared norm of a batch's gradient"})},
        {"draw": np.arange(draws)},
        **objective.facts(),
        batch_size=size,
        seed=seed,
    )


def gradient_of_batch(objective: Objective, theta: Tensor, chosen: list[int]) -> Tensor | None:
    """The gradient of the mean loss of some examples; None where none of them counts."""
    made = subset(objective, chosen)
    weight = float(made.sample(theta).weights.sum())
    if weight == 0:
        return None
    object.__setattr__(made, "total_weight", weight)
    object.__setattr__(made, "scale", 1.0)
    return without_autocast(made.gradient)(theta)


def _squares(given: Any, name: str) -> Float64[np.ndarray, " draw"]:
    """Squared norms as one number a draw."""
    values = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 2 and numbers.shape[1]:
        numbers = numbers.mean(1)
    fine = numbers.ndim == 1 and len(numbers) >= 2
    if not fine or not np.isfinite(numbers).all() or (numbers < 0).any():
        raise InvalidArgument(
            f"{name} must be squared norms of two draws or more, shape (draw,) or (draw, worker), "
            f"finite and not negative; got shape {np.shape(values)}.",
            code="E-Y10",
        )
    return numbers
