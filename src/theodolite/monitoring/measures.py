"""What is measured at one moment of a training, each measure a row of one table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from theodolite import seeds
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.monitoring.moment import Moment, Values
from theodolite.monitoring.stability import Stability
from theodolite.noise import gradient_noise_scale
from theodolite.objective import Objective
from theodolite.operators import hessian, preconditioned
from theodolite.sharpness.batchwise import batches_of

PAIRS = 180
"""Forward passes that the first eigenvalues of a training mostly take, cold."""


@dataclass(frozen=True)
class Measure:
    """A measure: what its values are called, and the function that makes them at a `Moment`.

    The function may return less than ``names``, and more: values are logged by their names. It
    must not change the model; what it draws from global generators is put back. ``passes`` is
    about what it costs in forward passes, for the first measurement's budget; 0 where unknown.
    """

    name: str
    names: Mapping[str, str]
    function: Callable[[Moment], Values]
    passes: float | int = 0


def loss(moment: Moment) -> Values:
    """The loss over the objective's data, and the accuracy where there is one; 1 F."""
    return moment.objective.metrics(moment.theta)


def gradient(moment: Moment) -> Values:
    """The norm of the gradient over the objective's data; 3 F."""
    found = moment.objective.gradient(moment.theta)
    return {"gradient_norm": _norm(found)}


def path(moment: Moment) -> Values:
    r"""How far training has come, and the angle between its last two updates; no pass.

    .. math:: \cos\alpha = \frac{u_t \cdot u_{t-1}}{|u_t|\,|u_{t-1}|}, \qquad
        u_t = \theta_t - \theta_{t-1}
    """
    found = {"distance_from_start": _norm(moment.theta.double() - moment.start.double())}
    if moment.before is None:
        return found
    now, one, two = (v.double() for v in (moment.theta, *moment.before))
    last, previous = now - one, one - two
    lengths = _norm(last), _norm(previous)
    found["step_length"] = lengths[0]
    if min(lengths) == 0:  # a gradient scaler skips steps, or the learning rate is zero
        moment.notes.append(f"step {moment.step}: the parameters did not move in one of two steps.")
        return found
    cosine = float(last @ previous) / (lengths[0] * lengths[1])
    found["step_angle"] = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
    return found


def eigenvalues(moment: Moment) -> Values:
    """The largest eigenvalues of the Hessian, each within its residual of a true one."""
    found = moment.pairs("Hessian", moment.hessian)
    return {
        "eigenvalue": found.values.tolist(),
        "residual": found.residuals.tolist(),
        "miss_probability": min(1.0, found.miss_probability),
        "products": found.products,
    }


def threshold(moment: Moment) -> Values:
    r"""The sharpness in the optimizer's units against the threshold of its update rule.

    .. math:: s = \lambda_{\max}(P^{-1/2} (H + W) P^{-1/2})

    with P and W as in `stability`; where P is the identity this is the eigenvalue of H, and costs
    nothing more.
    """
    rule = moment.stability()
    found = {"learning_rate": rule.learning_rate, "threshold": rule.threshold}
    if rule.units is None and isinstance(rule.decay, float):
        pairs, shift = moment.pairs("Hessian", moment.hessian), rule.decay
    else:
        pairs, shift = moment.pairs(f"{rule.rule} units", lambda: _seen_by(rule, moment)), 0.0
    sharp, residual = float(pairs.values[0]) + shift, float(pairs.residuals[0])
    return found | {
        "sharpness": sharp,
        "sharpness_residual": residual,
        "relative_sharpness": sharp / rule.threshold,
        "relative_residual": residual / rule.threshold,
    }


def _seen_by(rule: Stability, moment: Moment) -> Operator:
    """The Hessian with weight decay, in the units of the optimizer."""
    plain = moment.hessian()
    shift = torch.as_tensor(rule.decay).to(plain.device, plain.dtype).expand(plain.size)

    def shifted(columns: Tensor) -> Tensor:
        assert plain.matmat is not None
        return plain.matmat(columns) + shift[:, None] * columns.to(shift)

    operator = Operator(
        lambda v: plain.matvec(v) + shift * v.to(shift),
        plain.size,
        plain.dtype,
        "Hessian with weight decay",
        plain.device,
        shifted,
    )
    units = torch.ones(plain.size) if rule.units is None else rule.units
    return preconditioned(operator, units)


