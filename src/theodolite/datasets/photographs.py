"""CIFAR-10 through torchvision, an optional extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from theodolite.datasets.splits import Pair, Split, adapt, stratified
from theodolite.errors import StorageError, TheodoliteError

VALIDATION_SHARE = 0.1


def cifar10(
    root: str | Path,
    *,
    download: bool = False,
    seed: int = 0,
    limit: int | None = None,
    label_noise: float | int = 0.0,
    flatten: bool = False,
) -> Split:
    """60,000 color photographs: inputs ``(example, 3, 32, 32)``, float32 in [0, 1].

    Train and validation hold 45,000 and 5,000 images of the original training set, balanced
    and drawn by ``seed``; test is the original test set. ``root`` is the folder torchvision
    keeps the files in; with ``download=True`` it fetches them (163 MB) when they are missing.
    ``limit``, ``label_noise`` and ``flatten`` are as in `digits`. Holds 740 MB.

    The only data set here that needs a network, once. torchvision reads pickled files after
    checking their MD5 sums. This project's tests cover it with a stand-in for torchvision, not
    with the 163 MB themselves.

    Raises `TheodoliteError` without torchvision, `StorageError` where the files are missing.

    Source: Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.
    """
    vision = _torchvision()
    try:
        kept, judged = (
            vision.CIFAR10(str(root), train=t, download=download) for t in (True, False)
        )
    except RuntimeError as error:
        raise StorageError(
            f"CIFAR-10 was not found in {root}.",
            why=str(error),
            fix="call cifar10(root, download=True) once, with a network",
            code="E-T08",
        ) from error
    labels = np.asarray(kept.targets)
    train, validation = (
        _pair(kept.data[i], labels[i])
        for i in stratified(labels, (1 - VALIDATION_SHARE, VALIDATION_SHARE), seed)
    )
    test = _pair(judged.data, np.asarray(judged.targets))
    split = Split(train, validation, test, name="cifar10", classes=tuple(kept.classes))
    return adapt(split, limit=limit, label_noise=label_noise, flatten=flatten, seed=seed)


def _torchvision() -> Any:
    try:
        from torchvision import datasets  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise TheodoliteError(
            "cifar10 needs torchvision, which could not be imported.",
            why=str(error),
            fix="pip install theodolite[vision]",
            code="E-T07",
        ) from error
    return datasets


def _pair(images: np.ndarray, labels: np.ndarray) -> Pair:
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32).div(255).contiguous()
    return x, torch.from_numpy(labels.astype(np.int64))
