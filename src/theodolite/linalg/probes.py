"""Random probe vectors: the same numbers on every device, whatever else is drawn."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite import seeds
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import working_dtype


def signs(operator: Operator, seed: int, *names: str | int) -> Float[Tensor, " size"]:
    """A vector of random signs (Rademacher) for the stream called `names` under `seed`.

    Its squared norm is exactly ``operator.size``. Drawn on the CPU, moved to the device.
    """
    generator = seeds.torch_generator(seed, *names)
    coins = torch.randint(2, (operator.size,), generator=generator, dtype=torch.int8)
    return (2 * coins - 1).to(operator.device, working_dtype(operator))


def sphere(operator: Operator, seed: int, *names: str | int) -> Float[Tensor, " size"]:
    """A vector uniform on the sphere of radius ``sqrt(operator.size)``, as `signs` otherwise.

    A Gaussian vector, drawn and scaled in float64, then cast.
    """
    generator = seeds.torch_generator(seed, *names)
    drawn = torch.randn(operator.size, generator=generator, dtype=torch.float64)
    scale = operator.size**0.5 / float(torch.linalg.vector_norm(drawn))
    scaled: Tensor = (drawn * scale).to(working_dtype(operator)).to(operator.device)
    return scaled
