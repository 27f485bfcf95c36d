"""Tensors that cannot be coordinates, refused by name."""

from __future__ import annotations

from typing import NoReturn

import torch
from torch import Tensor, nn

from theodolite.errors import UnsupportedModel


def check_tensor(name: str, tensor: Tensor) -> None:
    """Raise for a parameter without a shape, without values, or with complex ones."""
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


def refuse_empty(model: nn.Module) -> NoReturn:
    """Raise for a model in which nothing can move."""
    frozen = sum(p.numel() for p in model.parameters())
    raise UnsupportedModel(
        f"the model has no trainable parameter ({frozen} frozen).",
        why="there is no direction to move in: every parameter has requires_grad=False, or "
        "the weights are stored as integers.",
        fix="call requires_grad_(True) on the parameters to study.",
        code="E-P09",
    )


def check_apart(named: dict[str, Tensor]) -> None:
    """Raise if two of the tensors share memory: they are not tied, and yet move together.

    Slices of one buffer that do not overlap are fine; only ranges that do are compared by cell.
    """
    ranges = sorted((_range(t), n) for n, t in named.items() if t.numel())
    for k, ((store, _, last), name) in enumerate(ranges):
        for (other, start, _), second in ranges[k + 1 :]:
            if other != store or start > last:
                break
            shared = torch.isin(_cells(named[name]), _cells(named[second]))
            if bool(shared.any()):
                _refuse_overlap(name, second, int(shared.sum()))


def _range(tensor: Tensor) -> tuple[int, int, int]:
    """The memory a tensor lies in, and its first and last byte there."""
    span = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    first, width = tensor.data_ptr(), tensor.element_size()
    return tensor.untyped_storage().data_ptr(), first, first + (span + 1) * width - 1


def _cells(tensor: Tensor) -> Tensor:
    """The places of all its numbers in memory, in units of their size."""
    cells = torch.tensor(tensor.data_ptr() // tensor.element_size())
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        cells = cells.unsqueeze(-1) + torch.arange(length) * stride
    return cells.reshape(-1)


def _refuse_overlap(first: str, second: str, count: int) -> NoReturn:
    raise UnsupportedModel(
        f"parameters {first!r} and {second!r} are different views of the same memory "
        f"({count} numbers are in both).",
        why="an optimizer that moves one moves the other, so they are not independent coordinates, "
        "and with unequal shapes or strides they are not one tied tensor either.",
        fix="register one Parameter and derive the other in forward(), for example "
        "functional.linear(x, self.embed.weight.t()).",
        code="E-P10",
    )
