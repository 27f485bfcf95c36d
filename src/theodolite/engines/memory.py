"""How many graphs fit into memory: what one holds, and what may be held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

LARGEST, SHARE = 2 << 30, 0.3
"""Kept graphs take at most 2 GiB and at most 30 % of the memory that is free, by default."""


def free_bytes(device: torch.device) -> int:
    """Bytes of memory that are free on `device` now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def default_budget(device: torch.device) -> int:
    """Bytes that graphs may take on `device` when the caller names no budget."""
    return min(LARGEST, int(SHARE * free_bytes(device)))


def held_bytes(build: Callable[[], Any]) -> int:
    """Bytes of the distinct storages that the graphs made by `build()` save, then lets them go.

    Tensors a model saves through hooks of its own (checkpointing, offloading) do not count: those
    are not kept.
    """
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        for part in _dense_parts(tensor):
            storage = part.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself would hold its own graph: a cycle

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        build()
    return sum(storages.values())


def _dense_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The tensors that hold a tensor's numbers: itself, or the values of a sparse one."""
    held = tensor.detach()
    if held.layout == torch.strided:
        return (held,)
    if held.layout == torch.sparse_coo:
        return (held._indices(), held._values())
    return (held.values(),) if held.is_sparse_csr else ()
