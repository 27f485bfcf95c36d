"""CIFAR-10 with a stand-in for torchvision that holds a few images we know."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from theodolite.datasets import cifar10
from theodolite.errors import StorageError, TheodoliteError


def _stand_in(monkeypatch: pytest.MonkeyPatch, *, there: bool = True) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []

    class CIFAR10:
        classes = [f"class {c}" for c in range(10)]  # noqa: RUF012

        def __init__(self, root: str, *, train: bool, download: bool) -> None:
            calls.append({"root": root, "train": train, "download": download})
            if not (there or download):
                raise RuntimeError("Dataset not found or corrupted.")
            count = 200 if train else 50
            self.data = np.zeros((count, 32, 32, 3), dtype=np.uint8)
            self.data[:, 1, 2, 0] = np.arange(count) % 200
            self.targets = [i % 10 for i in range(count)]

    package, datasets = types.ModuleType("torchvision"), types.ModuleType("torchvision.datasets")
    datasets.CIFAR10 = CIFAR10  # type: ignore[attr-defined]
    package.datasets = datasets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    return calls


def test_images_are_channels_first_scaled_and_split_by_class(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # kills: height and channels swapped; test images in training; no scaling
    _stand_in(monkeypatch)
    split = cifar10(tmp_path)
    assert split.sizes == {"train": 180, "validation": 20, "test": 50}
    assert torch.bincount(split.validation[1]).tolist() == [2] * 10
    x, y = split.train
    assert x.shape[1:] == (3, 32, 32)
    source = (x[:, 0, 1, 2] * 255).round().long()
    assert torch.equal(source % 10, y)
    validation = (split.validation[0][:, 0, 1, 2] * 255).round().long()
    assert sorted([*source.tolist(), *validation.tolist()]) == list(range(200))


def test_nothing_is_fetched_unless_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # kills: download=True by default
    calls = _stand_in(monkeypatch, there=False)
    with pytest.raises(StorageError, match="CIFAR-10 was not found") as caught:
        cifar10(tmp_path)
    assert "download=True" in str(caught.value)
    assert cifar10(tmp_path, download=True).sizes["test"] == 50
    assert [c["download"] for c in calls] == [False, True, True]


def test_without_torchvision_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(TheodoliteError, match="needs torchvision") as caught:
        cifar10(tmp_path)
    assert "pip install theodolite[vision]" in str(caught.value)
