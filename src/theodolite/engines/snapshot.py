"""Everything of the caller's that a measurement could disturb, recorded and put back.

One mechanism for every public call: `preserved` records, runs the body, and restores twice.
The second restoration is what makes an interrupt harmless: a Ctrl-C that lands inside the
first one is followed by another complete pass, and restoring is idempotent. The recording
itself changes nothing, so an interrupt before the body starts has nothing to undo.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from theodolite.engines.registries import Known

Result = TypeVar("Result")

_FLAGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, torch.set_default_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
    (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    (
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda v: torch.use_deterministic_algorithms(v[0], warn_only=v[1]),
    ),
    (
        lambda: getattr(torch.utils.deterministic, "fill_uninitialized_memory"),  # noqa: B009
        lambda v: setattr(torch.utils.deterministic, "fill_uninitialized_memory", v),
    ),
    (
        lambda: torch.backends.cudnn.enabled,
        lambda v: setattr(torch.backends.cudnn, "enabled", v),
    ),
    (
        lambda: torch.backends.cudnn.benchmark,
        lambda v: setattr(torch.backends.cudnn, "benchmark", v),
    ),
    (
        lambda: torch.backends.cudnn.deterministic,
        lambda v: setattr(torch.backends.cudnn, "deterministic", v),
    ),
)


def preserved(
    modules: Iterable[nn.Module], body: Callable[[], Result], known: Known | None = None
) -> Result:
    """Run `body` and put the caller's state back, whatever happens inside.

    With `known`, which belongs to these modules, what the last call saw of them is used again
    where they still hold the same objects.

    Covers for every module: parameters and buffers as objects, training flags, plain attributes
    and hooks; for every parameter: ``.grad`` and ``requires_grad``; values of small buffers;
    and the process: generators of torch, NumPy and ``random``, grad mode, autocast, precision,
    attention and cuDNN flags, threads, warning filters, open forward-mode and functorch levels.

    Values of parameters are not copied: nothing here writes to them, because models are
    evaluated through ``torch.func.functional_call`` with other tensors in their place.
    """
    roots = tuple(modules)
    if torch.is_inference_mode_enabled():
        with torch.inference_mode(False):
            return preserved(roots, body, known)
    record = _Record(roots, known or Known())
    try:
        try:
            return body()
        finally:
            record.restore()
    finally:
        record.restore()


class _Record:
    """What was there before; restoring it twice is the same as once."""

    def __init__(self, roots: tuple[nn.Module, ...], known: Known) -> None:
        self.modules = registries = known.of(roots)
        self.tensors = [(t, t.grad, t.requires_grad) for t in registries.tensors if t.is_leaf]
        self.values = [(t, t._version, t.clone()) for t in registries.buffers]
        self.flags = [read() for read, _ in _FLAGS]
        self.autocast = [(d, *_autocast_state(d)) for d in ("cpu", "cuda")]
        self.generators = (torch.get_rng_state(), np.random.get_state(), random.getstate())
        cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
        self.cuda = torch.cuda.get_rng_state_all() if cuda else None
        self.filters = list(warnings.filters)
        self.environment = _environment()
        self.levels = (_functorch_depth(), forward_ad._current_level)

    def restore(self) -> None:
        self._restore_process()
        self.modules.restore()
        for tensor, grad, requires_grad in self.tensors:
            if tensor.grad is not grad:
                tensor.grad = grad
            if tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)
        for tensor, version, value in self.values:
            # kernels of BatchNorm write statistics without raising the version
            if tensor._version != version or not torch.equal(tensor, value):
                with torch.no_grad():
                    tensor.copy_(value)

    def _restore_process(self) -> None:
        depth, level = self.levels
        if _functorch_depth() > depth:
            torch._C._functorch.pop_dynamic_layer_stack_and_undo_to_depth(depth)
        while forward_ad._current_level > level:
            forward_ad.exit_dual_level()
        for (read, write), value in zip(_FLAGS, self.flags, strict=True):
            if read() != value:
                write(value)
        for device, enabled, dtype in self.autocast:
            if _autocast_state(device) != (enabled, dtype):
                torch.set_autocast_enabled(device, enabled)
                torch.set_autocast_dtype(device, dtype)
        state, numpy_state, python_state = self.generators
        torch.set_rng_state(state)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        if self.cuda is not None:
            torch.cuda.set_rng_state_all(self.cuda)
        if _environment() != self.environment:  # some modules set variables on first use
            os.environ.clear()
            os.environ.update({os.fsdecode(k): os.fsdecode(v) for k, v in self.environment.items()})
        if warnings.filters != self.filters:
            warnings.filters[:] = self.filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]


def _environment() -> dict[Any, Any]:
    """The variables as the system has them: decoding them all takes longer than a small product."""
    return dict(getattr(os.environ, "_data", os.environ))


def _autocast_state(device: str) -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)


def _functorch_depth() -> int:
    return int(torch._C._functorch.get_dynamic_layer_stack_depth())


def evaluation_flags(*, grad: bool, derivatives: bool = False) -> None:
    """Set the process flags an evaluation wants; only ever called inside `preserved`.

    Autocast is off (precision is the objective's), attention takes the path whose value equals
    its differentiable one, and with ``derivatives`` the math kernel, which alone has a double
    backward.
    """
    torch.set_grad_enabled(grad)
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            torch.set_autocast_enabled(device, False)
    torch.backends.mha.set_fastpath_enabled(False)
    if derivatives:
        torch.backends.cuda.enable_math_sdp(True)
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)
        torch.backends.cudnn.enabled = False


def set_mode(model: nn.Module, mode: str) -> None:
    """Put every submodule in one mode without calling an overridden ``train``."""
    for module in model.modules():
        module.training = mode == "train"


def is_tensor(value: object) -> bool:
    """Whether `value` is a tensor (for trees of mixed leaves)."""
    return isinstance(value, Tensor)
