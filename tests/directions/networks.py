"""Objectives that tests of directions share: a transformer with tied weights, a BatchNorm CNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theodolite as td


class Tied(nn.Module):
    """One block of attention between an embedding and scores by the same table."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        h = self.norm(h + self.attention(h, h, h, need_weights=False)[0])
        return self.head(h).transpose(1, 2)


def convolutional() -> nn.Module:
    """Convolution and BatchNorm whose running statistics are not those of a new layer."""
    norm = nn.BatchNorm2d(3)
    norm.running_mean = torch.tensor([0.3, -0.2, 0.1])
    norm.running_var = torch.tensor([0.5, 2.0, 1.0])
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), norm, nn.Tanh(), nn.Flatten(), nn.Linear(12, 3), nn.Linear(3, 3)
    )


def network(name: str, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tied() if name == "tied transformer" else convolutional()


def objective(name: str, dtype: torch.dtype = torch.float64, model: nn.Module | None = None):
    generator = torch.Generator().manual_seed(1)
    model = (model or network(name)).to(dtype)
    if name == "tied transformer":
        x = torch.randint(7, (9, 5), generator=generator)
        data = x, x.roll(-1, 1)
    else:
        x = torch.randn(9, 1, 4, 4, generator=generator, dtype=torch.float64)
        data = x.to(dtype), torch.arange(9) % 3
    return td.Objective(model, nn.CrossEntropyLoss(), data)


NAMES = ("tied transformer", "convolution with batch norm")
DTYPES = (torch.float32, torch.float64)
