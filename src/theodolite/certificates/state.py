"""A digest of everything of the caller's that a measurement must leave as it was."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def caller_state(model: nn.Module, *tensors: Tensor) -> dict[str, Any]:
    """What to compare before and after: the model, some tensors, generators and flags, by name."""
    state: dict[str, Any] = {"tensors": [_contents(t) for t in tensors]}
    for name, module in model.named_modules():
        state[f"module {name}"] = _module(module)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        state[f"tensor {name}"] = _tensor(tensor)
    return state | _process()


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what differs."""
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def _process() -> dict[str, Any]:
    return {
        "torch generator": _contents(torch.get_rng_state()),
        "numpy generator": hashlib.blake2b(pickle.dumps(np.random.get_state())).hexdigest(),
        "python generator": hashlib.blake2b(pickle.dumps(random.getstate())).hexdigest(),
        "gradient mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "default dtype": torch.get_default_dtype(),
        "autocast": [
            (torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")
        ],
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "attention kernels": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
            torch.backends.mha.get_fastpath_enabled(),
        ),
        "cudnn": torch.backends.cudnn.enabled,
        "threads": torch.get_num_threads(),
        "warning filters": len(warnings.filters),
        "working directory": os.getcwd(),
        "environment": hash(frozenset(os.environ.items())),
    }


def _contents(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _tensor(tensor: Tensor) -> tuple[Any, ...]:
    grad = tensor.grad if tensor.is_leaf else None
    return (
        id(tensor),
        tensor.data_ptr(),
        tensor.stride(),
        tensor.requires_grad,
        _contents(tensor),
        None if grad is None else (id(grad), _contents(grad)),
    )


def _module(module: nn.Module) -> dict[str, Any]:
    """Plain attributes by value where they are simple, registries by the identity of entries."""
    kept: dict[str, Any] = {}
    for key, value in module.__dict__.items():
        if isinstance(value, int | float | str | None):
            kept[key] = value
        elif isinstance(value, dict):
            kept[key] = [(str(k), id(v)) for k, v in value.items()]
        else:
            kept[key] = id(value)
    return kept
