"""Errors of what valleys say, over examples that all lines share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite.sharpness.valley_lines import Valley

QUANTITIES = ("gap", "excess", "predicted_excess")


@dataclass(frozen=True, eq=False)
class Influence:
    """How each example moves what one line says, to first order and but for a constant.

    ``moved`` holds for the shift and every quantity the influences of training and of test
    examples; ``curvature`` is that of the test loss, for what is of second order.
    """

    moved: dict[str, tuple[Tensor, Tensor]]
    curvature: float


def influence(
    ours: Valley, theirs: Valley, own: Tensor, there: Tensor, lowest: Tensor, slope: float
) -> Influence:
    """Of both valleys of a line, and of losses by example.

    `own` are the training losses at the training minimum, `there` and `lowest` the test losses at
    the training and at the test minimum, `slope` that of the test loss at the training minimum.
    The training loss is level there, and so is the test loss at the test minimum.
    """
    shift, bend = theirs.minimum - ours.minimum, theirs.curvature
    carried = slope * ours.moves
    steep = bend * shift
    bent = steep * theirs.moves + 0.5 * shift**2 * theirs.bends
    return Influence(
        {
            "shift": (-ours.moves, theirs.moves),
            "gap": (carried - own.double(), there.double()),
            "excess": (carried, there.double() - lowest.double()),
            "predicted_excess": (-steep * ours.moves, bent),
        },
        bend,
    )


def error_over_examples(lines: Sequence[Influence], name: str, weights: Sequence[Tensor]) -> float:
    r"""The standard error of the mean over lines of one quantity.

    .. math:: \frac1{K^2} \sum_{kl} \Bigl( C_{kl} + \tfrac12 c_k c_l \Sigma_{kl}^2 \Bigr)

    is its square, C the covariance of the quantity between lines and :math:`\Sigma` that of the
    shift, both over examples; the second term, of a gap absent, is the variance of half the
    square of a Gaussian shift, which matters where the shift is lost in its error. Training and
    test examples count as independent samples.
    """
    spread = _covariance(lines, name, weights)
    if name != "gap":
        bends = np.array([line.curvature for line in lines])
        spread = spread + 0.5 * np.outer(bends, bends) * _covariance(lines, "shift", weights) ** 2
    return math.sqrt(max(float(spread.mean()), 0.0)) if np.isfinite(spread).all() else math.nan


def _covariance(
    lines: Sequence[Influence], name: str, weights: Sequence[Tensor]
) -> Float64[np.ndarray, "line line"]:
    """Between the lines, of means over the examples of both splits."""
    total = np.zeros((len(lines), len(lines)))
    for split, one in enumerate(weights):
        rows = torch.stack([line.moved[name][split] for line in lines])
        total = total + _of_means(rows.double().numpy(), one.double().numpy())
    return total


def _of_means(
    rows: Float64[np.ndarray, "line example"], weights: Float64[np.ndarray, " example"]
) -> Float64[np.ndarray, "line line"]:
    """The covariance of weighted means, linearized as `Pass.loss_error` is."""
    used = weights != 0
    count = int(used.sum())
    if count < 2:
        return np.full((len(rows), len(rows)), np.nan)
    w, v = weights[used], rows[:, used]
    with np.errstate(all="ignore"):  # losses that are not finite give an error that is none
        gaps = w * (v - (v @ w / w.sum())[:, None])
        made: Float64[np.ndarray, "line line"] = gaps @ gaps.T
        return made * (count / (count - 1) / float(w.sum()) ** 2)
