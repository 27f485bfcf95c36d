"""Jacobians of residual blocks x + F(x), by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev
from torch.nn.functional import relu

from theodolite import datasets, models
from theodolite.seeds import torch_generator
from theodolite.training import Recipe, train

Branch = Callable[[Tensor], Tensor]

CASES = ("F = -x/2", "F = -x", "F = W x")
CASE_SIZE = 64
SCALES = (1.0, 0.1, 0.01)


def jacobian(branch: Branch, x: Float[Tensor, " size"]) -> Float[Tensor, "size size"]:
    """The derivative of ``x + branch(x)`` at `x`; one backward pass a coordinate.

    >>> jacobian(lambda x: -0.5 * x, torch.zeros(2))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    derivative: Tensor = jacrev(lambda z: z + branch(z))(x)
    return derivative


def ends(matrix: Float[Tensor, "rows columns"]) -> tuple[float, float]:
    """The smallest and the largest singular value: the least and the most a gradient is multiplied.

    >>> ends(torch.diag(torch.tensor([3.0, -0.5])))
    (0.5, 3.0)
    """
    values = torch.linalg.svdvals(matrix)
    return float(values[-1]), float(values[0])


def counterexamples(seed: int) -> list[tuple[Branch, Tensor]]:
    """The branches named in `CASES`, each with the point to look at."""
    generator = torch_generator(seed, "counterexamples")
    x, matrix = _normal(generator, CASE_SIZE), _normal(generator, CASE_SIZE, CASE_SIZE)
    weights = matrix / CASE_SIZE**0.5
    branches: list[Branch] = [lambda z: -0.5 * z, lambda z: -z, lambda z: weights @ z]
    return [(branch, x) for branch in branches]


def random_branch(size: int, generator: torch.Generator, *, monotone: bool = False) -> Branch:
    """A two-layer tanh network ``s V tanh(W x)`` with ``log10 s`` uniform between -2 and 1.

    With ``monotone``, V is the transpose of W: then dF/dx is symmetric and has no negative
    eigenvalue, so that no singular value of I + dF/dx is below 1.
    """
    scale = 10 ** float(3 * torch.rand(1, generator=generator, dtype=torch.float64) - 2)
    inner = _normal(generator, size, size) / size**0.5
    outer = inner.T if monotone else _normal(generator, size, size) / size**0.5
    return lambda z: scale * (outer @ torch.tanh(inner @ z))


def random_gains(size: int, seed: int, draw: int, *, monotone: bool = False) -> tuple[float, float]:
    """Ends of the singular values of one random block at one random point."""
    generator = torch_generator(seed, "monotone" if monotone else "random", draw)
    branch = random_branch(size, generator, monotone=monotone)
    return ends(jacobian(branch, _normal(generator, size)))


def chain_gains(size: int, depth: int, norm: float, seed: int) -> tuple[float, float]:
    """Ends of the singular values of `depth` random blocks, one after the other.

    The Jacobian is that of the whole chain, by automatic differentiation through it, not the
    product of the blocks'.
    """
    branches, start = chain_of(size, depth, norm, seed)

    def chain(z: Tensor) -> Tensor:
        for branch in branches:
            z = z + branch(z)
        return z

    return ends(jacrev(chain)(start))


def chain_of(size: int, depth: int, norm: float, seed: int) -> tuple[list[Branch], Tensor]:
    """Random branches and the point where their chain begins.

    Each is scaled so that its Jacobian has spectral norm `norm` where the chain meets it.
    """
    generator = torch_generator(seed, "chain")
    start = x = _normal(generator, size)
    branches: list[Branch] = []
    for _ in range(depth):
        raw = random_branch(size, generator)
        own = float(torch.linalg.matrix_norm(jacrev(raw)(x), 2))
        branches.append(partial(_scaled, raw, norm / own))
        x = x + branches[-1](x)
    return branches, start


def network_gains(
    *, width: int, examples: int, epochs: int, seed: int
) -> list[tuple[float, float]]:
    """Ends for the first block of a ResNet-8 trained on the digits, F times each of `SCALES`."""
    data = datasets.digits(seed, limit=examples)
    model = partial(models.resnet, 8, width=width)
    network = train(Recipe(model, data, epochs=epochs, batch_size=32, seed=seed)).model.double()
    parts = dict(network.named_children())
    with torch.no_grad():
        image = data.test[0][:1].double()
        for stem in ("stem", "stem_norm", "stem_relu"):
            image = parts[stem](image)
    block = parts["stage1_block1"]
    flat = image.reshape(-1)
    branch = jacobian(lambda z: branch_of(block, z.view_as(image)).reshape(-1), flat)
    identity = torch.eye(len(flat), dtype=flat.dtype)
    return [ends((identity + scale * (branch - identity)).detach()) for scale in SCALES]


def branch_of(block: Any, x: Float[Tensor, "example channel height width"]) -> Tensor:
    """F of a residual block whose output is ``relu(x + F(x))``."""
    inside: Tensor = block.conv2(relu(block.norm1(block.conv1(x))))
    normed: Tensor = block.norm2(inside)
    return normed


def _scaled(branch: Branch, factor: float, x: Tensor) -> Tensor:
    return factor * branch(x)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
