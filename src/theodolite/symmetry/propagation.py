"""What an operation does to the axes of its tensors: calls, the table of rules, and one trace.

A rule unifies the axes that its operation lines up, freezes those whose order it reads, and
returns the axes of what comes out. An operation without a rule freezes all it touches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from theodolite.symmetry.axes import FAMILY, Axis, collapsed, find, freeze, leaves

Axes = tuple[Axis, ...]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor seen through its axes; using one with `reads` freezes those: it holds positions.

    ``uniform`` says that it was made as one number everywhere.
    """

    axes: Axes
    reads: Axes = ()
    uniform: bool = False


@dataclass(frozen=True)
class Call:
    """One operation: its arguments by name (tensors as `Value`), and the shapes it returned."""

    name: str
    arguments: dict[str, Any]
    shapes: tuple[Shape, ...]
    where: str = ""

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    def axes(self, name: str) -> Axes | None:
        """The axes of the tensor argument called `name`, or None."""
        value = self.arguments.get(name)
        return value.axes if isinstance(value, Value) else None

    @property
    def values(self) -> list[Value]:
        """Every tensor among the arguments."""
        return list(values_in(self.arguments))

    @property
    def first(self) -> Axes:
        """The axes of the first tensor argument."""
        return self.values[0].axes

    @property
    def shape(self) -> Shape:
        """The shape of the first result."""
        return self.shapes[0]

    def dims(self, name: str = "dim", rank: int | None = None) -> list[int]:
        """The dimensions that an argument names, counted from the front; all where it is empty."""
        rank = len(self.first) if rank is None else rank
        given = self.arguments.get(name)
        if given is None or (isinstance(given, list | tuple) and not given):
            return list(range(rank))
        wanted = given if isinstance(given, list | tuple) else [given]
        return [int(d) % max(rank, 1) for d in wanted] if rank else []

    @property
    def reason(self) -> str:
        """Why this operation freezes an axis, for the report."""
        return f"{self.name} reads its order" + (f" ({self.where})" if self.where else "")


Rule = Callable[["Trace", Call], "Axes | list[Axes | Value]"]

RULES: dict[str, Rule] = {}
KEEPS_FAMILIES: set[str] = set()


def rule(*names: str, keeps_families: bool = False) -> Callable[[Rule], Rule]:
    """Enter a function into the table under the operations' names."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        if keeps_families:
            KEEPS_FAMILIES.update(names)
        return function

    return enter


@dataclass
class Trace:
    """What one pass over a model has found; `marks` are the reshapes to take apart by index."""

    marks: frozenset[tuple[int, int]] = frozenset()
    found: set[tuple[int, int]] = field(default_factory=set)
    seen: list[Axes] = field(default_factory=list)
    mixed: list[tuple[Axes, Axes]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    reshapes: int = 0

    def mix(self, over: Sequence[Axis], kept: Sequence[Axis]) -> None:
        """Note that values at different positions of `over` meet where `kept` is there."""
        self.mixed.append((tuple(over), tuple(kept)))

    def operate(self, call: Call, *, pointwise: bool = False) -> list[Value]:
        """The results of `call`, as its rule or its kind says."""
        for value in call.values:
            for axis in value.reads:
                freeze(axis, f"positions along it are used ({call.where or call.name})")
        known = RULES.get(call.name) or (RULES["pointwise"] if pointwise else None)
        if not (pointwise or call.name in KEEPS_FAMILIES):
            for value in call.values:
                _collapse(value.axes)
        results = (known or _unknown)(self, call)
        listed = results if isinstance(results, list) else [results]
        made = [r if isinstance(r, Value) else Value(r) for r in listed]
        if [tuple(a.size for a in v.axes) for v in made] != list(call.shapes):
            made = [Value(axes) for axes in _unknown(self, call)]
        self.seen.extend(v.axes for v in made)
        return made


def fixed(size: int, reason: str) -> Axis:
    """A new axis that may not be permuted."""
    return Axis(size, reason=reason)


def values_in(tree: Any) -> Iterator[Value]:
    """Every `Value` inside nested lists, tuples and dictionaries."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, dict):
        for inner in tree.values():
            yield from values_in(inner)
    elif isinstance(tree, list | tuple):
        for inner in tree:
            yield from values_in(inner)


def without(axes: Sequence[Axis], dims: Sequence[int]) -> Axes:
    """`axes` but for those at `dims`."""
    return tuple(axis for d, axis in enumerate(axes) if d not in dims)


def _collapse(axes: Axes) -> None:
    for axis in axes:
        if find(axis).kind == FAMILY:
            collapsed(axis)


def _unknown(trace: Trace, call: Call) -> list[Axes]:
    """Freeze whatever an operation without a rule touches."""
    reason = f"unknown operation {call.name}" + (f" ({call.where})" if call.where else "")
    touched = [axis for value in call.values for axis in value.axes]
    if any(not leaf.reason and leaf.size > 1 for axis in touched for leaf in leaves(axis)):
        trace.unknown.setdefault(call.name, call.where)
    for axis in touched:
        freeze(axis, reason)
    return [tuple(fixed(n, reason) for n in shape) for shape in call.shapes]


def named_arguments(op: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by the names in its schema, defaults included."""
    schema = op._schema.arguments
    named = {a.name: a.default_value if a.has_default_value() else None for a in schema}
    named |= {a.name: given for a, given in zip(schema, args, strict=False)}
    return named | kwargs


def plain_name(op: Any) -> str:
    """The operation's name without namespace of ATen, overload or mark of writing in place."""
    name: str = op._schema.name.removeprefix("aten::")
    return name if name.endswith("__") else name.removesuffix("_")


def is_pointwise(op: Any) -> bool:
    """Whether PyTorch says that the operation works entry by entry, with broadcasting."""
    return torch.Tag.pointwise in op.tags
