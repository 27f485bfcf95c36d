"""The operations of a model, by `torch.export` or, where that fails, by watching one run."""

from __future__ import annotations

import io
import operator
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from theodolite.errors import UnsupportedModel
from theodolite.symmetry import (
    contraction_rules,
    elementwise_rules,
    index_rules,
    layer_rules,
    recurrent_rules,
    shape_rules,
    spectral_rules,
)
from theodolite.symmetry.axes import Axis, freeze
from theodolite.symmetry.propagation import (
    Axes,
    Call,
    Trace,
    Value,
    fixed,
    is_pointwise,
    named_arguments,
    plain_name,
)

RULE_FILES = (
    contraction_rules,
    elementwise_rules,
    index_rules,
    layer_rules,
    recurrent_rules,
    shape_rules,
    spectral_rules,
)
"""Importing them fills the table of rules."""

WRAPPERS = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
ROUNDS = 4
"""Passes at most until no reshape is left to take apart."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the model is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Traced:
    """The axes of every tensor of the state, and what one pass over the operations found."""

    state: dict[str, Axes]
    trace: Trace
    front_end: str


def traced(
    model: nn.Module, inputs: Inputs, state: Callable[[], dict[int, Axes]], *, watch: bool = False
) -> tuple[Trace, dict[int, Axes], str]:
    """Propagate axes through `model`; `state` gives every tensor of it new axes by identity.

    Passes are repeated with reshapes taken apart by index until none is left to take apart.
    """
    program = None if watch else exported(model, inputs)
    marks: frozenset[tuple[int, int]] = frozenset()
    for _ in range(ROUNDS):
        trace, axes = Trace(marks), state()
        trace.seen.extend(axes.values())
        if program is None:
            _watch(model, inputs, axes, trace)
        else:
            _walk(program, model, axes, trace)
        if trace.found <= marks:
            break
        marks |= trace.found
    return trace, axes, "run" if program is None else "export"


def exported(model: nn.Module, inputs: Inputs) -> torch.export.ExportedProgram | None:
    """The model as a graph of ATen operations, or None where it cannot be exported."""
    said = io.StringIO()  # a failing export prints its graph
    with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(model, inputs.args, inputs.kwargs, strict=False)
        except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError, KeyError):
            return None  # control flow that looks at data, and what export does not support
        except (IndexError, NotImplementedError, torch._dynamo.exc.TorchDynamoException):
            return None


def _walk(
    program: torch.export.ExportedProgram, model: nn.Module, axes: dict[int, Axes], trace: Trace
) -> None:
    """Go through an exported graph, from its inputs to its outputs."""
    kinds = torch.export.graph_signature.InputKind
    tensors: dict[str, Tensor] = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    starts: list[Any] = []
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(nodes, program.graph_signature.input_specs, strict=True):
        if spec.kind in (kinds.PARAMETER, kinds.BUFFER) and spec.target in tensors:
            starts.append(Value(axes[id(tensors[spec.target])]))
        else:
            starts.append(_given(node.meta.get("val"), "an input or a constant"))
    outputs = _graph(program.graph_module, starts, trace)
    _freeze_outputs(outputs)


def _given(value: Any, reason: str) -> Any:
    """A tensor from outside, whose order means something; anything else as it is."""
    if not isinstance(value, Tensor):
        return value
    return Value(tuple(fixed(int(n), reason) for n in value.shape))


def _unread(value: Any) -> Any:
    """A tensor whose entries nothing uses."""
    return Value(tuple(Axis(int(n)) for n in value.shape)) if isinstance(value, Tensor) else value


def _freeze_outputs(outputs: Any) -> None:
    for value in torch.utils._pytree.tree_leaves(outputs):
        if isinstance(value, Value):
            for axis in (*value.axes, *value.reads):
                freeze(axis, "an output of the model")


def _graph(module: fx.GraphModule, starts: list[Any], trace: Trace) -> Any:
    """The outputs of a graph whose inputs are `starts`."""
    known: dict[fx.Node, Any] = {}
    waiting, unseen = iter(starts), _unseen(module.graph)
    for node in module.graph.nodes:
        if node in unseen:
            known[node] = torch.utils._pytree.tree_map(_unread, node.meta.get("val"))
        elif node.op == "placeholder":
            known[node] = next(waiting)
        elif node.op == "get_attr":
            found = operator.attrgetter(node.target)(module)
            known[node] = _given(found, "a constant")
        elif node.op == "output":
            return fx.map_arg(node.args[0], known.__getitem__)
        else:
            args = fx.map_arg(node.args, known.__getitem__)
            kwargs = fx.map_arg(node.kwargs, known.__getitem__)
            known[node] = _node(node, list(args), dict(kwargs), trace)
    return None


def _unseen(graph: fx.Graph) -> set[fx.Node]:
    """Views of which nothing but the shape is used: what they pick is not read."""
    made: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        returned = node.target._schema.returns
        view = bool(returned) and returned[0].alias_info is not None
        written = node.target._schema.is_mutable
        if view and not written and all(u in made or _shape_only(u) for u in node.users):
            made.add(node)
    return made


def _shape_only(node: fx.Node) -> bool:
    op = node.target
    return isinstance(op, torch._ops.OpOverload) and plain_name(op) in elementwise_rules.UNIFORM


def _node(node: fx.Node, args: list[Any], kwargs: dict[str, Any], trace: Trace) -> Any:
    target: Any = node.target
    if target is operator.getitem:
        return args[0][args[1]] if isinstance(args[0], list | tuple) else args[0]
    if getattr(target, "__name__", "") in WRAPPERS:
        place = next(i for i, a in enumerate(args) if isinstance(a, fx.GraphModule))
        return _graph(args[place], args[place + 1 :], trace)
    return _called(target, args, kwargs, node.meta.get("val"), trace, _where(node))


def _called(
    op: Any, args: Any, kwargs: dict[str, Any], result: Any, trace: Trace, where: str
) -> Any:
    """The values that an operation returns, in the shape of its `result`."""
    several = isinstance(result, list | tuple)
    tensors = [r for r in (result if several else [result]) if isinstance(r, Tensor)]
    shapes = tuple(tuple(int(n) for n in t.shape) for t in tensors)
    if isinstance(op, torch._ops.OpOverload):
        name, named, simple = plain_name(op), named_arguments(op, args, kwargs), is_pointwise(op)
    else:
        name, simple = getattr(op, "__name__", str(op)), False
        named = {**{str(i): a for i, a in enumerate(args)}, **kwargs}
    if not tensors:
        return result
    made = iter(trace.operate(Call(name, named, shapes, where), pointwise=simple))
    if not several:
        return next(made)
    return [next(made) if isinstance(r, Tensor) else r for r in result]


def _where(node: fx.Node) -> str:
    """The module that called an operation, or the line of the source."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [entry[0] for entry in stack.values() if entry[0]]
    if path:
        return str(path[-1]).removeprefix("L['self'].")
    lines = [line for line in (node.stack_trace or "").splitlines() if "File" in line]
    return lines[-1].strip() if lines else ""


