"""Small data sets that are there when the package is: seeded, balanced, nothing to download."""

from __future__ import annotations

from theodolite.datasets.fashion import fashion_mnist
from theodolite.datasets.handwriting import digits
from theodolite.datasets.photographs import cifar10
from theodolite.datasets.sequences import mnist1d
from theodolite.datasets.splits import Split

__all__ = ["Split", "cifar10", "digits", "fashion_mnist", "mnist1d"]
