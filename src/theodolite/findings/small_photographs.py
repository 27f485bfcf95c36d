"""Photographs of clothes at a quarter of their pixels."""

from __future__ import annotations

from typing import Any

from torch.nn.functional import avg_pool2d

from theodolite import datasets
from theodolite.datasets import Split


def small_photographs(**options: Any) -> Split:
    """`datasets.fashion_mnist` with 2x2 pixels averaged to one: inputs ``(example, 196)``.

    Takes its options but ``flatten``, which is always true.

    >>> small_photographs(limit=20).train[0].shape
    torch.Size([20, 196])
    """
    split = datasets.fashion_mnist(**{**options, "flatten": False})
    return split.changed(lambda x, y: (avg_pool2d(x, 2).flatten(1), y))
