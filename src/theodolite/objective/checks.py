"""What is checked once, when an objective is made: settings, the first pass, and a second one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from theodolite.errors import (
    InvalidArgument,
    InvalidData,
    NotDeterministic,
    NotFinite,
    UnsupportedModel,
)
from theodolite.objective.batches import Batch, tensors_of
from theodolite.objective.evaluation import Pass
from theodolite.objective.rules import Sample

Objective = Any  # the class lives in a module that imports this one

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_MISTAKES = (
    RuntimeError,
    ValueError,
    IndexError,
    TypeError,
    KeyError,
    AttributeError,
    NotImplementedError,
    AssertionError,
)


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
    one left, so noise in a forward pass shows.
    """
    terms, model = objective.terms, objective.model

    def checked(batch: Batch) -> Sample:
        return _named(
            objective, batch, lambda b: (terms.validate(model, b), terms.sample(model, b))[1]
        )

    run = objective.forward.run
    first: Pass = run(objective.start, lambda: objective.sweep(checked))
    _check_weight(first)
    _check_finite(objective, first)
    second: Pass = run(objective.start, objective.sweep)
    _check_same(objective, first, second)
    return first


def _named(objective: Objective, batch: Batch, sample: Callable[[Batch], Sample]) -> Sample:
    """`sample(batch)`, with plain errors of the model or loss told as errors of this batch."""
    try:
        return sample(batch)
    except _MISTAKES as error:
        if type(error) not in _MISTAKES:
            raise  # an error of the user's or our own kind says more than we could
        shapes = [tuple(t.shape) for t in tensors_of(batch.raw)]
        text = " ".join(str(error).split())[:300]
        raise InvalidData(
            f"the model or the loss failed: {type(error).__name__}: {text}",
            where=f"batch {batch.index + 1} of {objective.data.batches}, tensors of shape {shapes}",
            why=_likely(text, objective.model),
            fix="call loss(model(inputs), targets) on one batch by hand until it works.",
            code="E-O42",
        ) from error


def _likely(text: str, model: nn.Module) -> str:
    if "more than 1 value per channel" in text:
        return "BatchNorm in training mode needs more than one value a channel in every batch."
    if "dtype" in text:
        return "inputs and parameters have different dtypes; pass dtype= to convert both."
    if "Lazy" in text or "uninitialized" in text:
        return "the model has lazy parameters; run one forward pass first."
    if "out of bounds" in text or "index out of range" in text:
        return "a label or a token lies outside what the model was built for."
    return f"{type(model).__name__} does not take this batch, or the loss does not fit its output."


def _check_weight(made: Pass) -> None:
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
        why=_non_finite_cause(objective),
        fix="check the checkpoint and the data; a landscape needs a finite starting point.",
        code="E-O11",
    )


def _non_finite_cause(objective: Objective) -> str:
    for e in objective.space.entries:
        if not bool(torch.isfinite(objective.start[e.offset : e.stop]).all()):
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
        "call to the next, or dropout and BatchNorm kept in training mode.",
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
