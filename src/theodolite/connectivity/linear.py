"""The loss on the straight segment between two points of parameter space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr

from theodolite import results
from theodolite.connectivity.aligning import aligned
from theodolite.connectivity.arguments import count, share
from theodolite.connectivity.ends import End, end_of, how_normalized
from theodolite.connectivity.heights import measured
from theodolite.connectivity.segments import Advance, Along, along, between, distance, one_dtype
from theodolite.objective import Objective
from theodolite.objective.same_space import check_same_space


def barrier(
    objective: Objective,
    a: Any,
    b: Any,
    *,
    align: Any = None,
    test: Objective | None = None,
    steps: int = 25,
    refine: int = 8,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    progress: Advance | None = None,
) -> xr.Dataset:
    r"""How high the loss rises on the straight line from one point to another.

    .. math:: L(\alpha) = L((1 - \alpha)\,\theta_a + \alpha\,\theta_b), \qquad
        \text{barrier} = \max_{0 \le \alpha \le 1}
        L(\alpha) - \bigl((1 - \alpha) L(0) + \alpha L(1)\bigr)

    Parameters
    ----------
    a, b
        The ends: flat tensors of shape ``(params,)`` or state dicts (files are read by
        ``theodolite.training.load_state``).
    align
        Put the units of `b` beside those of `a` first: a method of `match` (``"weights"``,
        ``"activations"``, ``"straight-through"``), a `Matching`, or permutations by group.
    test
        A second objective of the same model, measured at the same places.
    steps
        Evenly spaced places, both ends included, 3 or more.
    refine
        Passes spent at most on each maximum (of the loss and of its rise above the chord, for
        each objective), between the neighbors of the highest place; 0 for none.
    level, resamples
        Of the bootstrap intervals.
    progress
        Called as ``progress("place", done, of)`` after every place.

    Returns
    -------
    xarray.Dataset
        ``barrier`` (largest rise above the chord: Entezari et al.), ``instability`` (largest loss
        minus the mean of the ends: Frankle et al.), ``saddle_excess`` (largest loss minus the
        larger of the ends: Draxler et al.) and ``area`` (the integral of the loss minus the
        chord, which may be negative), each with ``_low`` and ``_high``; with class labels the
        same of the share of wrong answers (``error_barrier``, ...), and of the test objective
        (``test_barrier``, ``test_error_barrier``, ...).
        The curves behind them: ``loss`` and ``loss_error`` (standard error over examples) with
        dimension ``alpha``; ``accuracy`` and ``accuracy_error`` for class labels; the same with
        ``test_``; ``refined`` (1 where a place was added around a maximum); ``status`` (1 ok,
        2 diverged: a loss is not finite there, and the measures are NaN).
        Attributes: ``distance`` between the ends, ``statistics`` of normalization layers along
        the way, ``passes``; with `align` its name and ``distance_before``.

    Raises
    ------
    InvalidArgument
        For counts (E-A01) or a level (E-A02) out of range, points of other shapes, or a test
        objective of another model (E-G07).
    InvalidType, NotFinite
        For ends that are neither tensors nor state dicts (E-V03), or hold NaN (E-G06).
    InvalidData
        For a state dict whose running statistics are of another shape or not finite (E-A04).

    Notes
    -----
    Costs `steps` passes (F) and up to twice `refine` more for each objective, over the data of
    each; holds a number for every example and place. Ends are evaluated once and are exactly `a`
    and `b`; the ends count as places, so no measure but ``area`` is below zero. Intervals are
    percentiles over resampled examples, each with its losses at all places; whatever else
    varies, the trainings above all, is not in them: repeat with other pairs. They are wide of
    the truth where the maximum is that of many nearly equal places, or zero.

    BatchNorm: with ``batch_norm="recompute"`` statistics are made anew at every place. With
    ``"frozen"`` those of two state dicts are mixed as the weights are, which is what averaging
    checkpoints does and what makes barriers look higher than they are; a flat tensor comes with
    the objective's own. Compare both with ``objective.with_batch_norm("recompute")``. Other
    buffers and frozen parameters stay the objective's, with a warning (E-A03) where those of an
    end differ. With `align`, running statistics move with their units, those of a flat tensor
    (the objective's own) too, and `match` is done with its defaults and this seed; its costs come
    on top. Not checked: maxima narrower than the grid.

    References
    ----------
    Goodfellow, Vinyals, Saxe (2014), arXiv:1412.6544. Draxler, Veschgini, Salmhofer, Hamprecht
    (2018), arXiv:1803.00885. Frankle, Dziugaite, Roy, Carbin (2020), arXiv:1912.05671. Entezari,
    Sedghi, Saukh, Neyshabur (2022), arXiv:2110.06296. Jordan, Sedghi, Saukh, Entezari, Neyshabur
    (2023), arXiv:2211.08403 (BatchNorm). Rao, Wu (1988), JASA 83.

    Examples
    --------
    >>> class Well(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(1))
    ...     def forward(self, x):
    ...         return x * (self.w**2 - 1)
    >>> one = torch.ones(2, 1)
    >>> well = Objective(Well(), torch.nn.MSELoss(), (one, 0 * one))  # (w^2 - 1)^2
    >>> found = barrier(well, -torch.ones(1), torch.ones(1))
    >>> float(found.barrier), float(found.loss[0])
    (1.0, 0.0)
    """
    count(steps, "steps", least=3)
    count(refine, "refine", least=0)
    count(resamples, "resamples", least=1)
    share(level, "level")
    objectives = pair_of(objective, test)
    ends = one_dtype(end_of(objective, a, "a"), end_of(objective, b, "b"))
    matching = aligned(objective, ends, align, seed=seed)
    ends = matching.ends
    path = along(objectives, between(*ends), steps=steps, refine=refine, progress=progress)
    variables = curves(path) | measured(path, level=level, resamples=resamples, seed=seed)
    return results.dataset(
        "barrier",
        variables,
        {"alpha": ("alpha", path.alphas, {"long_name": "share of the way from a to b"})},
        **facts(objective, test, ends),
        **matching.facts,
        steps=steps,
        refine=refine,
        level=float(level),
        resamples=resamples,
        seed=seed,
        passes=len(path.alphas) * len(objectives),
    )


def pair_of(objective: Objective, test: Objective | None) -> dict[str, Objective]:
    """The objectives by the prefix of their numbers."""
    if test is None:
        return {"": objective}
    check_same_space(objective, test, moved=True)
    return {"": objective, "test_": test}


def facts(objective: Objective, test: Objective | None, ends: tuple[End, End]) -> dict[str, Any]:
    """What a result records of its objectives and ends."""
    a, b = ends
    norms = [float(torch.linalg.vector_norm(end.theta.double())) for end in ends]
    product = float(a.theta.double() @ b.theta.double())
    behind = list(dict.fromkeys((*a.behind, *b.behind)))
    return {
        **objective.facts(),
        "distance": distance(a.theta, b.theta),
        "a_norm": norms[0],
        "b_norm": norms[1],
        "cosine": product / (norms[0] * norms[1]) if all(norms) else math.nan,
        "statistics": how_normalized(objective, a, b),
        **({"left_behind": behind} if behind else {}),
        **({} if test is None else {"test_fingerprint": test.fingerprint}),
        **({} if test is None else {"test_examples": test.examples}),
    }


def curves(path: Along) -> dict[str, results.Variable]:
    """Losses and accuracies along a path, and where they are not finite."""
    made: dict[str, results.Variable] = {}
    fine = np.ones(len(path.alphas), dtype=bool)
    for prefix, passes in path.passes.items():
        split = "test " if prefix else ""
        losses = path.losses(prefix)
        ok = np.isfinite(losses)
        fine &= ok
        told: dict[str, tuple[Any, str]] = {
            "loss": (losses, f"{split}loss"),
            "loss_error": ([p.loss_error() for p in passes], f"standard error of the {split}loss"),
        }
        if passes[0].hits is not None:
            told["accuracy"] = ([p.accuracy() for p in passes], f"{split}accuracy")
            error = f"standard error of the {split}accuracy"
            told["accuracy_error"] = ([p.accuracy_error() for p in passes], error)
        for name, (values, long_name) in told.items():
            kept = np.where(ok, np.asarray(values, dtype=np.float64), np.nan)
            made[prefix + name] = (("alpha",), kept, {"long_name": long_name})
    added = np.array(path.refined, dtype=np.uint8)
    status = np.where(fine, results.OK, results.DIVERGED)
    made["refined"] = (("alpha",), added, {"long_name": "1 where added around a maximum"})
    made["status"] = results.status_variable(("alpha",), status)
    return made
