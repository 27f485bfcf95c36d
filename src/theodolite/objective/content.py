"""A fingerprint of data that does not depend on the order of examples or batches."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.objective.batches import plain

Words = npt.NDArray[np.uint64]


class ContentHash:
    """A multiset of 64-bit hashes, one for each example; two readings agree if the sets do."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.examples = 0

    def add(self, raw: Any, examples: int) -> None:
        """Take in one batch of `examples` examples."""
        total = np.zeros(examples, np.uint64)
        shared = hashlib.blake2b(digest_size=8)
        for path, leaf in pytree.tree_flatten_with_path(plain(raw))[0]:
            name = "".join(map(str, path))
            if isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == examples:
                total += _mix(_rows(leaf, name))
            elif isinstance(leaf, Tensor):
                shared.update(name.encode() + _bytes(leaf).tobytes())
            else:
                shared.update(f"{name}={leaf!r}".encode())
        total += np.uint64(int.from_bytes(shared.digest(), "big"))
        self.counts.update(_mix(total).tolist())
        self.examples += examples

    def differing(self, other: ContentHash) -> int:
        """How many examples of `other` are not among these."""
        return sum((other.counts - self.counts).values())

    def total(self) -> int:
        """The sum of all hashes, modulo 2^64."""
        return sum(k * v for k, v in self.counts.items()) % (1 << 64)

    def digest(self) -> str:
        """The fingerprint as hexadecimal text."""
        text = ",".join(f"{k}:{v}" for k, v in sorted(self.counts.items()))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _bytes(tensor: Tensor) -> npt.NDArray[np.uint8]:
    flat = tensor.detach().cpu().contiguous()
    if flat.numel() == 0:
        return np.zeros(0, np.uint8)
    return flat.reshape(-1).view(torch.uint8).numpy()


def _rows(tensor: Tensor, name: str) -> Words:
    """One 64-bit number for each row: a random linear form of its bytes, modulo 2^64."""
    seed = hashlib.blake2b(
        f"{name}|{tuple(tensor.shape[1:])}|{tensor.dtype}".encode(), digest_size=8
    )
    start = np.uint64(int.from_bytes(seed.digest(), "big"))
    data = _bytes(tensor).reshape(len(tensor), -1)
    pad = -data.shape[1] % 8
    words = np.pad(data, ((0, 0), (0, pad))).view(np.uint64)
    factors = _mix(np.arange(words.shape[1], dtype=np.uint64) + start) | np.uint64(1)
    forms: Words = (_mix(words) * factors).sum(axis=1, dtype=np.uint64) + start
    return forms


def _mix(x: Words) -> Words:
    """The finalizer of SplitMix64: every input bit reaches every output bit."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
