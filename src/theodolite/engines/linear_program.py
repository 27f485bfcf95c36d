"""The derivative of a function at one point as a list of operations, recorded once and replayed.

Forward mode computes values and tangents side by side. Operations that see a tangent are linear
in it: they are kept, with the values they use, and the others are done once for all. Recording
costs one pass in forward mode, a replay only what the tangents cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from theodolite import seeds
from theodolite.engines.parts import forward_mode
from theodolite.errors import UnsupportedModel

REPEATS = 1e-3
"""Relative difference at which a replay does not repeat what was recorded: rounding is below."""


@dataclass(frozen=True, eq=False)
class Step:
    """One operation. ``fill`` are pairs of a place among its arguments and the slot put there.

    With a ``layout`` the arguments are the leaves of a tree of arguments and settings. ``outs``
    are the slots of the results, ``done`` those that nothing needs afterwards.
    """

    operation: Any
    arguments: Sequence[Any]
    settings: Mapping[str, Any]
    fill: Sequence[tuple[int, int]]
    layout: Any
    outs: Sequence[int | None]
    done: Sequence[int] = ()

    def run(self, values: list[Any]) -> Any:
        """What the operation gives with the values in the slots."""
        arguments = list(self.arguments)
        for place, slot in self.fill:
            arguments[place] = values[slot]
        if self.layout is None:
            return self.operation(*arguments, **self.settings)
        positional, named = pytree.tree_unflatten(arguments, self.layout)
        return self.operation(*positional, **named)


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """A linear map from a vector, which is slot 0, to tensors.

    ``outs`` are the slots of the results; of one that does not hang on the vector, its zeros.
    """

    steps: Sequence[Step]
    slots: int
    outs: Sequence[int | Tensor]

    def __call__(self, vector: Tensor) -> tuple[Tensor, ...]:
        """The map at one vector (under vmap, at many), without a graph."""
        values: list[Any] = [None] * self.slots
        values[0] = vector
        with torch.no_grad():
            for step in self.steps:
                made = step.run(values)
                for slot, one in zip(step.outs, _listed(made), strict=True):
                    if slot is not None:
                        values[slot] = one
                for slot in step.done:
                    values[slot] = None
        return tuple(o if isinstance(o, Tensor) else values[o] for o in self.outs)


class Recorder(TorchDispatchMode):
    """Writes down the operations that see `vector`, or what came of it.

    Nothing else may have that vector's storage.
    """

    def __init__(self, vector: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self.followed: list[Tensor] = []  # alive: no other tensor takes their identity
        self.slot: dict[int, int] = {}
        self.used: dict[int, list[tuple[list[Any], int]]] = {}
        """Where in the steps the values of a storage are."""
        self.source = _storage(vector)
        self.follow(vector)

    def follow(self, tensor: Tensor) -> int:
        """A new slot, which is the tensor's from now on."""
        self.slot[id(tensor)] = len(self.followed)
        self.followed.append(tensor)
        return self.slot[id(tensor)]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation; write it down where a followed tensor is among its arguments."""
        settings = kwargs or {}
        if func is torch.ops.aten._efficientzerotensor.default:
            # it has no memory, and some kernels called from here read it all the same
            return torch.zeros(*args, **settings)
        leaves, layout = pytree.tree_flatten((tuple(args), settings))
        fill = [(k, self.slot[id(leaf)]) for k, leaf in enumerate(leaves) if id(leaf) in self.slot]
        self._look(func, args, settings, follows=bool(fill))
        made = func(*args, **settings)
        if fill and any(isinstance(r, Tensor) for r in _listed(made)):  # not a question of shapes
            if _tensors(leaves) == _tensors(args):
                self._write(func, args, settings, None, made)
            else:  # a list of tensors, or one by name
                self._write(func, leaves, {}, layout, made)
        return made

    def _write(
        self,
        func: Any,
        arguments: Sequence[Any],
        settings: Mapping[str, Any],
        layout: Any,
        made: Any,
    ) -> None:
        """One more step, from arguments among which followed tensors have slots."""
        fill = [(k, self.slot[id(a)]) for k, a in enumerate(arguments) if id(a) in self.slot]
        places = dict(fill)
        known = [None if k in places else a for k, a in enumerate(arguments)]
        for k, value in enumerate(known):
            if isinstance(value, Tensor):
                self.used.setdefault(_storage(value), []).append((known, k))
        outs = [self.follow(r) if isinstance(r, Tensor) else None for r in _listed(made)]
        self.steps.append(Step(func, known, settings, fill, layout, outs))

    def _look(
        self, func: Any, args: Sequence[Any], settings: Mapping[str, Any], *, follows: bool
    ) -> None:
        """Copy values about to be overwritten; raise on what a replay could not repeat."""
        if follows and func is torch.ops.aten._local_scalar_dense.default:
            _unsupported("forward() reads single numbers of what it differentiates.")
        for tensor in _overwritten(func, args, settings):
            place = _storage(tensor)
            if place == self.source:
                _unsupported("forward() writes into a parameter.")
            if follows and id(tensor) not in self.slot:
                _unsupported("forward() writes into a tensor it made without a derivative.")
            for known, k in self.used.pop(place, ()):
                known[k] = known[k].clone()

    def program(self, results: Sequence[Tensor]) -> LinearProgram:
        """The operations that lead to the results; slots are let go after their last use."""
        outs: list[int | Tensor] = [self.slot.get(id(r), r) for r in results]
        needed = {o for o in outs if isinstance(o, int)}
        later, kept = set(needed), []
        for step in reversed(self.steps):
            if not needed.intersection(step.outs) and not _places_written(step.operation):
                continue
            needed |= {slot for _, slot in step.fill}
            here = {slot for _, slot in step.fill} | {s for s in step.outs if s is not None}
            kept.append(replace(step, done=sorted(here - later)))
            later |= here
        return LinearProgram(kept[::-1], len(self.followed), outs)


def linear_program(function: Callable[[Tensor], Sequence[Tensor]], theta: Tensor) -> LinearProgram:
    """The derivative of `function` at `theta`, a vector without a graph.

    Costs one pass in forward mode (3 F) and a first replay (2 F), which has to repeat it; values
    that are overwritten later are copied. Raises `UnsupportedModel` where a replay cannot: where
    single numbers of a tangent are read, where one is written into a parameter or into a tensor
    that has none, and where one goes through other than torch's operations.
    """
    generator = seeds.torch_generator(0, "linear program")
    vector = torch.randn(theta.shape, generator=generator).to(theta)
    recorder = Recorder(vector)
    with forward_mode(), forward_ad.dual_level(), recorder:
        dual = forward_ad.make_dual(theta, vector)
        made = [forward_ad.unpack_dual(one) for one in function(dual)]
    tangents = [torch.zeros_like(m.primal) if m.tangent is None else m.tangent for m in made]
    program = recorder.program(tangents)
    _require_repeated(program(-vector), tangents)
    return program


def _require_repeated(replayed: Sequence[Tensor], recorded: Sequence[Tensor]) -> None:
    """Raise unless the map of the opposite vector is the opposite: no part is lost or constant."""
    for there, back in zip(recorded, replayed, strict=True):
        size, gap = torch.linalg.vector_norm(there), torch.linalg.vector_norm(there + back)
        if bool(gap > REPEATS * size):
            _unsupported("a part of its derivative does not go through torch's operations.")


def _unsupported(what: str) -> None:
    raise UnsupportedModel(
        f"the derivative cannot be recorded as a linear program: {what}",
        fix='use engine="kept" (or "auto", which does).',
        code="E-D55",
    )


def _listed(made: Any) -> Sequence[Any]:
    return made if isinstance(made, tuple | list) else (made,)


def _tensors(values: Sequence[Any]) -> int:
    return sum(isinstance(v, Tensor) for v in values)


def _storage(tensor: Tensor) -> int:
    """What says whether two tensors have the same memory."""
    return tensor.untyped_storage()._cdata if tensor.layout == torch.strided else id(tensor)


@cache
def _places_written(operation: Any) -> tuple[tuple[int, str], ...]:
    """Positions and names of the arguments an operation writes to."""
    arguments = enumerate(operation._schema.arguments)
    return tuple((k, a.name) for k, a in arguments if a.alias_info and a.alias_info.is_write)


def _overwritten(operation: Any, args: Sequence[Any], settings: Mapping[str, Any]) -> list[Tensor]:
    """The tensors an operation writes to."""
    values = [
        args[k] if k < len(args) else settings.get(name) for k, name in _places_written(operation)
    ]
    return [t for t in pytree.tree_leaves(values) if isinstance(t, Tensor)]
