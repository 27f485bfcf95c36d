"""Layers whose own derivative is missing or wrong, put right for the length of a call.

Only ever used inside `preserved`, which puts every attribute and hook of the model back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm


def make_differentiable(model: nn.Module, *, second: bool) -> None:
    """Dense, unscaled gradients for embeddings; with ``second``, weight norm from plain operations.

    A sparse gradient does not fit into a flat vector, and one divided by how often a row occurs in
    the batch (``scale_grad_by_freq``) is the derivative of no loss. The fused kernel of weight norm
    takes the norm as a constant in its second derivative, which is silently wrong (torch 2.10 to
    2.13).
    """
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = module.scale_grad_by_freq = False
        elif second and isinstance(module, _WeightNorm):
            module.forward = partial(_parametrized, module.dim)  # type: ignore[method-assign]
        if second:
            _replace_hooks(module)


def weight_norm(direction: Tensor, length: Tensor, dim: int) -> Tensor:
    """``direction`` scaled so that its slices along ``dim`` have norm ``length``.

    Equivalent to ``torch._weight_norm`` to rounding.
    """
    return direction * (length / torch.norm_except_dim(direction, 2, dim))


def _parametrized(dim: int, length: Tensor, direction: Tensor) -> Tensor:
    return weight_norm(direction, length, dim)


def _replace_hooks(module: nn.Module) -> None:
    """The old form of weight norm computes the weight in a hook before each forward pass."""
    hooks = module._forward_pre_hooks
    for key, hook in hooks.items():
        if isinstance(hook, WeightNorm):
            hooks[key] = _hook(hook.name, hook.dim)


def _hook(name: str, dim: int) -> Callable[[nn.Module, Any], None]:
    def hook(module: nn.Module, inputs: Any) -> None:
        length, direction = getattr(module, f"{name}_g"), getattr(module, f"{name}_v")
        setattr(module, name, weight_norm(direction, length, dim))

    return hook
