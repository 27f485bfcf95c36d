"""Errors of automatic differentiation, told in terms of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from theodolite.errors import UnsupportedModel

_HINTS = (
    (
        "modified by an inplace operation",
        "an operation in forward() overwrites a tensor its gradient needs.",
        "replace the in-place operation (x += y, relu(inplace=True)) by x = x + y.",
    ),
    (
        "double backward",
        "a compiled graph has no second derivative.",
        "pass the module that was compiled.",
    ),
    (
        "is not implemented",
        "an operation of the model has no derivative of this order.",
        'use engine="differences", which needs first derivatives only.',
    ),
    (
        "does not require grad",
        "the loss is detached from the parameters.",
        "remove .item(), .detach() or torch.no_grad() from the path between parameters and loss.",
    ),
    (
        "CuDNN RNN",
        "cuDNN's recurrent kernels have no second derivative.",
        "set torch.backends.cudnn.enabled = False for the measurement.",
    ),
)


@contextmanager
def named_failures(what: str, batch: int | None = None) -> Iterator[None]:
    """Re-raise torch's plain RuntimeError as one that names the cause, chained to the original."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if type(error) not in (RuntimeError, NotImplementedError):
            raise
        text = " ".join(str(error).split())
        for key, why, fix in _HINTS:
            if key in text:
                raise UnsupportedModel(
                    f"the {what} cannot be computed: {text[:240]}",
                    where="" if batch is None else f"batch {batch + 1}",
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
