"""Trainings whose every bit can be compared, with and without a monitor."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td

Wrap = Callable[[nn.Module], nn.Module]


class Net(nn.Module):
    """BatchNorm, dropout and noise of its own: everything a measurement could disturb."""

    def __init__(self, noise: float = 0.01) -> None:
        super().__init__()
        self.noise = noise
        self.body = nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.2), nn.Linear(12, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.noise:
            x = x + self.noise * float(np.random.rand()) + self.noise * random.random()
        return self.body(x)


def data(count: int = 96) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(1)
    x = torch.randn(count, 6, generator=made)
    return x, (x[:, :3] + 0.3 * torch.randn(count, 3, generator=made)).argmax(1)


def monitored(model: nn.Module, **how: Any) -> td.Monitor:
    """A monitor with data of its own and no budget."""
    x, y = data(64)
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    return td.Monitor(objective, **{"every": 4, "budget": None, "batch_size": 16, **how})


def seeded() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def digest(*parts: Any) -> str:
    """One hash of tensors, numbers and containers of them, bit for bit."""
    made = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            made.update(f"{value.dtype}{tuple(value.shape)}".encode())
            made.update(value.detach().cpu().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for key, inner in value.items():
                made.update(str(key).encode())
                add(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                add(inner)
        elif isinstance(value, np.ndarray):
            made.update(value.tobytes())
        else:
            made.update(repr(value).encode())

    add(parts)
    return made.hexdigest()


def process() -> str:
    """The random generators and the flags of the process."""
    return digest(
        torch.get_rng_state(),
        np.random.get_state(),
        random.getstate(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
    )


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """Everything that training depends on, after a step."""
    return digest(
        dict(model.state_dict()),
        [p.grad for p in model.parameters()],
        [m.training for m in model.modules()],
        optimizer.state_dict(),
        process(),
    )


def trained(
    make: Callable[[nn.Module], torch.optim.Optimizer],
    watch: Callable[[nn.Module], td.Monitor] | None,
    *,
    wrap: Wrap | None = None,
    scaler: bool = False,
    accumulate: int = 1,
    epochs: int = 2,
) -> tuple[list[str], td.Monitor | None]:
    """The state after every update, and the order of the data with it."""
    seeded()
    inner = Net(0.01 if wrap is None else 0.0).train()
    model = inner if wrap is None else wrap(inner)
    optimizer = make(inner)
    monitor = None if watch is None else watch(model)
    seeded()
    loader = DataLoader(TensorDataset(*data()), batch_size=16, shuffle=True)
    scale = torch.amp.GradScaler("cpu", init_scale=2.0**18, enabled=scaler)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)
    seen: list[str] = []
    count = 0
    for epoch in range(epochs):
        for x, y in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=scaler):
                loss = nn.functional.cross_entropy(model(x), y)
            if scaler and count == 6:
                loss = loss * float("inf")  # what the scaler answers with a skipped step
            scale.scale(loss / accumulate).backward()
            count += 1
            if count % accumulate:
                continue
            scale.step(optimizer)
            scale.update()
            if monitor is not None:
                monitor.step(optimizer, epoch=float(epoch))
            seen.append(digest(state(inner, optimizer), x, y, loss, scale.state_dict()))
            schedule.step()
            optimizer.zero_grad()
    return seen, monitor
