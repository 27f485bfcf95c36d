"""Splits whose unused training examples serve to choose and to judge: fewer chance differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from theodolite.datasets import Split

Source = Callable[..., Split]


def enlarged(source: Source, *, seed: int, limit: int, label_noise: float = 0.0) -> Split:
    """The split of `source` with `limit` training examples, and no example wasted.

    Training examples that the limit leaves out go to validation and test in turn, with their
    true labels. An image that is in the training set twice is left out whole.

    >>> from theodolite import datasets
    >>> enlarged(datasets.digits, seed=0, limit=300).sizes
    {'train': 300, 'validation': 749, 'test': 748}
    """
    kept = source(seed=seed, limit=limit, label_noise=label_noise, flatten=True)
    x, y = source(seed=seed, flatten=True).train
    spare = ~_among(x, kept.train[0])
    x, y = x[spare], y[spare]
    return replace(
        kept,
        validation=(
            torch.cat([kept.validation[0], x[::2]]),
            torch.cat([kept.validation[1], y[::2]]),
        ),
        test=(torch.cat([kept.test[0], x[1::2]]), torch.cat([kept.test[1], y[1::2]])),
    )


def _among(rows: Tensor, others: Tensor) -> Tensor:
    """Which rows are one of `others`."""
    known = {row.numpy().tobytes() for row in others}
    return torch.tensor([row.numpy().tobytes() in known for row in rows])
