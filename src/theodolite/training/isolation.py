"""Training in surroundings of its own, whatever the caller's flags and generators are."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

import numpy as np
import torch
from torch.utils import deterministic

from theodolite.engines.snapshot import preserved

Result = TypeVar("Result")


def isolated(dtype: torch.dtype, body: Callable[[], Result]) -> Result:
    """Run `body` with the flags training wants, then put the caller's back.

    Gradients on, autocast off, deterministic algorithms, new tensors on the CPU in `dtype`.
    """

    def flagged() -> Result:
        torch.set_grad_enabled(True)
        for device in ("cpu", "cuda"):
            torch.set_autocast_enabled(device, False)
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        torch.set_default_dtype(dtype)
        return body()

    # Filling every new tensor with NaN costs a third of the time and decides nothing here.
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    elsewhere = torch.get_default_device().type != "cpu"
    try:
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        with torch.device("cpu") if elsewhere else nullcontext():
            return preserved((), flagged)
    finally:
        deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def seed_streams(seed: int, device: str) -> None:
    """Seed every global generator a model may draw from; only ever called in `isolated`."""
    torch.default_generator.manual_seed(seed)
    if device == "cuda":
        torch.cuda.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
