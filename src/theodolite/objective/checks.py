"""What is checked once, when an objective is made: settings, the first pass, and a second one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from theodolite.errors import (
    InvalidArgument,
    InvalidData,
    NotDeterministic,
    NotFinite,
    UnsupportedModel,
)
from theodolite.objective.batches import Batch, tensors_of
from theodolite.objective.evaluation import Pass
from theodolite.objective.mistakes import named
from theodolite.objective.pooling import chosen_pooling
from theodolite.objective.rules import Sample

Objective = Any  # the class lives in a module that imports this one

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def check_settings(
    batch_norm: str,
    mode: str,
    dtype: torch.dtype | None,
    limit: int | None,
    batch_size: int | None,
) -> None:
    """Raise on a setting outside what it allows, before any work."""
    if batch_norm not in ("frozen", "recompute"):
        raise InvalidArgument(
            f'batch_norm must be "frozen" or "recompute"; got {batch_norm!r}.', code="E-O51"
        )
    if mode not in ("eval", "train"):
        raise InvalidArgument(f'mode must be "eval" or "train"; got {mode!r}.', code="E-O52")
    if mode == "train" and batch_norm == "recompute":
        raise InvalidArgument(
            'batch_norm="recompute" needs mode="eval": in training mode every batch has its own '
            "statistics.",
            code="E-O52",
        )
    if dtype is not None and dtype not in DTYPES:
        raise InvalidArgument(
            f"dtype must be one of {', '.join(str(d)[6:] for d in DTYPES)}; got {dtype}.",
            code="E-O53",
        )
    for name, value in (("limit", limit), ("batch_size", batch_size)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InvalidArgument(f"{name} must be at least 1; got {value!r}.", code="E-O54")


def refuse_recomputed(batch_norm: str, what: str) -> None:
    """Raise where a derivative would have to see through recomputed statistics."""
    if batch_norm == "recompute":
        raise UnsupportedModel(
            f"the {what} is defined here for frozen BatchNorm statistics; this objective has "
            'batch_norm="recompute".',
            why="recomputed statistics depend on theta, and a derivative that ignores that "
            "would not be the derivative of value().",
            fix='build the objective with batch_norm="frozen" for derivatives.',
            code="E-O50",
        )


def check_start(objective: Objective) -> Pass:
    """Two passes at the model's own parameters: right shapes, finite, and equal to one another.

    Runs inside the objective's guard. The second pass starts from the random states the first
    one left, so noise in a forward pass shows. Batches are shielded until it is known that the
    model and the loss do not write to them, so the caller's data stay as they are.
    """
    run, written = objective.forward.run, []

    def checked(batch: Batch) -> Sample:
        made, wrote = _tried(objective, batch)
        written.append(wrote)
        return made

    first: Pass = run(objective.start, lambda: objective.sweep(checked))
    if not any(written):
        object.__setattr__(objective, "data", objective.data.shielded(False))
    _check_weight(first)
    _check_finite(objective, first)
    _check_again(objective, first)
    return first


def check_policy(objective: Objective) -> Pass:
    """Two passes under another BatchNorm policy of an objective that was checked before."""
    first: Pass = objective.forward.run(objective.start, objective.sweep)
    _check_finite(objective, first)
    _check_again(objective, first)
    return first


def _check_again(objective: Objective, first: Pass) -> None:
    """Choose how statistics are recomputed, and compare a second pass."""
    if objective.batch_norm == "recompute":
        object.__setattr__(objective, "pooling", chosen_pooling(objective, first))
    second: Pass = objective.forward.run(objective.start, objective.sweep)
    _check_same(objective, first, second)


def _tried(objective: Objective, batch: Batch) -> tuple[Sample, bool]:
    """The losses of one batch, and whether the model or the loss wrote to its tensors."""
    terms, model = objective.terms, objective.model
    trials = [batch.copied(model) for _ in range(2)]

    def body() -> Sample:
        terms.validate(model, trials[0])
        made: Sample = terms.sample(model, trials[1])
        return made

    made = named(model, batch, objective.data.whole, body)
    if any(t._version for trial in trials for t in tensors_of(trial.targets)):
        raise UnsupportedModel(
            f"the loss writes to the targets it is given ({terms.label}).",
            where=f"batch {batch.index + 1} of {objective.data.whole}",
            why="the data would change from one evaluation to the next.",
            fix="work on a copy inside the loss: targets = targets.clone().",
            code="E-O44",
        )
    return made, any(t._version for trial in trials for t in tensors_of(trial.raw))


def _check_weight(made: Pass) -> None:
    bad = int((~torch.isfinite(made.weights)).sum())
    if bad:
        raise InvalidData(
            f"{bad} of {len(made.weights)} losses have a weight that is NaN or infinite.",
            why="class weights, or the weights batch_loss returns, are not finite.",
            fix="check how the weights are computed: a class without examples divides by zero.",
            code="E-O36",
        )
    if float(made.weights.sum()) == 0:
        raise InvalidData(
            "no example counts: the weights of all losses are zero.",
            why="every label equals ignore_index (or -100), or every class weight is zero.",
            fix="check how labels are masked.",
            code="E-O08",
        )


def _check_finite(objective: Objective, made: Pass) -> None:
    counted = made.weights != 0
    bad = (~torch.isfinite(made.losses)) & counted
    if not bool(bad.any()):
        return
    first, share = int(bad.nonzero()[0]), int(bad.sum())
    raise NotFinite(
        f"the loss at the model's own parameters is {float(made.losses[first])} for {share} of "
        f"{int(counted.sum())} losses.",
        where=f"loss {first + 1} in the order of the data",
        why=_non_finite_cause(objective, objective.start),
        fix="check the checkpoint and the data; a landscape needs a finite starting point.",
        code="E-O11",
    )


def check_gradient(objective: Objective, point: Tensor, gradient: Tensor) -> None:
    """Raise naming the parameters in which the gradient at `point` is not finite."""
    if bool(torch.isfinite(gradient).all()):
        return
    entries = objective.space.entries
    bad = [e.name for e in entries if not bool(gradient[e.offset : e.stop].isfinite().all())]
    raise NotFinite(
        f"the gradient is NaN or infinite in {len(bad)} of {len(entries)} parameter tensors, "
        f"first in {bad[0]!r}.",
        why=_non_finite_cause(objective, point),
        fix="check objective.value() there; a finite loss has no gradient at a root or a norm of "
        "zero, and data that do not count (ignored labels) must be finite all the same.",
        code="E-O45",
    )


def _non_finite_cause(objective: Objective, point: Tensor) -> str:
    for e in objective.space.entries:
        if not bool(torch.isfinite(point[e.offset : e.stop]).all()):
            return f"parameter {e.name!r} holds NaN or infinity."
    for name, buffer in objective.forward.pristine.items():
        if buffer.is_floating_point() and not bool(torch.isfinite(buffer).all()):
            return f"buffer {name.removeprefix('model.')!r} holds NaN or infinity."
    for batch in objective.data:
        for t in tensors_of(batch.raw):
            if t.is_floating_point() and not bool(torch.isfinite(t).all()):
                return f"the data of batch {batch.index + 1} hold NaN or infinity (E-O10)."
    return "parameters and data are finite: the model or the loss overflows or divides by zero."


def _check_same(objective: Objective, first: Pass, second: Pass) -> None:
    tolerance = {torch.float64: 1e-12, torch.bfloat16: 1e-2, torch.float16: 1e-3}.get(
        objective.dtype, 1e-6
    )
    a, b = first.loss(), second.loss()
    gap = abs(a - b) / max(abs(a), 1e-30)
    worst = gap
    if objective.data.kept is not None and first.losses.shape == second.losses.shape:
        scale = float(first.losses.abs().mean()) or 1.0
        worst = max(gap, float(_gap(first.losses, second.losses).max()) / scale)
    if worst <= tolerance:
        return
    where = _first_difference(objective, first.losses, second.losses, tolerance)
    raise NotDeterministic(
        f"two evaluations at the same parameters gave {a:.6g} and {b:.6g} (relative {gap:.1e}; "
        f"single losses differ by up to {worst:.1e} of their mean).",
        where=where,
        why="noise inside forward() that evaluation mode does not turn off, state carried from one "
        "call to the next, dropout and BatchNorm kept in training mode, or batch statistics of "
        "data that are shuffled anew at every pass.",
        fix="make forward() deterministic in evaluation mode (dropout through nn.Dropout, no "
        "torch.randn), or reset the state in forward().",
        code="E-O02",
    )


def _gap(a: Tensor, b: Tensor) -> Tensor:
    return torch.nan_to_num((a - b).abs(), nan=0.0)


def _first_difference(objective: Objective, a: Tensor, b: Tensor, tolerance: float) -> str:
    if a.shape != b.shape or objective.data.kept is None:
        return "the model or the loss"
    position = int((_gap(a, b) > tolerance * float(a.abs().mean())).nonzero()[0])
    return f"loss {position + 1} of {len(a)} in the order of the data"
