"""The trainable parameters of a model as coordinates of a flat vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.parameters.filters import filters_of, kind_of, place
from theodolite.parameters.refusals import check_apart, check_tensor, refuse_empty


@dataclass(frozen=True)
class Entry:
    """One trainable tensor: where it lies in the flat vector and what its filters are.

    ``view_shape`` is the shape in which filters are separate and ``reduce_dims`` the dimensions
    one filter spans; ``reduce_dims`` is ``None`` for biases and normalization layers, which have
    no filters. ``aliases`` are the other names of a tied tensor.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    size: int
    dtype: torch.dtype
    kind: str
    layer: str
    view_shape: tuple[int, ...]
    reduce_dims: tuple[int, ...] | None
    aliases: tuple[str, ...] = ()

    @property
    def stop(self) -> int:
        """One past the last coordinate."""
        return self.offset + self.size


@dataclass(frozen=True, eq=False)
class ParameterSpace:
    """The trainable parameters of a model, in order, as coordinates of a flat vector.

    A point is a plain tensor of shape ``(params,)``. Tied parameters have one set of
    coordinates; frozen ones (``requires_grad=False``) and buffers have none. ``pruned`` marks the
    coordinates that a mask of ``torch.nn.utils.prune`` holds at zero (``None`` without masks).

    >>> space = ParameterSpace.from_model(nn.Linear(3, 2))
    >>> space.size, space.names
    (8, ('weight', 'bias'))
    """

    entries: tuple[Entry, ...]
    dtype: torch.dtype
    pruned: Tensor | None = None

    @classmethod
    def from_model(cls, model: nn.Module) -> ParameterSpace:
        """Read the layout of `model`; raises when nothing is trainable or a tensor has no place."""
        entries: list[Entry] = []
        masks: list[Tensor | None] = []
        tensors: dict[str, Tensor] = {}
        seen: dict[tuple[object, ...], int] = {}
        places: set[tuple[int, str]] = set()
        modules = dict(model.named_modules(remove_duplicate=False))
        offset = 0
        for name, tensor in model.named_parameters(remove_duplicate=False):
            owner, attribute = modules[name.rpartition(".")[0]], name.rpartition(".")[2]
            if (id(owner), attribute) in places:
                continue  # the same module reached by a second path
            places.add((id(owner), attribute))
            check_tensor(name, tensor)
            if not tensor.requires_grad:
                continue
            key = _storage_key(tensor)
            if key in seen:
                first = entries[seen[key]]
                entries[seen[key]] = replace(first, aliases=(*first.aliases, name))
                continue
            seen[key] = len(entries)
            entries.append(_entry(name, tensor, modules, offset))
            tensors[name] = tensor
            mask = getattr(owner, f"{attribute[:-5]}_mask", None)
            is_masked = attribute.endswith("_orig") and isinstance(mask, Tensor)
            masks.append(mask if is_masked else None)
            offset += tensor.numel()
        if offset == 0:
            refuse_empty(model)
        check_apart(tensors)
        return cls(tuple(entries), _master_dtype(entries), _pruned(entries, masks))

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return self.entries[-1].stop

    @property
    def names(self) -> tuple[str, ...]:
        """One name a tensor, in the order of the coordinates."""
        return tuple(e.name for e in self.entries)

    def entry(self, name: str) -> Entry:
        """The entry called `name`, by its first name or an alias."""
        for e in self.entries:
            if name == e.name or name in e.aliases:
                return e
        raise InvalidArgument(
            f"no trainable parameter is called {name!r}.",
            fix=f"use one of {', '.join(self.names[:8])}{' ...' if len(self.names) > 8 else ''}.",
            code="E-P01",
        )

    def layers(self) -> dict[str, tuple[Entry, ...]]:
        """The entries of each layer (the module that holds them), in order."""
        grouped: dict[str, list[Entry]] = {}
        for e in self.entries:
            grouped.setdefault(e.layer, []).append(e)
        return {k: tuple(v) for k, v in grouped.items()}

    def views(self, theta: Shaped[Tensor, " params"]) -> dict[str, Tensor]:
        """The tensors of `theta` by name, as views: no copy, and gradients cost one concatenation.

        >>> space = ParameterSpace.from_model(nn.Linear(3, 2))
        >>> space.views(torch.arange(8.0))["bias"]
        tensor([6., 7.])
        """
        self.check(theta)
        pieces = torch.split(theta, [e.size for e in self.entries])
        return {e.name: piece.view(e.shape) for e, piece in zip(self.entries, pieces, strict=True)}

    def flatten(
        self, named: Mapping[str, Tensor], *, dtype: torch.dtype | None = None
    ) -> Float[Tensor, " params"]:
        """The flat vector of tensors given by name (a state dict will do); inverse of `views`.

        A tied tensor may come under any of its names.
        """
        found = {e.name: named[n] for e in self.entries for n in (*e.aliases, e.name) if n in named}
        wrong = [f"missing {e.name}" for e in self.entries if e.name not in found]
        wrong += [f"{e.name}: {m}" for e in self.entries if (m := _misfit(e, found.get(e.name)))]
        if wrong:
            raise InvalidArgument(
                f"the tensors do not fit the model's parameters in {len(wrong)} places: "
                + "; ".join(wrong[:5])
                + ("; ..." if len(wrong) > 5 else "."),
                fix="pass a state dict of the same architecture.",
                code="E-P02",
            )
        dtype = dtype or self.dtype
        return torch.cat([found[e.name].detach().reshape(-1).to(dtype) for e in self.entries])

    def check(self, theta: Tensor, name: str = "theta") -> None:
        """Raise unless `theta` is a floating vector with one number a coordinate."""
        if not isinstance(theta, Tensor):
            raise InvalidType(
                f"{name} must be a flat tensor of shape ({self.size},); "
                f"got {type(theta).__name__}.",
                fix="use objective.space.flatten(state_dict) to make one.",
                code="E-P03",
            )
        if tuple(theta.shape) != (self.size,):
            raise InvalidArgument(
                f"{name} must have shape ({self.size},); got {tuple(theta.shape)}.",
                fix="use objective.space.flatten(state_dict) to make one.",
                code="E-P04",
            )
        if not theta.is_floating_point():
            raise InvalidType(f"{name} must hold floats; got {theta.dtype}.", code="E-P05")

    def frozen_names(self, model: nn.Module) -> tuple[str, ...]:
        """The parameters of `model` that are not coordinates."""
        return tuple(n for n, p in model.named_parameters() if not p.requires_grad)


