"""The Gaussian vectors of all random measures: draw k depends on the seed, the stream and k."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite import seeds


def gaussian(
    like: Float[Tensor, " params"], seed: int, stream: str, draw: int
) -> Float[Tensor, " params"]:
    """A standard Gaussian vector, drawn on the CPU in float64, in the dtype and place of `like`."""
    generator = seeds.torch_generator(seed, stream, draw)
    return torch.randn(len(like), generator=generator, dtype=torch.float64).to(like)
