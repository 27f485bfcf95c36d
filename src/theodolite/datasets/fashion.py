"""Photographs of clothes at 28x28: a balanced subset of Fashion-MNIST, inside the package."""

from __future__ import annotations

import hashlib
import io
from importlib.resources import files

import numpy as np
import torch

from theodolite.datasets.splits import Pair, Split, adapt
from theodolite.errors import StorageError

FILE = "fashion_mnist_5000.npz"
SHA256 = "82b9feaedac25a8468e158022fe7031c700024e9398d50ccb9600596f91249ed"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist(
    *,
    seed: int = 0,
    limit: int | None = None,
    label_noise: float | int = 0.0,
    flatten: bool = False,
) -> Split:
    """5,000 real photographs of clothes: inputs ``(example, 1, 28, 28)``, float32 in [0, 1].

    Train 3,500, validation 500 and test 1,000 examples, the ten classes equally often in each;
    train and validation come from the original training file, test from the original test
    file, and which images they are is stored in the file itself. ``seed`` serves ``limit``
    (keeps that many training examples, balanced) and ``label_noise`` (makes exactly that share
    of the training labels wrong); ``flatten`` gives inputs ``(example, 784)``.

    The file's SHA-256 is checked and nothing is unpickled; raises `StorageError` for a damaged
    file and `InvalidArgument` for a limit or a share of noise that cannot be had.

    Source: Xiao, Rasul, Vollgraf (2017), arXiv:1708.07747; MIT license, Zalando SE.

    >>> fashion_mnist().sizes
    {'train': 3500, 'validation': 500, 'test': 1000}
    """
    content = files("theodolite.datasets").joinpath("data", FILE).read_bytes()
    train, validation, test = _parts(content)
    split = Split(train, validation, test, name="fashion_mnist", classes=CLASSES)
    return adapt(split, limit=limit, label_noise=label_noise, flatten=flatten, seed=seed)


def _parts(content: bytes) -> list[Pair]:
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise StorageError(
            f"{FILE} is damaged: its SHA-256 begins {digest[:12]}, not {SHA256[:12]}.",
            where="theodolite/datasets/data",
            fix="reinstall theodolite",
            code="E-T05",
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return [
            (
                torch.from_numpy(arrays[f"{part}_x"].astype(np.float32) / 255).unsqueeze(1),
                torch.from_numpy(arrays[f"{part}_y"].astype(np.int64)),
            )
            for part in ("train", "validation", "test")
        ]
