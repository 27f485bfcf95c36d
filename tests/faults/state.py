"""Everything a caller owns, as hashes: written apart from the guard it is used to check."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import random
import signal
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FILES = "/proc/self/fd"


def _digest(tensor: Tensor) -> str:
    raw = tensor.detach().cpu().contiguous().reshape(-1)
    data = raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b""
    return hashlib.sha256(data + str((tensor.dtype, tuple(tensor.shape))).encode()).hexdigest()


def _tensor(tensor: Tensor) -> tuple[Any, ...]:
    grad = tensor.grad if tensor.is_leaf else None
    return (
        id(tensor),
        tensor.data_ptr(),
        tensor.stride(),
        tensor.requires_grad,
        _digest(tensor),
        None if grad is None else (id(grad), _digest(grad)),
    )


def _plain(module: nn.Module) -> dict[str, Any]:
    """Attributes outside the registries: identity of objects, values of simple ones."""
    kept: dict[str, Any] = {}
    for key, value in module.__dict__.items():
        if isinstance(value, Tensor):
            kept[key] = _tensor(value)
        elif isinstance(value, int | float | str | bool | type(None)):
            kept[key] = value
        elif isinstance(value, dict):
            kept[key] = [(str(k), id(v)) for k, v in value.items()]
        else:
            kept[key] = id(value)
    return kept


def caller_state(model: nn.Module) -> dict[str, Any]:
    """All of section "invariants after every call": compare two of these for equality."""
    modules = dict(model.named_modules(remove_duplicate=False))
    state: dict[str, Any] = {f"module {n}": _plain(m) for n, m in modules.items()}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        state[f"tensor {name}"] = _tensor(tensor)
    state |= {
        "torch rng": _digest(torch.get_rng_state()),
        "numpy rng": hashlib.sha256(pickle.dumps(np.random.get_state())).hexdigest(),
        "python rng": hashlib.sha256(pickle.dumps(random.getstate())).hexdigest(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": torch.get_default_dtype(),
        "default device": str(torch.get_default_device()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "attention kernels": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
            torch.backends.cuda.cudnn_sdp_enabled(),
            torch.backends.mha.get_fastpath_enabled(),
        ),
        "cudnn": (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark),
        "threads": torch.get_num_threads(),
        "warning filters": [str(f) for f in warnings.filters],
        "functorch levels": torch._C._functorch.get_dynamic_layer_stack_depth(),
        "forward-mode level": torch.autograd.forward_ad._current_level,
        "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "files": _open_files(),
    }
    return state


def _open_files() -> list[str]:
    """What open files lead to. Not their numbers: reading the list takes the lowest free one."""
    found = []
    for number in os.listdir(FILES) if os.path.isdir(FILES) else ():
        with contextlib.suppress(OSError):  # the list itself
            found.append(os.readlink(f"{FILES}/{number}"))
    return sorted(found)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what changed."""
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))


def changes(before: dict[str, Any], model: nn.Module) -> list[str]:
    """What changed, but for Python's generator, from which the tests' type checker draws."""
    return [d for d in differences(before, caller_state(model)) if d != "python rng"]
