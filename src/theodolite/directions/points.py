"""Many points of parameter space, read by ranges of coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType, NotFinite

NUMBERS = 1 << 26
"""So many float64 numbers are held at a time: half a gigabyte."""


@runtime_checkable
class Points(Protocol):
    """Points that need not be in memory: ``piece`` reads coordinates `start` to `stop` of one."""

    @property
    def size(self) -> int:
        """How many coordinates each point has."""

    def __len__(self) -> int: ...

    def piece(self, index: int, start: int, stop: int) -> Tensor:
        """Coordinates `start` to `stop` of point `index`."""


@dataclass(frozen=True, eq=False)
class _Listed:
    """Flat tensors in a sequence, each asked for anew, so that it may load them."""

    points: Any
    size: int
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(self.points)

    def piece(self, index: int, start: int, stop: int) -> Tensor:
        return _vector(self.points[index], index, self.size)[start:stop]


def listed(points: Any) -> Points:
    """A list, a matrix or a sequence of flat tensors as `Points`; `Points` stay as they are."""
    if isinstance(points, Points) and not isinstance(points, Tensor):
        return points
    if not hasattr(points, "__len__") or not hasattr(points, "__getitem__"):
        raise InvalidType(
            f"points must be a list or a matrix of flat tensors; got {type(points).__name__}.",
            fix="pass list(points).",
            code="E-J01",
        )
    if len(points) == 0:
        raise InvalidArgument("there is no point.", fix="pass two or more.", code="E-J01")
    first = _vector(points[0], 0, None)
    return _Listed(points, len(first), first.dtype)


def size_of(points: Points) -> int:
    """How many coordinates each point has."""
    return int(points.size)


def dtype_of(points: Points) -> torch.dtype:
    """The precision of the points."""
    return points.piece(0, 0, 1).dtype


def chunks(points: Points) -> Iterator[tuple[int, int, Float64[Tensor, "time range"]]]:
    """All points in float64, a range of coordinates at a time: (start, stop, values).

    Raises `NotFinite` (E-J02) for NaN or infinity.
    """
    size, width = size_of(points), max(1, NUMBERS // max(1, len(points)))
    for start in range(0, size, width):
        stop = min(start + width, size)
        values = torch.empty(len(points), stop - start, dtype=torch.float64)
        for k in range(len(points)):
            values[k] = points.piece(k, start, stop)
        if not bool(torch.isfinite(values).all()):
            bad = int((~torch.isfinite(values)).any(1).nonzero()[0])
            raise NotFinite(
                f"point {bad} holds NaN or infinity.",
                fix="leave out the checkpoints of a training after it diverged.",
                code="E-J02",
            )
        yield start, stop, values


def _vector(value: Any, index: int, size: int | None) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise InvalidType(
            f"point {index} must be a flat tensor of floats; got {kind}.",
            fix="use objective.space.flatten(state_dict) to make one.",
            code="E-J01",
        )
    if value.dim() != 1 or (size is not None and len(value) != size):
        wanted = "(params,)" if size is None else f"({size},)"
        raise InvalidArgument(
            f"point {index} must have shape {wanted}; got {tuple(value.shape)}.",
            fix="all points belong to one network.",
            code="E-J01",
        )
    return value.detach()
