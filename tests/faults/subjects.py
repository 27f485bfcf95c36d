"""A model with everything a measurement could disturb, and the public calls that must not."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import theodolite as td


class Touchy(nn.Module):
    """Counts calls, caches its activation, updates buffers, holds mixed modes and gradients."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout(0.5)
        self.head = torch.nn.utils.parametrizations.weight_norm(nn.Linear(8, 3))
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.calls = 0
        self.cached: Tensor | None = None
        self.fail_at = -1
        self.train()
        self.norm.eval()
        self.conv.weight.grad = torch.ones_like(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.steps += 1
        if FORWARDS.tick():
            raise Boom("planned failure")
        hidden = torch.tanh(self.norm(self.conv(x))).flatten(1)
        self.cached = hidden
        return self.frozen(self.head(self.drop(hidden)))


class Boom(ArithmeticError):
    """An error of the user's own kind."""


class _Counter:
    """Counts forward passes outside the model, where no guard can reach, and fails at one."""

    def __init__(self) -> None:
        self.count, self.fail_at = 0, -1

    def reset(self, fail_at: int = -1) -> None:
        self.count, self.fail_at = 0, fail_at

    def tick(self) -> bool:
        self.count += 1
        return self.count == self.fail_at


FORWARDS = _Counter()


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 1, 4, 4, generator=generator)
    return x, torch.randint(3, (6,), generator=generator)


def objective(model: nn.Module, **settings: object) -> td.Objective:
    return td.Objective(model, nn.CrossEntropyLoss(), data(), batch_size=4, **settings)


Call = Callable[[nn.Module], object]


def _on(use: Callable[[td.Objective], object], **settings: object) -> Call:
    return lambda model: use(objective(model, **settings))


def _ones(o: td.Objective) -> Tensor:
    return torch.ones(o.space.size, dtype=o.start.dtype)


CALLS: dict[str, Call] = {
    "Objective": objective,
    "value": _on(lambda o: o.value()),
    "losses": _on(lambda o: o.losses()),
    "metrics": _on(lambda o: o.metrics()),
    "gradient": _on(lambda o: o.gradient()),
    "value with recomputed statistics": _on(lambda o: o.value(), batch_norm="recompute"),
    "value in float64": _on(lambda o: o.value(), dtype=torch.float64),
    "value in bfloat16": _on(lambda o: o.value(), dtype=torch.bfloat16),
    "random_directions": _on(lambda o: td.random_directions(o)),
    "line": _on(lambda o: td.line(o, td.random_directions(o, count=1)[0], steps=3)),
    "plane": _on(lambda o: td.plane(o, td.random_directions(o), steps=(2, 3))),
    "hessian": _on(lambda o: td.hessian(o).matvec(_ones(o))),
    "ggn": _on(lambda o: td.ggn(o).matvec(_ones(o))),
    "eigenpairs": _on(lambda o: td.eigenpairs(td.hessian(o), count=1, tolerance=0.5)),
    "spectral_density": _on(lambda o: td.spectral_density(td.hessian(o), steps=3, probes=1)),
    "trace": _on(lambda o: td.trace(o, tolerance=10.0)),
    "certify": _on(lambda o: td.certify(o)),
}
