"""Losses whose every measure is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theodolite as td

Float = torch.float64


class Form(nn.Module):
    """A function of the parameters alone, the same for every example."""

    def __init__(self, function: object, start: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(start.clone())
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.w) * torch.ones_like(x)  # type: ignore[operator]


def output(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss is the output."""
    return outputs[:, 0]


def form(function: object, start: Tensor | list[float]) -> td.Objective:
    """The objective ``L(w) = function(w)``."""
    at = torch.as_tensor(start, dtype=Float)
    data = (torch.ones(2, 1, dtype=Float), torch.zeros(2, 1, dtype=Float))
    return td.Objective(Form(function, at), output, data)


def bowl(
    eigenvalues: list[float], start: list[float], *, turn: Tensor | None = None
) -> td.Objective:
    """``L(w) = w'Hw / 2`` with H diagonal, or turned by an orthogonal matrix."""
    h = torch.diag(torch.tensor(eigenvalues, dtype=Float))
    h = h if turn is None else turn @ h @ turn.T
    return form(lambda w: 0.5 * w @ h @ w, start)


def vector(*values: float) -> Tensor:
    """A float64 vector."""
    return torch.tensor(values, dtype=Float)


def regression(
    examples: int = 12, features: int = 4, outputs: int = 1, seed: int = 0
) -> tuple[td.Objective, Tensor, Tensor]:
    """Linear regression without a bias, its inputs and targets."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, features, generator=generator, dtype=Float)
    y = torch.randn(examples, outputs, generator=generator, dtype=Float)
    model = nn.Linear(features, outputs, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(outputs, features, generator=generator, dtype=Float))
    return td.Objective(model, nn.MSELoss(), (x, y)), x, y


def classifier(
    *, activation: type[nn.Module] = nn.ReLU, hidden: int = 5, examples: int = 24, seed: int = 0
) -> td.Objective:
    """A two-layer network for three classes, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 4, generator=generator, dtype=Float)
    model = nn.Sequential(nn.Linear(4, hidden), activation(), nn.Linear(hidden, 3)).double()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=Float))
    return td.Objective(model, nn.CrossEntropyLoss(), (x, nearly_right(model, x)))


def nearly_right(model: nn.Module, x: Tensor) -> Tensor:
    """Labels that the model gets right, but for one in six."""
    with torch.no_grad():
        labels = model(x).argmax(1)
    labels[::6] = (labels[::6] + 1) % 3
    return labels
