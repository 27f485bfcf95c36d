"""Curves of low loss between two points of parameter space."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.connectivity.aligning import aligned
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.bending import Bent, Training, bent, mixed
from theodolite.connectivity.ends import end_of, passed, recomputed
from theodolite.connectivity.families import KINDS, arc_lengths, coefficients
from theodolite.connectivity.function_lengths import function_lengths
from theodolite.connectivity.heights import measured
from theodolite.connectivity.linear import curves, facts, pair_of
from theodolite.connectivity.rates import first_that_stays, rates_of
from theodolite.connectivity.segments import Advance, Along, along, one_dtype
from theodolite.errors import InvalidArgument, TheodoliteWarning, UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass


def curve(
    objective: Objective,
    a: Any,
    b: Any,
    *,
    kind: str = "bezier",
    points: int = 1,
    steps: int = 600,
    learning_rate: float | str = "auto",
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    longest: float = 3.0,
    align: Any = None,
    test: Objective | None = None,
    places: int = 25,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    progress: Advance | None = None,
) -> xr.Dataset:
    r"""A curve from one point to another along which the loss was trained to be low.

    .. math:: \theta(t) = \sum_k c_k(t)\, w_k, \qquad w_0 = \theta_a,\; w_n = \theta_b, \qquad
        \min_{w_1 \dots w_{n-1}} \int_0^1 L(\theta(t))
        + \tfrac\lambda2 \lVert\theta(t)\rVert^2\, dt

    Parameters
    ----------
    a, b
        The ends, as for `barrier`; they do not move.
    kind
        ``"bezier"``, or ``"polychain"`` of straight pieces.
    points
        Inner control points :math:`w_k`, which begin evenly spaced on the straight line.
    steps, learning_rate, momentum, weight_decay
        Of SGD, a batch of the objective and a place t a step. The rate is scaled so that the
        place drawn moves by no more than a step of plain SGD would move it: the rate at which
        networks of this kind train will do. It falls off in the second half. :math:`\lambda` is
        the weight decay. ``"auto"`` begins with a rate of 0.1 and, where training runs away,
        begins again at a third of it, four times at most (``attrs["rates_tried"]``).
    longest
        Training stops where the polygon of the control points becomes longer than so many
        straight lines, at the last points before (``attrs["stopped"]``), with a warning (E-A21).
        With ``"auto"`` the warning comes only if the smallest rate runs away as well.
    align
        Put the units of `b` beside those of `a` first, as for `barrier`.
    test, places, refine, level, resamples
        Of the measurement, as for `barrier`; ``places`` are its ``steps``.
    progress
        Called as ``progress("step", done, of)`` while training, then as that of `barrier`.

    Returns
    -------
    xarray.Dataset
        With dimension ``t`` what `barrier` has with ``alpha``, and its measures. Also ``arc(t)``,
        the length up to a place; ``max_loss`` and ``mean_loss`` over t, and ``arc_mean_loss``
        over the length (with ``test_``); ``length`` and ``length_ratio``, over the straight line;
        for class labels ``function_length`` and ``function_chord``: the mean over examples of the
        length of the way of their probabilities, in the metric of Fisher and Rao, and of one
        step from end to end; ``control_points(control, parameter)``, the inner ones,
        ``ends(end, parameter)`` and ``coefficients(t, point)``, the shares of a, the inner points
        and b; ``training_loss(step)``.

    Raises
    ------
    InvalidArgument
        For another kind, or a number out of range (E-A20, E-A01, E-A02), two ends that are one
        (E-A20); else as `barrier`.
    UnsupportedModel
        For an objective shared by processes (E-A22).

    Notes
    -----
    Costs about 3 F a batch for every step, then the passes of `barrier` and for class labels one
    more for each place. Holds ``2 points + 6`` vectors of the network's size besides. Places are
    stratified: of every eight steps one falls in each eighth of the curve. BatchNorm layers
    normalize by the batch in training, so batches must not be small, and are measured with
    statistics recomputed at every place; nothing of the ends' own statistics is used. Not
    checked: that no better curve exists. The loss at the places between those measured can be
    higher.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026. Draxler, Veschgini,
    Salmhofer, Hamprecht (2018), arXiv:1803.00885.

    Examples
    --------
    >>> class Ring(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    ...     def forward(self, x):
    ...         return x * ((self.w**2).sum() - 1)
    >>> ring = Objective(Ring(), torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> ends = torch.eye(2)  # on the straight line between them the loss rises to 1/4
    >>> found = curve(ring, *ends, learning_rate=0.01)
    >>> float(found.barrier) < 0.001
    True
    """
    rates = rates_of(learning_rate)
    how = Training(kind, points, steps, rates[0], momentum, weight_decay, longest, seed)
    _check(objective, how)
    count(places, "places", least=3)
    count(refine, "refine", least=0)
    count(resamples, "resamples", least=1)
    share(level, "level")
    objectives = {p: recomputed(o) for p, o in pair_of(objective, test).items()}
    ends = one_dtype(*(end_of(objectives[""], v, n) for v, n in ((a, "a"), (b, "b"))))
    matching = aligned(objectives[""], ends, align, seed=seed)
    ends = matching.ends
    if torch.equal(ends[0].theta, ends[1].theta):
        raise InvalidArgument("a and b are one point: no curve leads between.", code="E-A20")
    made, tried = first_that_stays(
        rates,
        lambda rate: bent(
            objective, ends[0].theta, ends[1].theta, replace(how, learning_rate=rate), progress
        ),
    )
    if made.stopped:
        warnings.warn(
            TheodoliteWarning(
                f"the curve was left after {len(made.losses)} of {steps} steps "
                f"({made.stopped}); its last points before are kept. Use a smaller "
                "learning_rate, or a larger longest. [E-A21]"
            ),
            stacklevel=2,
        )
    at = partial(_at, made.controls, kind)
    path = along(objectives, at, steps=places, refine=refine, progress=progress)
    found = curves(path) | measured(path, level=level, resamples=resamples, seed=seed)
    point = partial(_point, made.controls, kind)
    found = {k: (tuple("t" for _ in d), v, notes) for k, (d, v, notes) in found.items()}
    told = {"long_name": "place on the curve, from a to b"}
    return results.dataset(
        "curve",
        found | _lengths(path, made, kind) | function_lengths(objectives[""], path.alphas, point),
        {"t": ("t", path.alphas, told), "control": np.arange(1, points + 1)},
        **facts(objectives[""], test, ends),
        **matching.facts,
        kind=kind,
        points=points,
        steps=steps,
        learning_rate=tried[-1],
        rates_tried=tried,
        momentum=float(momentum),
        weight_decay=float(weight_decay),
        longest=float(longest),
        stopped=made.stopped,
        level=float(level),
        resamples=resamples,
        seed=seed,
        passes=len(path.alphas) * len(objectives),
    )


def _check(objective: Objective, how: Training) -> None:
    if how.kind not in KINDS:
        raise InvalidArgument(
            f"kind must be one of {', '.join(map(repr, KINDS))}; got {how.kind!r}.", code="E-A20"
        )
    count(how.points, "points", least=1)
    count(how.steps, "steps", least=1)
    for name, value, fits, allowed in (
        ("momentum", how.momentum, 0 <= how.momentum < 1, "at least 0 and below 1"),
        ("weight_decay", how.weight_decay, how.weight_decay >= 0, "0 or more"),
        ("longest", how.longest, how.longest > 1, "above 1, the straight line"),
    ):
        if not fits or not np.isfinite(value):
            raise InvalidArgument(f"{name} must be {allowed}; got {value!r}.", code="E-A20")
    if objective.ranks is not None:
        raise UnsupportedModel(
            "a curve cannot be trained where processes share an objective.",
            fix="build the objective without process_group.",
            code="E-A22",
        )


def _point(controls: Tensor, kind: str, t: float) -> Tensor:
    return mixed(coefficients(kind, len(controls), np.array(t)), controls)


def _at(controls: Tensor, kind: str, objective: Objective, t: float) -> Pass:
    return passed(objective, _point(controls, kind, t), {})


def _lengths(path: Along, made: Bent, kind: str) -> dict[str, results.Variable]:
    """Length of the curve, means of the loss over t and over the length, and what was trained."""
    wide = (made.controls - made.controls[0]).double()
    arc = arc_lengths(kind, (wide @ wide.T).cpu().numpy(), path.alphas)
    chord = float(wide[-1].norm())
    found: dict[str, results.Variable] = {
        "arc": (("t",), arc, {"long_name": "length of the curve up to here"}),
        "length": ((), arc[-1], {"long_name": "length of the curve"}),
        "length_ratio": ((), arc[-1] / chord, {"long_name": "length over the straight line"}),
        "control_points": (
            ("control", "parameter"),
            made.controls[1:-1].cpu().numpy(),
            {"long_name": "inner control points"},
        ),
        "ends": (
            ("end", "parameter"),
            made.controls[[0, -1]].cpu().numpy(),
            {"long_name": "both ends"},
        ),
        "coefficients": (
            ("t", "point"),
            coefficients(kind, len(made.controls), path.alphas),
            {"long_name": "shares of a, the inner control points and b"},
        ),
        "training_loss": (("step",), made.losses, {"long_name": "loss of the steps' batches"}),
    }
    for prefix in path.passes:
        losses = path.losses(prefix)
        losses = losses if np.isfinite(losses).all() else np.full(len(losses), np.nan)
        split = "test " if prefix else ""
        for name, value, words in (
            ("max_loss", losses.max(), "largest {}loss"),
            ("mean_loss", np.trapezoid(losses, path.alphas), "mean {}loss over t"),
            ("arc_mean_loss", np.trapezoid(losses, arc) / arc[-1], "mean {}loss over the length"),
        ):
            found[prefix + name] = ((), value, {"long_name": words.format(split)})
    return found
