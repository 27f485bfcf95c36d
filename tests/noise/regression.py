"""Linear regression, whose gradients, Hessian and noise are known in full."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import theodolite as td

D = 3
SCALES = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
"""Standard deviations of the inputs."""

OFFSET = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
"""Where theta lies from the true weights."""

LABEL_NOISE = 1.5


def sample(examples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Gaussian inputs and targets of a linear law with Gaussian errors; the true weights are 0."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, D, dtype=torch.float64, generator=g) * SCALES
    return x, LABEL_NOISE * torch.randn(examples, 1, dtype=torch.float64, generator=g)


def objective(x: Tensor, y: Tensor, loss: nn.Module | None = None, **kw: Any) -> td.Objective:
    model = nn.Linear(D, 1, bias=False).double()
    return td.Objective(model, loss or nn.MSELoss(), (x, y), **kw)


def gradients(x: Tensor, y: Tensor, theta: Tensor = OFFSET) -> Tensor:
    """2 x (x'theta - y), a row an example."""
    return 2 * x * (x @ theta[:, None] - y)


def population(theta: Tensor = OFFSET) -> dict[str, float]:
    r"""Closed forms over the distribution, with C the covariance of inputs and d the offset.

    G = 2 C d, H = 2 C, and by Isserlis' theorem
    Sigma = 4 [(d'Cd + s^2) C + 2 C d d'C] - G G' = 4 [(d'Cd + s^2) C + C d d'C].
    """
    c, d = torch.diag(SCALES.square()), theta
    g, h = 2 * c @ d, 2 * c
    cd = c @ d
    sigma = 4 * ((d @ cd + LABEL_NOISE**2) * c + torch.outer(cd, cd))
    return {
        "covariance_trace": float(sigma.trace()),
        "gradient_norm_squared": float(g @ g),
        "simple": float(sigma.trace() / (g @ g)),
        "hessian_covariance_trace": float((h @ sigma).trace()),
        "gradient_curvature": float(g @ h @ g),
        "hessian_weighted": float((h @ sigma).trace() / (g @ h @ g)),
    }
