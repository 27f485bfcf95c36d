"""How many steps descent takes to leave a saddle, beside what linear theory predicts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results, seeds
from theodolite.curvature.descents import Descent, Outcome, descended
from theodolite.curvature.escape_curves import Linear, Way, curve_variables
from theodolite.curvature.escape_saddles import (
    Saddle,
    added,
    beginning,
    completed,
    growth,
    predicted,
    projected,
    saddle_of,
)
from theodolite.errors import InvalidArgument

Progress = Callable[[int, int], None]
"""Called with the number of a run and of its step."""


def escape_time(
    loss: Any,
    point: Shaped[Tensor, " params"] | None = None,
    *,
    descent: Descent | None = None,
    displacement: float | Shaped[Tensor, " params"] = 1e-6,
    radius: float = 0.1,
    runs: int = 10,
    curves: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    r"""Steps until descent from beside a critical point has left it, measured and predicted.

    .. math:: T = \frac{\ln (r / \delta)}{\ln (1 + \eta |\lambda_{\min}|)}, \qquad
        \delta = |v^\top (\theta_0 - \theta^*) - v^\top g / |\lambda_{\min}||

    Parameters
    ----------
    loss
        An `Objective`, evaluated in float64, or a function of theta that returns a scalar tensor.
    point
        The critical point, with an eigenvalue below zero; by default ``objective.start``.
    descent
        The kind of descent, its rate and noise; by default ``Descent()``: gradient descent.
    displacement
        Length of a random displacement, another in every run, or the displacement itself.
    radius
        A run has escaped when :math:`|v^\top (\theta - \theta^*)|` reaches it. The prediction is
        that of the quadratic model: `radius` must be small beside where that bends.
    runs
        Independent runs.
    curves
        Also keep the way of every run.
    seed
        Of displacements, noise and batches; run `i` does not depend on `runs`.

    Returns
    -------
    xarray.Dataset
        Over ``run``: ``steps`` (NaN unless escaped), ``outcome`` ("escaped", "not escaped",
        "diverged"), ``predicted`` (T, infinite for :math:`\delta = 0`), ``projection``
        (:math:`\delta`) and ``loss_drop``. 0-d: ``median_steps``, ``lower_quartile``,
        ``upper_quartile`` of the steps, runs that did not escape counted as longer than all
        others (NaN where that is the answer); ``negative_eigenvalue`` and its ``residual``;
        ``noise_along`` (:math:`v^\top \Sigma v`) and ``noise_mean``
        (:math:`\operatorname{tr} \Sigma / n`) of the gradients of single examples, the same of
        the batches (``batch_noise_along``, ``batch_noise_mean``); NaN without data. With `curves`
        ``distance(run, step)`` along v, ``rise(run, step)`` of the loss above that at the point,
        both kept at their last value where a run has ended, and ``theory(step)``, the distance of
        the quadratic model, for at most 202 steps. attrs:
        ``gradient_norm`` at the point and the settings.

    Notes
    -----
    v is the eigenvector of the smallest eigenvalue; where that is repeated, one of them. With
    gradient descent on a quadratic the steps are T rounded up. With noise, :math:`\delta` is
    replaced by the root of :math:`\delta^2` and the variance it adds along v:
    :math:`\eta^2 v^\top \Sigma_B v / ((1 + \eta |\lambda|)^2 - 1)` for noise at every step,
    :math:`\rho^2 / (n + 2)` for the first jump of radius :math:`\rho`; a typical value then, not
    that of one run. Noise without a part along v does not escape, whatever its size: symmetric
    networks and duplicated units stay. Runs go one after another; a step costs one gradient
    (3 F), or that of a batch; `curves` cost 1 F at no more than about 200 steps of a run, and 100
    at every doubling from there. Memory: the vectors of `ritz_pairs` for one pair, and 22 more; a
    gradient of every batch. Not checked: that the gradient at `point` is
    zero otherwise than along v.

    Raises `InvalidArgument` for a point without a certain negative eigenvalue (E-K35), settings
    out of range (E-K36), batches asked of a loss that has fewer than two (E-K33);
    `NotConverged` where the smallest eigenvalue was not found.

    References
    ----------
    Lee, Simchowitz, Jordan, Recht (2016), COLT (without noise, from almost everywhere).
    Jin et al. (2017), arXiv:1703.00887 (perturbed). Daneshmand, Kohler, Lucchi, Hofmann (2018),
    arXiv:1803.05999 (noise along negative curvature).

    Examples
    --------
    >>> def saddle(t):
    ...     return (t[0] ** 2 - t[1] ** 2) / 2
    >>> at, beside = torch.zeros(2), torch.tensor([0.0, 1e-3])
    >>> left = escape_time(saddle, at, displacement=beside, runs=1)
    >>> float(left.steps[0]), round(float(left.predicted[0]), 2)  # ln(100) / ln(1.1)
    (49.0, 48.32)
    """
    chosen = Descent() if descent is None else descent
    _require(radius, runs, displacement)
    return escapes_from(
        saddle_of(loss, point, radius=radius, seed=seed),
        chosen,
        displacement=displacement,
        runs=runs,
        curves=curves,
        seed=seed,
    )


def escapes_from(
    saddle: Saddle,
    descent: Descent,
    *,
    displacement: float | Shaped[Tensor, " params"],
    runs: int,
    curves: bool,
    seed: int,
    progress: Progress | None = None,
) -> xr.Dataset:
    """The runs of `escape_time` from a saddle that is known, for one descent of several.

    `progress` is called as ``progress(run, step)`` before every step.
    """
    chosen = completed(descent, saddle)
    watched = (curves, progress)
    made = [_run(saddle, chosen, displacement, seed, run, watched) for run in range(runs)]
    facts = {
        "radius": saddle.line.radius,
        "runs": runs,
        "seed": seed,
        "gradient_norm": float(saddle.slope.norm()),
    }
    if not isinstance(displacement, Tensor):
        facts["displacement"] = float(displacement)
    return _dataset(saddle, chosen, made, facts, curves)


@dataclass(frozen=True)
class _Run:
    steps: int
    outcome: Outcome
    projection: float
    predicted: float
    loss_drop: float
    way: Way


def _run(
    saddle: Saddle,
    chosen: Descent,
    displacement: float | Tensor,
    seed: int,
    run: int,
    watched: tuple[bool, Progress | None],
) -> _Run:
    field, line = saddle.field, saddle.line
    start = beginning(saddle, displacement, seed, run)
    generator = seeds.torch_generator(seed, "escape noise", run)
    curves, progress = watched
    way, seen = Way(field, line), itertools.count()

    def watch(theta: Tensor) -> None:
        if curves:
            way.seen(theta)
        if progress is not None:
            progress(run, next(seen))

    steps, end, outcome = field.guarded(
        lambda: descended(field, start, line, chosen, generator, watch)
    )
    projection = projected(saddle, start)
    drop = field.value(line.origin) - field.value(end)
    if curves:
        way.ended(end)
    return _Run(steps, outcome, projection, predicted(saddle, chosen, projection), drop, way)


def _dataset(
    saddle: Saddle, chosen: Descent, made: list[_Run], facts: dict[str, Any], curves: bool
) -> xr.Dataset:
    escaped = np.array([r.outcome == "escaped" for r in made])
    steps = np.where(escaped, [float(r.steps) for r in made], np.inf)
    low, median, high = np.quantile(steps, [0.25, 0.5, 0.75], method="inverted_cdf")
    over_runs = {
        "steps": (_known(steps), "steps until the radius was reached"),
        "outcome": ([r.outcome for r in made], "escaped, not escaped or diverged"),
        "predicted": ([r.predicted for r in made], "steps of the quadratic model"),
        "projection": ([r.projection for r in made], "displacement along the direction"),
        "loss_drop": ([r.loss_drop for r in made], "loss at the point minus loss at the end"),
    }
    noise = saddle.noise
    single = {
        "median_steps": (_known(median), "median of the steps"),
        "lower_quartile": (_known(low), "lower quartile of the steps"),
        "upper_quartile": (_known(high), "upper quartile of the steps"),
        "negative_eigenvalue": (saddle.eigenvalue, "smallest eigenvalue of the Hessian"),
        "residual": (saddle.residual, "residual of the eigenvalue"),
        "noise_along": (noise.along, "variance of example gradients along the direction"),
        "noise_mean": (noise.mean, "mean variance of example gradients over directions"),
        "batch_noise_along": (noise.batch_along, "variance of batch gradients along it"),
        "batch_noise_mean": (noise.batch_mean, "mean variance of batch gradients"),
    }
    variables: dict[str, results.Variable] = {
        name: (dims, values, {"long_name": text})
        for dims, group in ((("run",), over_runs), ((), single))
        for name, (values, text) in group.items()
    }
    coords: dict[str, Any] = {"run": np.arange(len(made))}
    if curves:
        start = float(np.median([r.projection for r in made]))
        jump = chosen.method == "perturbed"
        linear = Linear(start, growth(saddle, chosen), added(saddle, chosen), jump)
        ways, coords["step"] = curve_variables([r.way for r in made], linear)
        variables |= ways
    return results.dataset(
        "escape_time",
        variables,
        coords,
        **{
            **saddle.field.facts,
            **_settings(chosen),
            **facts,
        },
    )


def _settings(descent: Descent) -> dict[str, Any]:
    """What a descent depends on."""
    names = ["method", "rate", "noise", "max_steps"]
    names += ["threshold", "wait"] if descent.method == "perturbed" else []
    return {name: getattr(descent, name) for name in names}


def _known(steps: Any) -> Any:
    return np.where(np.isfinite(steps), steps, np.nan)


def _require(radius: float, runs: int, displacement: float | Tensor) -> None:
    number = not isinstance(displacement, Tensor)
    if not 0 < radius < math.inf or runs < 1 or (number and not 0 <= float(displacement) < radius):
        raise InvalidArgument(
            "radius must be positive, runs at least 1 and displacement at least 0 and below "
            f"radius; got {radius}, {runs} and {displacement}.",
            code="E-K36",
        )