def batch_sharpness(moment: Moment) -> Values:
    r"""The curvature of batches along their own gradients, over disjoint random batches.

    .. math:: E_B\left[\frac{g_B^\top H_B\, g_B}{|g_B|^2}\right] \qquad \text{and} \qquad
        \frac{E_B[g_B^\top H_B\, g_B]}{E_B[|g_B|^2]}

    Under stochastic gradient descent the first settles at :math:`2/\eta` while the sharpness of
    the full loss stays below (Andreyev, Beneventano 2024, arXiv:2412.20553). Errors are
    standard errors over batches; about 15 F of each batch.
    """
    settings = moment.settings
    size = cast(int, settings.batch_size)
    seed = seeds.child_seed(settings.seed, "batch sharpness", moment.step)
    parts = batches_of(moment.objective, moment.theta, size, seed)
    forms = np.array([_form(b, moment) for b in itertools.islice(parts, settings.batches)])
    forms = forms[forms[:, 1] > 0] if len(forms) else np.empty((0, 2))
    if not len(forms):
        raise InvalidArgument(
            "the gradient of every batch is zero.",
            why="training has come to rest, or no unit is active.",
            code="E-M15",
        )
    bent, squares = forms.T
    shares, ratio = bent / squares, bent.sum() / squares.sum()
    return {
        "batch_sharpness": float(shares.mean()),
        "batch_sharpness_error": _error(shares),
        "batch_sharpness_ratio": float(ratio),
        "batch_sharpness_ratio_error": _error((bent - ratio * squares) / squares.mean()),
    }


def noise_scale(moment: Moment) -> Values:
    r"""The simple noise scale, with its interval over the monitor's examples; 6 to 9 F.

    .. math:: B_{\text{simple}} = \frac{\operatorname{tr} \Sigma}{\|G\|^2}

    of which the monitor's data are a sample: noise is taken off the squared norm of their
    gradient. To first order it is the critical batch size. Infinite, which is logged as missing,
    where the gradient may be zero within its error.
    """
    objective = moment.objective
    found = gradient_noise_scale(
        objective, theta=moment.theta, population="distribution", curvature=False
    )
    names = ("simple", "simple_low", "simple_high", "covariance_trace", "gradient_norm_squared")
    simple, low, high, trace, squared = (float(found[n]) for n in names)
    if squared <= 0:
        moment.notes.append(
            f"step {moment.step}: the gradient is zero within its error; the noise scale has no "
            "upper end."
        )
    return {
        "noise_scale": simple,
        "noise_scale_low": low,
        "noise_scale_high": high,
        "noise_trace": trace,
        "signal": squared,
    }


def _form(batch: Objective, moment: Moment) -> tuple[float, float]:
    """g'Hg and g'g of one batch."""
    own = batch.gradient(moment.theta)
    engine = "differences" if moment.settings.engine == "differences" else "recompute"
    product = hessian(batch, moment.theta, engine=engine, verify=False).matvec(own)
    wide = own.double()
    return float(wide @ product.double()), float(wide @ wide)


def _error(samples: np.ndarray) -> float:
    """The standard error of a mean; NaN for one sample."""
    return float(samples.std(ddof=1) / math.sqrt(len(samples))) if len(samples) > 1 else math.nan


def _norm(vector: Tensor) -> float:
    return float(torch.linalg.vector_norm(vector.double()))


MEASURES = {
    m.name: m
    for m in (
        Measure(
            "loss",
            {
                "loss": "mean loss over the monitor's data",
                "loss_error": "standard error of the mean loss",
                "accuracy": "share of right answers on the monitor's data",
                "accuracy_error": "standard error of the share of right answers",
            },
            loss,
            1,
        ),
        Measure("gradient", {"gradient_norm": "norm of the gradient"}, gradient, 3),
        Measure(
            "path",
            {
                "distance_from_start": "distance from the start of training",
                "step_length": "length of the last update",
                "step_angle": "angle between the last two updates, degrees",
            },
            path,
        ),
        Measure(
            "eigenvalues",
            {
                "eigenvalue": "largest eigenvalues of the Hessian",
                "residual": "residual |A v - lambda v|",
                "miss_probability": "bound on the chance that a larger eigenvalue was overlooked",
                "products": "Hessian products for the eigenvalues",
            },
            eigenvalues,
            PAIRS,
        ),
        Measure(
            "threshold",
            {
                "learning_rate": "learning rate, the largest of all groups",
                "threshold": "sharpness at which the update rule becomes unstable",
                "sharpness": "largest eigenvalue in the units of the optimizer",
                "sharpness_residual": "residual of the sharpness",
                "relative_sharpness": "sharpness over the threshold",
                "relative_residual": "residual of the sharpness over the threshold",
            },
            threshold,
            PAIRS,
        ),
        Measure(
            "batch_sharpness",
            {
                "batch_sharpness": "mean curvature of batches along their gradients",
                "batch_sharpness_error": "standard error over batches",
                "batch_sharpness_ratio": "the same, as a ratio of means",
                "batch_sharpness_ratio_error": "standard error over batches of the ratio",
            },
            batch_sharpness,
            9,
        ),
        Measure(
            "noise_scale",
            {
                "noise_scale": "simple noise scale, in examples",
                "noise_scale_low": "lower end of its interval",
                "noise_scale_high": "upper end of its interval",
                "noise_trace": "trace of the covariance of gradients of single examples",
                "signal": "squared norm of the gradient, noise taken off",
            },
            noise_scale,
            8,
        ),
    )
}
"""The measures by name, in the order they are made."""
