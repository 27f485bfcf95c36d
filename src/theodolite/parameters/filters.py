"""What one tensor of a model is, and which of its numbers form one filter."""

from __future__ import annotations

from math import prod

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


def place(name: str, modules: dict[str, nn.Module]) -> tuple[str, str, nn.Module]:
    """The layer a parameter belongs to, its name there, and that layer's module.

    A parametrized tensor (``layer.parametrizations.weight.original``) belongs to the layer it is
    computed for, under the name it has there; a pruned one (``weight_orig``) has its plain name.
    """
    layer, _, attribute = name.rpartition(".")
    if isinstance(modules[layer], ParametrizationList):
        outer, _, attribute = f".{layer}".rpartition(".parametrizations.")
        layer = outer.removeprefix(".")
    return layer, attribute.removesuffix("_orig"), modules[layer]


def kind_of(
    name: str, shape: tuple[int, ...], attribute: str, owner: nn.Module, holder: nn.Module
) -> str:
    """The role of the tensor called `name`, which `holder` keeps for the layer `owner`."""
    class_name = type(owner).__name__
    if isinstance(owner, _NORMS) or "layer_scale" in attribute or _is_length(name, holder):
        return "norm"
    if is_vector(shape) and ("Norm" in class_name or "LayerScale" in class_name):
        return "norm"  # also norms and scales written by hand or by other libraries
    if attribute.startswith("bias") or attribute.endswith("bias"):
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


def filters_of(
    kind: str, shape: tuple[int, ...], owner: nn.Module
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """The shape in which filters are separate, and the dimensions one filter spans."""
    if kind in ("norm", "bias"):
        return shape, None
    if kind == "conv_transpose" and len(shape) >= 3:
        groups = int(getattr(owner, "groups", 1))
        if shape[0] % groups == 0:
            view = (groups, shape[0] // groups, *shape[1:])
            return view, (1, *range(3, len(view)))
    if kind == "linear_transposed" and len(shape) == 2:
        return shape, (0,)
    if kind == "other":
        if len(shape) > 1 and is_vector(shape):
            return (prod(shape),), (0,)  # a class token (1, 1, D) is one filter
        while len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]  # positions (1, N, D) are N filters
    if len(shape) <= 1:
        return shape, tuple(range(len(shape)))
    return shape, tuple(range(1, len(shape)))


def is_vector(shape: tuple[int, ...]) -> bool:
    """Whether at most one dimension is longer than one."""
    return sum(length != 1 for length in shape) <= 1


def _is_length(name: str, holder: nn.Module) -> bool:
    """Whether a tensor holds the lengths of filters, in either form of weight normalization."""
    attribute = name.rpartition(".")[2]
    if isinstance(holder, ParametrizationList):
        forms = {type(m).__name__ for m in holder}
        return attribute == "original0" and "_WeightNorm" in forms
    return attribute.endswith("_g") and hasattr(holder, f"{attribute[:-2]}_v")
