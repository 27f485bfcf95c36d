"""How many vectors of a network's size torch holds at the fullest moment."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class Held(TorchDispatchMode):
    """Counts the bytes of tensors that operations made and that are still referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for value in pytree.tree_leaves(made):
            if isinstance(value, torch.Tensor):
                self._seen(value.untyped_storage())
        return made

    def _seen(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self.alive:
            self.alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.alive.pop(key, 0)


def vectors_held(body: Callable[[], Any], size: int, width: int = 8) -> float:
    """The most that `body` held beside what was there before, in vectors of `size` numbers."""
    with Held() as held:
        body()
    return held.peak / (size * width)
