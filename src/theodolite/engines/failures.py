"""Errors of automatic differentiation, told in terms of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointError

from theodolite.errors import NotFinite, UnsupportedModel

NO_SECOND = "E-D05"
"""Code of the errors that differences of gradients get around."""

_PLAIN = (RuntimeError, NotImplementedError, CheckpointError, torch.OutOfMemoryError)
_UNDIFFERENTIABLE = (
    "is not implemented",
    "not implemented for",
    "once_differentiable",
    "Trying to use forward AD with",
    "does not support double backward",
    "Double backwards is not supported",
    "in order to use an autograd.Function with functorch transforms",
    "functorch transforms don't yet support saved tensor hooks",
    "no batching rule",
)
_SPARSE = ("for sparse tensors", "SparseTensorImpl", "layout Sparse", "SparseCPU")
_HINTS = (
    (
        "modified by an inplace operation",
        "an operation in forward() overwrites a tensor its gradient needs.",
        "replace the in-place operation (x += y, relu(inplace=True)) by x = x + y.",
    ),
    (
        "is being used in an in-place operation",
        "an operation in forward() writes into a parameter.",
        "replace the in-place operation (w += y, w.clamp_()) by w = w + y.",
    ),
    (
        "has been modified inplace",
        "forward() writes into a parameter, as an embedding with max_norm does.",
        "pass max_norm=None and bound the norms of the rows before the measurement.",
    ),
    (
        "mutate a captured Tensor",
        "forward() writes into a tensor it does not own.",
        'use engine="kept", or replace the in-place operation.',
    ),
    (
        "use_reentrant=True",
        "reentrant checkpointing computes gradients outside the graph.",
        "pass use_reentrant=False to torch.utils.checkpoint.checkpoint.",
    ),
    (
        "torch.utils.checkpoint",
        "forward() did something else when the checkpoint ran it again.",
        "make the checkpointed function depend on its arguments and parameters only.",
    ),
    (
        "double backward",
        "a compiled graph has no second derivative.",
        "pass the module that was compiled.",
    ),
    (
        "does not require grad",
        "the loss is detached from the parameters.",
        "remove .item(), .detach() or torch.no_grad() from the path between parameters and loss.",
    ),
    (
        "Jitted modules",
        "TorchScript modules cannot be evaluated with other weights.",
        "pass the nn.Module the script was made from.",
    ),
    (
        "randomness error mode",
        "forward() draws random numbers, which a batch of vectors cannot share.",
        "make forward() deterministic in evaluation mode.",
    ),
    (
        "CuDNN RNN",
        "cuDNN's recurrent kernels have no second derivative.",
        "set torch.backends.cudnn.enabled = False for the measurement.",
    ),
    (
        "allocate memory",
        "the graphs of the batches do not fit into memory.",
        'pass a smaller memory_budget or engine="recompute", and smaller batches.',
    ),
    (
        "out of memory",
        "the graphs of the batches do not fit into memory.",
        'pass a smaller memory_budget or engine="recompute", and smaller batches.',
    ),
)


@contextmanager
def named_failures(what: str, batch: int | None = None) -> Iterator[None]:
    """Re-raise torch's plain errors as one that names the cause, chained to the original.

    An error that says nothing we know more about, such as one of the user's own, passes through.
    """
    try:
        yield
    except _PLAIN as error:
        if type(error) not in _PLAIN:
            raise
        text = " ".join(str(error).split())
        where = "" if batch is None else f"batch {batch + 1}"
        if any(key in text for key in _SPARSE):
            raise UnsupportedModel(
                f"the {what} cannot be computed: {text[:240]}",
                where=where,
                why="an operation of the model gives a sparse gradient, which has no place in a "
                "flat vector.",
                fix="pass sparse=False to the functional embedding, or sparse_grad=False to gather "
                "(nn.Embedding and nn.EmbeddingBag are switched by themselves).",
                code="E-D12",
            ) from error
        if any(key.lower() in text.lower() for key in _UNDIFFERENTIABLE):
            raise UnsupportedModel(
                f"the {what} cannot be computed: {text[:240]}",
                where=where,
                why="an operation of the model has no derivative of this order.",
                fix='use engine="differences", which needs first derivatives only.',
                code="E-D05",
            ) from error
        for key, why, fix in _HINTS:
            if key.lower() in text.lower():
                raise UnsupportedModel(
                    f"the {what} cannot be computed: {text[:240]}",
                    where=where,
                    why=why,
                    fix=fix,
                    code="E-D07",
                ) from error
        raise


def refuse_detached() -> NoReturn:
    """Raise for a loss without a graph."""
    raise UnsupportedModel(
        "the loss has no grad_fn: it does not depend on the parameters through anything torch can "
        "differentiate.",
        why="the loss was detached (.item(), .detach(), numpy, torch.no_grad()), or it is made of "
        "piecewise constant operations (argmax, round, comparison).",
        fix="return a differentiable loss; line and plane need no derivative and work as they are.",
        code="E-D14",
    )


def all_finite(tensor: Tensor) -> bool:
    """Whether no entry is NaN or infinite: one sum where that is finite (it may overflow)."""
    return math.isfinite(float(tensor.sum())) or bool(torch.isfinite(tensor).all())


def require_finite(what: str, vector: Tensor, space: Any, cause: str = "") -> None:
    """Raise naming the first parameter tensor in which a vector, or rows of them, is not finite."""
    if all_finite(vector):
        return
    rows = vector.reshape(-1, space.size)
    bad = [
        e.name for e in space.entries if not bool(torch.isfinite(rows[:, e.offset : e.stop]).all())
    ]
    raise NotFinite(
        f"the {what} is NaN or infinite in {len(bad)} of {len(space.entries)} parameter tensors, "
        f"first in {bad[0]!r}.",
        why=cause
        or "loss and gradient may be finite where the second derivative is not: a square root or a "
        "norm at zero, a division that underflows, masked -inf scores.",
        fix="add a small constant under the root or in the denominator, measure at another point, "
        'or use engine="differences".',
        code="E-D09",
    )