def _misfit(entry: Entry, value: Any) -> str:
    """Why a value given for an entry is none; empty where it fits or there is none."""
    if value is None:
        return ""
    if not isinstance(value, Tensor):
        return f"{type(value).__name__} where the model has a tensor"
    if tuple(value.shape) != entry.shape:
        return f"{tuple(value.shape)} where the model has {entry.shape}"
    real = value.is_floating_point() and value.layout == torch.strided and not value.is_meta
    return "" if real else f"{value.dtype} {value.layout} where the model has real numbers"


def _storage_key(tensor: Tensor) -> tuple[object, ...]:
    """Equal for parameters that are one tensor, by identity or by sharing all their memory."""
    if tensor.numel() == 0 or isinstance(tensor, nn.parameter.UninitializedParameter):
        return (id(tensor),)
    return (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)


def _master_dtype(entries: list[Entry]) -> torch.dtype:
    """float64 if any tensor is float64, else float32: points are never kept in 16 bits."""
    wide = any(e.dtype == torch.float64 for e in entries)
    return torch.float64 if wide else torch.float32


def _pruned(entries: list[Entry], masks: list[Tensor | None]) -> Bool[Tensor, " params"] | None:
    if all(m is None for m in masks):
        return None
    pieces = [
        torch.zeros(e.size, dtype=torch.bool) if m is None else (m.detach().cpu() == 0).reshape(-1)
        for e, m in zip(entries, masks, strict=True)
    ]
    return torch.cat(pieces)


def _entry(name: str, tensor: Tensor, modules: dict[str, nn.Module], offset: int) -> Entry:
    holder = modules[name.rpartition(".")[0]]
    layer, attribute, owner = place(name, modules)
    shape = tuple(tensor.shape)
    kind = kind_of(name, shape, attribute, owner, holder)
    view, dims = filters_of(kind, shape, owner)
    return Entry(name, shape, offset, tensor.numel(), tensor.dtype, kind, layer, view, dims)
