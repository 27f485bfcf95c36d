"""A tanh network of two layers with weights that are given, not drawn."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor, nn


class TanhNetwork(nn.Module):
    r""":math:`W_2 \tanh(W_1 x) + b` in float64; inputs with a constant column have inner biases.

    >>> net = TanhNetwork(torch.ones(2, 1).double(), torch.ones(3, 2).double())
    >>> sum(p.numel() for p in net.parameters()), net(torch.zeros(1, 1).double()).tolist()
    (11, [[0.0, 0.0, 0.0]])
    """

    def __init__(
        self, inner: Float64[Tensor, "unit input"], outer: Float64[Tensor, "output unit"]
    ) -> None:
        super().__init__()
        self.inner, self.outer = nn.Parameter(inner), nn.Parameter(outer)
        self.bias = nn.Parameter(torch.zeros(len(outer), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``(example, output)``."""
        outputs: Tensor = torch.tanh(x @ self.inner.T) @ self.outer.T + self.bias
        return outputs
