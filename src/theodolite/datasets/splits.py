"""Data in three parts, and what every data set offers: fewer examples, wrong labels, flatness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidData
from theodolite.seeds import numpy_generator

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Split:
    """Labeled examples for training, for choosing (validation) and for judging (test).

    Each part is a pair of inputs ``(example, ...)`` and class labels ``(example,)``, int64, or
    targets of any shape when ``classes`` is empty. ``facts`` say how the parts were drawn and are
    recorded with every training. That the parts do not overlap is not checked.

    Raises `InvalidData` where the lengths of a pair differ or a label is out of range.

    >>> part = torch.zeros(4, 2), torch.tensor([0, 1, 1, 0])
    >>> Split(part, part, part, name="toy", classes=("a", "b")).sizes
    {'train': 4, 'validation': 4, 'test': 4}
    """

    train: Pair
    validation: Pair
    test: Pair
    name: str
    classes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part, (x, y) in self.parts().items():
            if len(x) != len(y):
                raise InvalidData(
                    f"{part} must hold as many labels as inputs; got {len(x)} inputs and "
                    f"{len(y)} labels.",
                    where=f"data set {self.name!r}",
                    code="E-T01",
                )
            if self.classes and len(y):
                _check_labels(y, len(self.classes), f"{part} of data set {self.name!r}")

    def parts(self) -> dict[str, Pair]:
        """The three parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def changed(self, change: Callable[[Tensor, Tensor], Pair]) -> Split:
        """The same split with `change` applied to the inputs and labels of every part."""
        train, validation, test = (change(x, y) for x, y in self.parts().values())
        return replace(self, train=train, validation=validation, test=test)

    @property
    def sizes(self) -> dict[str, int]:
        """Examples in each part."""
        return {name: len(y) for name, (_, y) in self.parts().items()}

    @property
    def fingerprint(self) -> str:
        """A hash of every value, shape and type in all parts: equal only for the same data."""
        digest = hashlib.blake2b(digest_size=16)
        for name, pair in self.parts().items():
            for tensor in pair:
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
                flat = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(flat.view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _check_labels(y: Tensor, classes: int, where: str) -> None:
    low, high = int(y.min()), int(y.max())
    if y.dtype != torch.int64 or low < 0 or high >= classes:
        raise InvalidData(
            f"labels must be int64 from 0 to {classes - 1}; got {y.dtype} from {low} to {high}.",
            where=where,
            code="E-T02",
        )


def adapt(
    split: Split, *, limit: int | None, label_noise: float | int, flatten: bool, seed: int
) -> Split:
    """`split` with the options every data set takes; each choice is recorded in its facts.

    ``limit`` keeps that many training examples, balanced to within one per class; a smaller
    limit keeps a subset of a larger one. ``label_noise`` gives exactly that share of the
    training labels a wrong class, each wrong class equally likely. ``flatten`` makes inputs
    ``(example, features)``. Validation and test keep all their examples and true labels.

    Raises `InvalidArgument` for a limit below 1 or above what is there, and for noise outside
    [0, 1].
    """
    x, y = split.train
    if limit is not None:
        x, y = _balanced(split, limit, seed)
    if label_noise:
        y = _with_wrong_labels(y, len(split.classes), label_noise, seed)
    facts = {"limit": limit, "label_noise": label_noise, "flatten": flatten, "seed": seed}
    adapted = replace(split, train=(x, y), facts={**split.facts, **facts})
    return adapted.changed(lambda a, b: (a.flatten(1), b)) if flatten else adapted


def _balanced(split: Split, limit: int, seed: int) -> Pair:
    x, y = split.train
    if not 1 <= limit <= len(y):
        raise InvalidArgument(
            f"limit must lie between 1 and the {len(y)} training examples; got {limit}.",
            where=f"data set {split.name!r}",
            code="E-T03",
        )
    labels = y.numpy()
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = numpy_generator(seed, "limit", int(label)).permutation(len(members))
        rank[members] = order
    kept = torch.from_numpy(np.sort(np.lexsort((labels, rank))[:limit]))
    return x[kept], y[kept]


def _with_wrong_labels(y: Tensor, classes: int, share: float | int, seed: int) -> Tensor:
    if not 0 <= share <= 1:
        raise InvalidArgument(f"label_noise must lie in [0, 1]; got {share}.", code="E-T04")
    if classes < 2:
        raise InvalidArgument(
            f"label_noise needs at least 2 classes to confuse; got {classes}.", code="E-T04"
        )
    generator = numpy_generator(seed, "label noise")
    chosen = generator.permutation(len(y))[: round(share * len(y))]
    shift = generator.integers(1, classes, size=len(chosen))
    noisy = y.clone()
    noisy[torch.from_numpy(chosen)] = (y[chosen] + torch.from_numpy(shift)) % classes
    return noisy


def stratified(labels: np.ndarray, shares: Sequence[float], seed: int) -> list[np.ndarray]:
    """Disjoint sets of indices holding `shares` of every class, to the nearest whole example.

    >>> [len(i) for i in stratified(np.array([0] * 10 + [1] * 20), (0.6, 0.2, 0.2), seed=0)]
    [18, 6, 6]
    """
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order = numpy_generator(seed, "split", int(label)).permutation(members)
        cuts = np.round(np.cumsum(shares)[:-1] * len(order)).astype(int)
        for part, indices in zip(parts, np.split(order, cuts), strict=True):
            part.append(indices)
    return [np.sort(np.concatenate(part)) for part in parts]
