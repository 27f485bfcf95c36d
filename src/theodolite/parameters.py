"""The parameters of a model as one flat vector, and the groups a vector falls into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, InvalidType, UnsupportedModel

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
_SCALE_NAMES = ("weight_g", "original0")  # the per-filter length in both forms of weight norm


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
        seen: dict[tuple[object, ...], int] = {}
        places: set[tuple[int, str]] = set()
        modules = dict(model.named_modules(remove_duplicate=False))
        offset = 0
        for name, tensor in model.named_parameters(remove_duplicate=False):
            owner, attribute = modules[name.rpartition(".")[0]], name.rpartition(".")[2]
            if (id(owner), attribute) in places:
                continue  # the same module reached by a second path
            places.add((id(owner), attribute))
            _check_tensor(name, tensor)
            if not tensor.requires_grad:
                continue
            key = _storage_key(tensor)
            if key in seen:
                first = entries[seen[key]]
                entries[seen[key]] = _with_alias(first, name)
                continue
            seen[key] = len(entries)
            entries.append(_entry(name, tensor, owner, modules, offset))
            mask = getattr(owner, f"{attribute[:-5]}_mask", None)
            is_masked = attribute.endswith("_orig") and isinstance(mask, Tensor)
            masks.append(mask if is_masked else None)
            offset += tensor.numel()
        if offset == 0:
            _refuse_empty(model)
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
        return {
            e.name: piece.view(e.shape) for e, piece in zip(self.entries, pieces, strict=True)
        }

    def flatten(
        self, named: Mapping[str, Tensor], *, dtype: torch.dtype | None = None
    ) -> Float[Tensor, " params"]:
        """The flat vector of tensors given by name (a state dict will do); inverse of `views`."""
        missing = [e.name for e in self.entries if e.name not in named]
        wrong = [
            f"{e.name}: {tuple(named[e.name].shape)} where the model has {e.shape}"
            for e in self.entries
            if e.name in named and tuple(named[e.name].shape) != e.shape
        ]
        if missing or wrong:
            listed = [f"missing {m}" for m in missing] + wrong
            raise InvalidArgument(
                f"the tensors do not fit the model's parameters in {len(listed)} places: "
                + "; ".join(listed[:5])
                + ("; ..." if len(listed) > 5 else "."),
                fix="pass a state dict of the same architecture.",
                code="E-P02",
            )
        dtype = dtype or self.dtype
        return torch.cat([named[e.name].detach().reshape(-1).to(dtype) for e in self.entries])

    def check(self, theta: Shaped[Tensor, "..."], name: str = "theta") -> None:
        """Raise unless `theta` is a floating vector with one number a coordinate."""
        if not isinstance(theta, Tensor):
            raise InvalidType(
                f"{name} must be a flat tensor of shape ({self.size},); got {type(theta).__name__}.",
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


def _storage_key(tensor: Tensor) -> tuple[object, ...]:
    """Equal for parameters that are one tensor, by identity or by sharing all their memory."""
    if tensor.numel() == 0 or isinstance(tensor, nn.parameter.UninitializedParameter):
        return (id(tensor),)
    return (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)


def _check_tensor(name: str, tensor: Tensor) -> None:
    if isinstance(tensor, nn.parameter.UninitializedParameter):
        raise UnsupportedModel(
            f"parameter {name!r} is lazy: it has no shape yet.",
            why="lazy modules get their shapes from the first input they see.",
            fix="run one forward pass of the model on real input before measuring it.",
            code="E-P06",
        )
    if tensor.device.type == "meta":
        raise UnsupportedModel(
            f"parameter {name!r} is on the meta device and has no values.",
            fix="load the weights (for example with model.to_empty and load_state_dict) first.",
            code="E-P07",
        )
    if tensor.requires_grad and tensor.is_complex():
        raise UnsupportedModel(
            f"parameter {name!r} is complex ({tensor.dtype}); coordinates must be real.",
            fix="register torch.view_as_real(parameter) and rebuild the complex value in forward.",
            code="E-P08",
        )


def _refuse_empty(model: nn.Module) -> None:
    frozen = sum(p.numel() for p in model.parameters())
    raise UnsupportedModel(
        f"the model has no trainable parameter ({frozen} frozen).",
        why="there is no direction to move in: every parameter has requires_grad=False, or "
        "the weights are stored as integers.",
        fix="call requires_grad_(True) on the parameters to study.",
        code="E-P09",
    )


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


def _with_alias(entry: Entry, name: str) -> Entry:
    fields = {f: getattr(entry, f) for f in entry.__dataclass_fields__}
    return Entry(**{**fields, "aliases": (*entry.aliases, name)})


def _entry(
    name: str, tensor: Tensor, owner: nn.Module, modules: dict[str, nn.Module], offset: int
) -> Entry:
    layer, _, attribute = name.rpartition(".")
    if ".parametrizations." in f".{layer}.":
        layer = f".{layer}".rpartition(".parametrizations")[0].lstrip(".")
        owner = modules[layer]
    kind = _kind(attribute, owner)
    view, dims = _filters(kind, tuple(tensor.shape), owner)
    return Entry(
        name, tuple(tensor.shape), offset, tensor.numel(), tensor.dtype, kind, layer, view, dims
    )


def _kind(attribute: str, owner: nn.Module) -> str:
    class_name = type(owner).__name__
    scale = attribute in _SCALE_NAMES and not hasattr(owner, "original0")
    if isinstance(owner, _NORMS) or "Norm" in class_name or "LayerScale" in class_name or scale:
        return "norm"
    if attribute.startswith("bias") or attribute.endswith("bias") or attribute == "bias_orig":
        return "bias"
    if isinstance(owner, nn.modules.conv._ConvTransposeNd):
        return "conv_transpose"
    if isinstance(owner, nn.modules.conv._ConvNd):
        return "conv"
    if isinstance(owner, nn.Linear | nn.Bilinear):
        return "linear"
    if class_name == "Conv1D" and hasattr(owner, "nf"):
        return "linear_transposed"  # Hugging Face's GPT-2 layer: weight has shape (in, out)
    if isinstance(owner, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if isinstance(owner, nn.MultiheadAttention):
        return "attention"
    if isinstance(owner, nn.RNNBase | nn.RNNCellBase):
        return "recurrent"
    return "other"


def _filters(
    kind: str, shape: tuple[int, ...], owner: nn.Module
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The shape in which filters are separate, and the dimensions one filter spans."""
    if kind in ("norm", "bias"):
        return shape, None
    if kind == "conv_transpose" and len(shape) >= 3:
        groups = int(getattr(owner, "groups", 1))
        view = (groups, shape[0] // groups, *shape[1:])
        return view, (1, *range(3, len(view)))
    if kind == "linear_transposed" and len(shape) == 2:
        return shape, (0,)
    if kind == "other":
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]  # a class token (1, 1, D) is one filter, positions (1, N, D) are N
    if len(shape) <= 1:
        return shape, tuple(range(len(shape)))
    return shape, tuple(range(1, len(shape)))
