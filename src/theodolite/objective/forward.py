"""A model as a function of a flat vector, evaluated without touching the model's own tensors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from theodolite.engines.registries import Known, attributes_kept
from theodolite.errors import TheodoliteWarning, UnsupportedModel
from theodolite.parameters import ParameterSpace

Result = TypeVar("Result")


class _Shell(nn.Module):
    """Holds the model so that any function of it can run with substituted tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, body: Callable[[], Result]) -> Result:
        return body()


@dataclass(frozen=True, eq=False)
class Forward:
    """The model with its parameters replaced by views of ``theta``.

    Buffers are replaced by working copies, reset from pristine ones before every pass, so a
    forward that updates them (statistics, counters) starts from the same state each time and
    never reaches the caller's.
    """

    model: nn.Module
    shell: nn.Module
    space: ParameterSpace
    dtype: torch.dtype | None
    device: torch.device
    fixed: dict[str, Tensor]
    pristine: dict[str, Tensor]
    working: dict[str, Tensor]
    known: Known = field(default_factory=Known)

    def named(self, theta: Tensor) -> dict[str, Tensor]:
        """All tensors the model runs with at `theta`, by the names ``functional_call`` wants."""
        self.reset_buffers()
        return self._state(theta) | self.working

    def fresh(self, theta: Tensor) -> dict[str, Tensor]:
        """As `named`, with buffers of its own: for graphs that are kept, and inside transforms."""
        return self._state(theta) | {n: t.clone() for n, t in self.pristine.items()}

    def _state(self, theta: Tensor) -> dict[str, Tensor]:
        state = dict(self.fixed)
        for e, view in zip(self.space.entries, self.space.views(theta).values(), strict=True):
            cast = view.to(self.dtype or e.dtype)
            for name in (e.name, *e.aliases):
                state[f"model.{name}"] = cast
        return state

    def reset_buffers(self) -> None:
        """Put the working buffers back to the values the model came with."""
        with torch.no_grad():
            for name, buffer in self.working.items():
                buffer.copy_(self.pristine[name])

    def run(self, theta: Tensor, body: Callable[[], Result]) -> Result:
        """`body()` while the model holds the tensors of `theta`; call inside `preserved` only.

        A pass without gradients works on a copy: a model may write to its own weights in its
        forward (``nn.Embedding(max_norm=...)`` does), and they must not be the caller's vector.
        """
        point = theta if theta.requires_grad else theta.clone()
        return self.run_named(self.named(point), body)

    def held(self, theta: Tensor, body: Callable[[Callable[[], None]], Result]) -> Result:
        """`body(renew)` while the model holds views of `theta`, which `body` may write in place.

        ``renew()`` must follow each write and precede each pass: it renews the casts of a
        half-precision model, the buffers, and whatever the last pass left on the modules. One
        substitution then serves any number of points; call inside `preserved` only.
        """
        state = self.named(theta)
        views = self.space.views(theta).items()
        held = [(state[f"model.{name}"], view) for name, view in views]

        def inside() -> Result:
            restore = attributes_kept(self.model)

            def renew() -> None:
                restore()
                self.reset_buffers()
                for tensor, view in held:
                    if tensor.dtype != view.dtype:
                        tensor.copy_(view)
                    elif tensor.data_ptr() != view.data_ptr():
                        tensor.data = view  # the forward pass gave it other memory

            return body(renew)

        return self.run_named(state, inside)

    def run_named(self, state: dict[str, Tensor], body: Callable[[], Result]) -> Result:
        """`body()` while the model holds the tensors of `state`."""
        with uncompiled():
            result: Result = functional_call(self.shell, state, (body,), tie_weights=False)
        return result


def uncompiled() -> AbstractContextManager[Any]:
    """Inside, compiled parts run as they were written: their graphs have no second derivative."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and the import takes long
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def unwrapped(model: Any) -> nn.Module:
    """The plain module inside compilation and data-parallel wrappers; raises on other things."""
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModel(
            "the model is a TorchScript module, which cannot be evaluated with other weights.",
            fix="pass the nn.Module it was made from.",
            code="E-O40",
        )
    if not isinstance(model, nn.Module):
        raise UnsupportedModel(
            f"model must be a torch.nn.Module; got {type(model).__name__}.",
            fix="wrap the function in a module that holds its parameters.",
            code="E-O41",
        )
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(inner, nn.Module):
            _tell_compiled("the model is compiled; the module inside it is measured instead")
            model = inner
        elif isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        else:
            plain: nn.Module = model
            if any(map(_compiled, plain.modules())):
                _tell_compiled("parts of the model are compiled; they run uncompiled here")
            return plain


def _compiled(module: nn.Module) -> bool:
    wrapper = isinstance(getattr(module, "_orig_mod", None), nn.Module)
    return wrapper or module._compiled_call_impl is not None


def _tell_compiled(what: str) -> None:
    warnings.warn(
        f"{what}, because compiled graphs have no second derivative. [E-O46]",
        TheodoliteWarning,
        stacklevel=4,
    )


def build(
    model: nn.Module,
    space: ParameterSpace,
    device: torch.device,
    dtype: torch.dtype | None,
) -> Forward:
    """Collect what stands still while theta moves: frozen parameters and buffers, as own copies."""
    coordinates = {n for e in space.entries for n in (e.name, *e.aliases)}
    fixed: dict[str, Tensor] = {}
    done: dict[int, Tensor] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    places = {_place(n, modules) for n in coordinates}
    for name, tensor in (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ):
        place = _place(name, modules)
        if place in places:
            continue
        places.add(place)
        if id(tensor) not in done:
            done[id(tensor)] = _own(tensor, device, dtype)
        fixed[f"model.{name}"] = done[id(tensor)]
    buffers = {f"model.{n}" for n, _ in model.named_buffers(remove_duplicate=False)}
    pristine = {n: t for n, t in fixed.items() if n in buffers}
    working = {n: t.clone() for n, t in pristine.items()}
    fixed = {n: t for n, t in fixed.items() if n not in buffers}
    return Forward(model, _Shell(model), space, dtype, device, fixed, pristine, working)


def held_at(forward: Forward, space: ParameterSpace, theta: Tensor) -> Forward:
    """The same for the parameters of `space` alone, the others held where `theta` has them."""
    moving = {f"model.{n}" for e in space.entries for n in (e.name, *e.aliases)}
    own = theta.detach().clone()
    still = {n: t for n, t in forward._state(own).items() if n not in moving}
    working = {n: t.clone() for n, t in forward.pristine.items()}
    return replace(forward, space=space, fixed=still, working=working)


def converted(forward: Forward, space: ParameterSpace, dtype: torch.dtype) -> Forward:
    """The same in another precision, from the tensors `forward` holds: the model may have moved."""
    device = forward.device
    fixed, pristine = (
        {n: _own(t, device, dtype) for n, t in held.items()}
        for held in (forward.fixed, forward.pristine)
    )
    working = {n: t.clone() for n, t in pristine.items()}
    return Forward(forward.model, forward.shell, space, dtype, device, fixed, pristine, working)


def _place(name: str, modules: dict[str, nn.Module]) -> tuple[int, str]:
    """Where a name points to, the same for every path to a shared module."""
    layer, _, attribute = name.rpartition(".")
    return id(modules[layer]), attribute


def _own(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    to = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(device=device, dtype=to, copy=True)
