"""Handwritten digits at 8x8, read from scikit-learn."""

from __future__ import annotations

import numpy as np
import torch

from theodolite.datasets.splits import Split, adapt, stratified

SHARES = (0.6, 0.2, 0.2)


def digits(
    seed: int = 0,
    *,
    limit: int | None = None,
    label_noise: float | int = 0.0,
    flatten: bool = False,
) -> Split:
    """1,797 real handwritten digits: inputs ``(example, 1, 8, 8)``, float32 in [0, 1].

    Train, validation and test hold 60, 20 and 20 percent of every class (1,078, 360 and 359
    examples); the same seed gives the same split. ``limit`` keeps that many training examples,
    balanced; ``label_noise`` makes exactly that share of the training labels wrong; ``flatten``
    gives inputs ``(example, 64)``. No global random state is read or changed.

    Raises `InvalidArgument` for a limit or a share of noise that cannot be had.

    Source: Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, UCI; the copy
    in scikit-learn (BSD-3).

    >>> digits().train[0].shape[1:], digits(flatten=True, limit=100).train[0].shape
    (torch.Size([1, 8, 8]), torch.Size([100, 64]))
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy((images / 16).astype(np.float32)).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels.astype(np.int64))
    train, validation, test = (
        (x[torch.from_numpy(i)], y[torch.from_numpy(i)]) for i in stratified(labels, SHARES, seed)
    )
    classes = tuple(str(d) for d in range(10))
    split = Split(train, validation, test, name="digits", classes=classes)
    return adapt(split, limit=limit, label_noise=label_noise, flatten=flatten, seed=seed)