class Watcher(TorchDispatchMode):
    """Propagates axes while the model runs; tensors are known by identity and kept alive.

    ``told`` hears of every operation: itself, its arguments, results and the results' axes.
    """

    def __init__(
        self, axes: Mapping[int, Axes], trace: Trace, told: Callable[..., None] | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace, self.told = trace, told
        self.known: dict[int, Value] = {key: Value(value) for key, value in axes.items()}
        self.alive: list[Any] = []

    def value(self, given: Any) -> Any:
        """The axes of a tensor; one that nothing made here is a constant."""
        if not isinstance(given, Tensor):
            return given
        if id(given) not in self.known:
            self.known[id(given)] = _given(given, "an input or a constant")
            self.alive.append(given)
        return self.known[id(given)]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        seen = [torch.utils._pytree.tree_map(self.value, tree) for tree in (args, kwargs)]
        result = func(*args, **kwargs)
        values = _called(func, list(seen[0]), seen[1], result, self.trace, "")
        several = isinstance(result, list | tuple)
        for tensor, value in zip(
            result if several else [result], values if several else [values], strict=True
        ):
            if isinstance(tensor, Tensor):
                self.known[id(tensor)] = value
                self.alive.append(tensor)
        if self.told is not None:
            self.told(func, (args, kwargs), result, values)
        return result


def _watch(model: nn.Module, inputs: Inputs, axes: dict[int, Axes], trace: Trace) -> None:
    watcher = Watcher(axes, trace)
    with torch.no_grad(), watcher:
        outputs = model(*inputs.args, **inputs.kwargs)
    _freeze_outputs([watcher.value(t) for t in tensors_in(outputs)])


def tensors_in(tree: Any) -> list[Tensor]:
    """Every tensor in nested sequences, mappings and dataclasses, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [t for value in tree.values() for t in tensors_in(value)]
    if isinstance(tree, list | tuple):
        return [t for value in tree for t in tensors_in(value)]
    if hasattr(tree, "__dataclass_fields__"):
        return [t for name in tree.__dataclass_fields__ for t in tensors_in(getattr(tree, name))]
    return []


def no_tensors(model: nn.Module) -> UnsupportedModel:
    """The error of a model that returns nothing to compare."""
    return UnsupportedModel(
        f"{type(model).__name__} returned no tensor for the example inputs.",
        where="symmetries",
        fix="pass example_inputs with which the model returns its outputs, and outputs that are "
        "tensors of it.",
        code="E-A43",
    )
