"""Deep perceptrons that differ in their shortcuts and norms and in nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import relu

from theodolite.errors import InvalidArgument
from theodolite.models.initialization import start_weights


@dataclass(frozen=True)
class Design:
    """What a block adds to its linear layer; ``shrink`` divides every branch by sqrt(depth)."""

    skip: bool = False
    norm: bool = False
    shrink: bool = False


DESIGNS = {
    "plain": Design(),
    "plain, norm": Design(norm=True),
    "residual": Design(skip=True),
    "residual, shrunk": Design(skip=True, shrink=True),
    "residual, norm": Design(skip=True, norm=True),
}


class DeepPerceptron(nn.Module):
    """A linear layer, ``depth`` blocks of equal width, and a linear layer.

    .. math:: x_{l+1} = [x_l +]\\; s\\, W_l\\, \\mathrm{relu}(\\mathrm{norm}(x_l)) + b_l
    """

    def __init__(
        self, design: Design, *, inputs: int, width: int, depth: int, outputs: int
    ) -> None:
        super().__init__()
        self.skip = design.skip
        self.scale = 1 / math.sqrt(depth) if design.shrink else 1.0
        self.stem = nn.Linear(inputs, width)
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(width) if design.norm else nn.Identity() for _ in range(depth + 1)
        )
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, outputs)
        for layer in (self.stem, *self.layers, self.head):
            start_weights(layer, "linear" if layer is self.stem else "relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1))
        for norm, layer in zip(self.norms, self.layers, strict=False):
            branch = self.scale * layer(relu(norm(x)))
            x = x + branch if self.skip else branch
        made: Tensor = self.head(relu(self.norms[-1](x)))
        return made


def deep_perceptron(
    design: str, *, inputs: int = 64, width: int, depth: int, outputs: int = 10
) -> DeepPerceptron:
    """A perceptron with ``depth`` blocks of one of the `DESIGNS`.

    Blocks norm, rectify and multiply by a matrix; "residual" designs add their input. Designs
    with the same norm draw the same initial values from the same state of torch's generator, so
    a plain network and a residual one differ in the sum alone. He initialization, zero biases.
    Raises `InvalidArgument` for an unknown design or a size below 1.

    >>> model = deep_perceptron("residual", width=3, depth=2)
    >>> sum(p.numel() for p in model.parameters())  # 64 * 3 + 3 + 2 * (9 + 3) + 3 * 10 + 10
    259
    """
    if design not in DESIGNS:
        raise InvalidArgument(
            f"design must be one of {'; '.join(DESIGNS)}; got {design!r}.", code="E-F30"
        )
    if min(inputs, width, depth, outputs) < 1:
        raise InvalidArgument(
            "inputs, width, depth and outputs must be at least 1; "
            f"got {(inputs, width, depth, outputs)}.",
            code="E-F31",
        )
    return DeepPerceptron(DESIGNS[design], inputs=inputs, width=width, depth=depth, outputs=outputs)
