"""Seeds derived by name, so that results never depend on the order or place of the work."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


def child_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream called `names` under `seed`.

    The same arguments give the same seed in every process and on every machine (BLAKE2b,
    never ``hash``); different names give independent streams.

    >>> child_seed(0, "direction", 1) == child_seed(0, "direction", 1)
    True
    >>> child_seed(0, "direction", 1) == child_seed(0, "direction", 2)
    False
    """
    text = "\x1f".join([str(seed), *(f"{type(n).__name__}:{n}" for n in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU generator for the stream called `names`: the same numbers on every device."""
    import torch

    return torch.Generator().manual_seed(child_seed(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator for the stream called `names`."""
    import numpy as np

    return np.random.default_rng(child_seed(seed, *names))
