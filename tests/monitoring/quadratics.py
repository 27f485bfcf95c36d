"""A quadratic bowl as a model, and update rules whose stability on it is tried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.monitoring import Monitor, stability
from theodolite.parameters import ParameterSpace

STEPS = 700
OLD = 100_000_000
"""Steps an Adam pretends to have made, so that its bias corrections stand still."""
SMALL, FAR = 1e-4, 1e3
"""Where training starts, and how much farther out it counts as diverged: gradients so small that
the second moments stay."""
SLOW = 1 - 1e-15
"""A second decay rate that leaves the preconditioner where it is."""


class Bowl(nn.Module):
    """A linear model in two tensors, so that optimizers can have two groups."""

    def __init__(self) -> None:
        super().__init__()
        made = torch.Generator().manual_seed(3)
        self.first, self.second = (
            nn.Parameter(SMALL * torch.randn(k, generator=made, dtype=torch.float64))
            for k in (2, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.cat([self.first, self.second])


def data(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Inputs whose Hessian is not diagonal, and targets that make zero the minimum."""
    made = torch.Generator().manual_seed(4)
    x = torch.randn(30, 5, generator=made, dtype=torch.float64)
    return scale * x, torch.zeros(30, dtype=torch.float64)


def dense(scale: float = 1.0) -> Tensor:
    """The Hessian of half the mean square: X'X / N."""
    x, _ = data(scale)
    return x.T @ x / len(x)


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets) ** 2 / 2


def objective(model: nn.Module, scale: float = 1.0) -> td.Objective:
    return td.Objective(model, half_square, data(scale))


@dataclass(frozen=True)
class Case:
    """An optimizer of the bowl, and what is put into its state before the first step."""

    make: Callable[[Bowl], torch.optim.Optimizer]
    frozen: str = ""


def groups(model: Bowl, **second: float) -> list[dict[str, object]]:
    """The first tensor as the optimizer's default has it, the second with its own settings."""
    return [{"params": [model.first]}, {"params": [model.second], **second}]


SGD, ADAM = torch.optim.SGD, torch.optim.Adam
CASES = {
    "gradient descent": Case(lambda m: SGD(m.parameters(), lr=0.1)),
    "heavy ball": Case(lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9)),
    "dampened": Case(lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9, dampening=0.5)),
    "Nesterov": Case(lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True)),
    "decay": Case(lambda m: SGD(m.parameters(), lr=0.1, weight_decay=6.0)),
    "two rates": Case(lambda m: SGD(groups(m, lr=0.03), lr=0.1, momentum=0.5)),
    "two decays": Case(lambda m: SGD(groups(m, weight_decay=9.0), lr=0.1)),
    "part at rest": Case(lambda m: SGD([m.second], lr=0.1)),
    "Adam": Case(lambda m: ADAM(m.parameters(), lr=0.1, betas=(0.9, SLOW)), "exp_avg_sq"),
    "Adam, two rates": Case(
        lambda m: ADAM(groups(m, lr=0.02), lr=0.1, betas=(0.8, SLOW)), "exp_avg_sq"
    ),
    "Adam, coupled decay": Case(
        lambda m: ADAM(m.parameters(), lr=0.1, betas=(0.5, SLOW), weight_decay=9.0), "exp_avg_sq"
    ),
    "AMSGrad": Case(
        lambda m: ADAM(m.parameters(), lr=0.1, betas=(0.9, SLOW), amsgrad=True), "max_exp_avg_sq"
    ),
    "AdamW": Case(
        lambda m: torch.optim.AdamW(m.parameters(), lr=0.1, betas=(0.9, SLOW), weight_decay=2.0),
        "exp_avg_sq",
    ),
    "RMSprop": Case(
        lambda m: torch.optim.RMSprop(m.parameters(), lr=0.1, alpha=SLOW, momentum=0.5),
        "square_avg",
    ),
    "centered RMSprop": Case(
        lambda m: torch.optim.RMSprop(m.parameters(), lr=0.1, alpha=SLOW, centered=True),
        "square_avg",
    ),
}


def made(case: Case) -> tuple[Bowl, torch.optim.Optimizer]:
    """The bowl and its optimizer, with a preconditioner that will not move."""
    model = Bowl()
    optimizer = case.make(model)
    if case.frozen:
        generator = torch.Generator().manual_seed(5)
        for group in optimizer.param_groups:
            for p in group["params"]:
                size = 0.2 + torch.rand(p.shape, generator=generator, dtype=torch.float64)
                optimizer.state[p] = _state(p, group, case.frozen, size)
    return model, optimizer


def _state(p: Tensor, group: dict[str, object], frozen: str, size: Tensor) -> dict[str, Tensor]:
    """A state whose root of the second moment, corrected, is `size`."""
    zero = torch.zeros_like(p)
    if frozen == "square_avg":
        state = {"step": torch.tensor(float(OLD)), "square_avg": size**2}
        if group["momentum"]:
            state["momentum_buffer"] = zero.clone()
        if group["centered"]:
            mean = 0.5 * torch.ones_like(p)
            state |= {"square_avg": size**2 + mean**2, "grad_avg": mean}
        return state
    correction = 1 - SLOW**OLD
    state = {"step": torch.tensor(float(OLD)), "exp_avg": zero.clone()}
    state |= {"exp_avg_sq": size**2 * correction}
    if group["amsgrad"]:
        state |= {"exp_avg_sq": zero.clone(), "max_exp_avg_sq": size**2 * correction}
    return state


def relative(case: Case, scale: float) -> float:
    """The sharpness over the threshold that a monitor logs."""
    model, optimizer = made(case)
    monitor = Monitor(objective(model, scale), measures=["threshold"], tolerance=1e-8)
    found = monitor.measure(optimizer)
    assert found is not None
    assert monitor.history().attrs["failures"] == "{}"
    return float(found["relative_sharpness"])


def dense_relative(case: Case, scale: float) -> float:
    """The same from the dense matrix."""
    model, optimizer = made(case)
    rule = stability(optimizer, model, ParameterSpace.from_model(model))
    units = torch.ones(5).double() if rule.units is None else rule.units
    root = units.rsqrt()
    seen = root[:, None] * (dense(scale) + torch.diag(torch.as_tensor(rule.decay).expand(5))) * root
    return float(torch.linalg.eigvalsh(seen)[-1]) / rule.threshold


def scale_for(case: Case, wanted: float) -> float:
    """The scale of the data at which the sharpness over the threshold is `wanted`."""
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if dense_relative(case, middle) < wanted else (low, middle)
    return high


def growth(case: Case, scale: float) -> float:
    """How far the parameters are from zero after many real steps, over where they began."""
    model, optimizer = made(case)
    x, y = data(scale)
    start = float(torch.linalg.vector_norm(torch.cat([*model.parameters()]).detach()))
    for _ in range(STEPS):
        optimizer.zero_grad()
        half_square(model(x), y).mean().backward()
        optimizer.step()
        moved = [p.detach() for g in optimizer.param_groups for p in g["params"]]
        size = float(torch.linalg.vector_norm(torch.cat(moved))) / start
        if size > 2 * FAR:
            break
    return size
