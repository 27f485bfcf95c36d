"""Plain errors of the user's model, loss or data, told as errors of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from theodolite.engines.problem import MISTAKES
from theodolite.errors import InvalidData
from theodolite.objective.batches import Batch, tensors_of

Result = TypeVar("Result")


def named(model: nn.Module, batch: Batch, of: int, body: Callable[[], Result]) -> Result:
    """`body()`, with plain errors of the model or loss told as errors of this batch."""
    try:
        return body()
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise  # an error of the user's or our own kind says more than we could
        shapes = [tuple(t.shape) for t in tensors_of(batch.raw)]
        text = told(error)
        raise InvalidData(
            f"the model or the loss failed: {text}",
            where=f"batch {batch.index + 1} of {of}, tensors of shape {shapes}",
            why=likely(text, model),
            fix="call loss(model(inputs), targets) on one batch by hand until it works.",
            code="E-O42",
        ) from error


def named_reading(index: int, body: Callable[[], Result]) -> Result:
    """`body()`, with plain errors of a dataset or loader told as errors of this batch."""
    try:
        return body()
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise
        raise InvalidData(
            f"reading the data failed: {told(error)}",
            where=f"batch {index + 1} of the data",
            why="the dataset, its collate function or a worker process raised this.",
            fix="go through the data by hand, `for batch in loader: pass`, until it works.",
            code="E-O25",
        ) from error


def told(error: BaseException) -> str:
    """Kind and message of an error on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def likely(text: str, model: nn.Module) -> str:
    """The usual cause of an error with this text."""
    if "more than 1 value per channel" in text:
        return "BatchNorm in training mode needs more than one value a channel in every batch."
    if "dtype" in text:
        return "inputs and parameters have different dtypes; pass dtype= to convert both."
    if "Lazy" in text or "uninitialized" in text:
        return "the model has lazy parameters; run one forward pass first."
    if "out of bounds" in text or "index out of range" in text:
        return "a label or a token lies outside what the model was built for."
    return f"{type(model).__name__} does not take this batch, or the loss does not fit its output."
