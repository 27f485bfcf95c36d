"""Where sharpness-aware minimization looks: the step uphill, and the way back bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, InvalidData

SMALLEST = torch.finfo(torch.float32).tiny


def ascent_steps(groups: Iterable[dict[str, Any]]) -> list[tuple[Tensor, Tensor]]:
    r"""Each parameter that has a gradient, with its step to the worst point nearby.

    .. math:: \epsilon = \rho \, T^2 g / \|T g\|_2

    with ``T = 1``, or ``T = |w| + eta`` in groups that are ``adaptive``; the norm is that over
    all groups together, in float64, and ``rho`` is the group's own. Zero where the norm is zero
    (below 1.2e-38) and where ``rho`` is; NaN where a gradient is not finite. Raises
    `InvalidData` for a sparse gradient.
    """
    found: list[tuple[Tensor, dict[str, Any], Tensor, Tensor | None]] = []
    seen: set[int] = set()
    for group in groups:
        for p in group["params"]:
            if p.grad is None or id(p) in seen:
                continue
            seen.add(id(p))
            _refuse_sparse(p)
            scale = p.detach().abs() + group["eta"] if group["adaptive"] else None
            gradient = p.grad.detach()
            found.append((p, group, gradient if scale is None else scale * gradient, scale))
    if not found:
        return []
    norms = [_norm(scaled) for _, _, scaled, _ in found]
    whole = torch.linalg.vector_norm(torch.stack([n.to(norms[0].device) for n in norms]))
    share = torch.where(whole <= SMALLEST, torch.zeros_like(whole), 1 / whole)
    steps = []
    for p, group, scaled, scale in found:
        if group["rho"] > 0:
            step = scaled * (group["rho"] * share).to(p.device)
            steps.append((p, step if scale is None else scale * step))
    return steps


def check_group(group: dict[str, Any], where: str) -> None:
    """Raise unless the radius and the smallest scale of a group are numbers from 0."""
    for name in ("rho", "eta"):
        value = group[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value >= 0):
            raise InvalidArgument(
                f"{name} must be a finite number, at least 0; got {value!r}.",
                where=where,
                code="E-W05",
            )


def _refuse_sparse(p: Tensor) -> None:
    if p.grad is not None and p.grad.layout != torch.strided:
        raise InvalidData(
            f"the gradient of a parameter of shape {tuple(p.shape)} is sparse ({p.grad.layout}).",
            where="SAM, the step uphill",
            why="the second pass would need the rows of other tokens, too.",
            fix="build the embedding with sparse=False.",
            code="E-W01",
        )


def _norm(tensor: Tensor) -> Tensor:
    """The 2-norm, in float64 where the device has it: squares neither over- nor underflow."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    wide = torch.float32 if real.device.type == "mps" else torch.float64
    norm: Tensor = torch.linalg.vector_norm(real, dtype=wide)
    return norm


@dataclass(frozen=True, eq=False)
class Kept:
    """Copies of weights and of a model's buffers, to be put back as they were."""

    weights: list[tuple[Tensor, Tensor]]
    buffers: list[tuple[nn.Module, str, Tensor | None, Tensor | None]]

    @classmethod
    def of(cls, parameters: Iterable[Tensor], model: nn.Module | None) -> Kept:
        """Copy; nothing is written."""
        weights = [(p, p.detach().clone()) for p in parameters]
        modules = [] if model is None else list(model.modules())
        buffers = [
            (module, name, buffer, None if buffer is None else buffer.detach().clone())
            for module in modules
            for name, buffer in module._buffers.items()
        ]
        return cls(weights, buffers)

    @torch.no_grad()
    def put_back(self) -> None:
        """Write everything back; twice is the same as once."""
        for p, value in self.weights:
            p.copy_(value)
        for module, name, buffer, copy in self.buffers:
            if module._buffers.get(name) is not buffer:
                module._buffers[name] = buffer
            if buffer is not None and copy is not None:
                buffer.copy_(copy)
