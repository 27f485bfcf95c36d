"""What the tests of fault rows share: a small network, data, and what "named" means."""

from __future__ import annotations

import torch
from torch import nn

from theodolite.errors import TheodoliteError

N = 9
X = torch.randn(N, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([1, 2, 0, 2, 1, 0, 0, 2, 1])


def net(outputs: int = 3) -> nn.Sequential:
    """The same weights at every call."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


def check_named(error: TheodoliteError, code: str) -> None:
    """An error says what and how to get on, under a stable code."""
    assert error.code == code
    assert error.what
    assert error.fix
    assert f"[{code}]" in str(error)
