"""Find the permutation symmetries of any model by following its axes through its operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from theodolite.engines.snapshot import preserved
from theodolite.errors import InvalidType
from theodolite.parameters import ParameterSpace
from theodolite.symmetry.axes import Axis, find, freeze, leaves
from theodolite.symmetry.groups import free_leaves, independent_within, layout, made_groups
from theodolite.symmetry.proof import Proof, Trial
from theodolite.symmetry.propagation import Axes, Trace, fixed
from theodolite.symmetry.running import Copy, movable, wide_copy
from theodolite.symmetry.symmetry import TOLERANCE, Frozen, Symmetries
from theodolite.symmetry.tracing import no_tensors, traced

Result = TypeVar("Result")


def symmetries(
    model: Any,
    example_inputs: Any,
    *,
    outputs: Any = None,
    seed: int = 0,
) -> Symmetries:
    r"""The permutations of hidden units that leave the function of `model` unchanged.

    .. math:: f(x;\, \pi\theta) = f(x;\, \theta) \quad \text{for all } x, \theta

    The model is traced (``torch.export``, or one watched run where that fails). Every axis of
    every tensor is followed through its operations: what an addition, a product or a norm lines
    up moves together, what is read in order stays, and an operation without a rule freezes all
    it touches. Residual sums, concatenations, flattened and grouped channels, attention heads
    (fused, grouped-query), gates, tied weights and recurrent units come out by themselves. The
    groups found are then tried in float64, all at once and, where that changes an output, one
    by one; what changes the function is frozen and says so.

    `example_inputs` is a tensor, a tuple of arguments or a dict of keywords; the model runs in
    eval mode on a copy. All that the model returns is the function, hidden states too, which
    thereby keep their order; `outputs` picks of it what counts (``lambda made: made.logits``),
    and the groups then hold for that. Costs a trace (seconds for 100 layers), a float64 copy of
    the model and a few forward passes.

    Not found: symmetries other than permutations (signs, scales, rotations), and permutations
    that exist only where weights happen to be equal. Not checked: inputs of other shapes, and
    branches that the example does not take. `Symmetries.checks` measures each group with its
    negative control.

    Raises `InvalidType` for what is no module, or `outputs` that are no function (E-A64),
    `UnsupportedModel` for a model that cannot be copied or returns no tensor, `InvalidArgument`
    for inputs without a tensor (E-A42), or `outputs` that the model does not return (E-A65).

    Source: Hecht-Nielsen (1990) for the symmetry; Ainsworth, Hayase, Srinivasa (2023),
    arXiv:2209.04836 for groups of axes, which they write by hand.

    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> found = symmetries(net, torch.randn(2, 4))
    >>> [(g.name, g.size, g.members) for g in found.groups]
    [('0.weight[0]', 8, (('0.weight', 0), ('0.bias', 0), ('2.weight', 1)))]
    >>> round(found.coverage, 3), found.verify() < 1e-9  # all but 3 biases of 67 entries
    (0.955, True)
    """
    if not isinstance(model, nn.Module):
        raise InvalidType(
            f"model must be a torch.nn.Module; got {type(model).__name__}.",
            where="symmetries",
            code="E-A40",
        )
    return _guarded(model, lambda: _found(model, example_inputs, outputs, seed))


def _guarded(model: nn.Module, body: Callable[[], Result]) -> Result:
    def plain_attention() -> Result:
        torch.backends.mha.set_fastpath_enabled(False)
        return body()

    return preserved((model,), plain_attention)


def _found(model: nn.Module, example_inputs: Any, outputs: Any, seed: int) -> Symmetries:
    copy = wide_copy(model, example_inputs, outputs)
    moving = movable(copy.model)
    if not copy.outputs(copy.tensors()):
        raise no_tensors(model)
    trace, axes, front_end = _trace(copy, moving)
    tensors = copy.tensors()
    state = {name: axes[id(tensor)] for name, tensor in tensors.items()}
    proof = Proof(copy, frozenset(moving), lambda body: _guarded(copy.model, body))
    space = _space(model)
    parameters = tuple(name for name, _ in model.named_parameters())
    trainable = tuple(name for name, p in model.named_parameters() if p.requires_grad)

    def made(*, nested: bool = True) -> Symmetries:
        names = free_leaves(state, parameters)
        within = independent_within(trace, names) if nested else {}
        layouts = {n: tuple(layout(a, names) for a in each) for n, each in state.items()}
        groups = made_groups(layouts, names, within)
        covered = sum(
            tensors[n].numel() for n in parameters if any(map(_permutes, layouts[n]))
        ) / max(1, sum(tensors[n].numel() for n in parameters))
        frozen = tuple(_frozen(state, parameters))
        return Symmetries(
            *(groups, layouts, frozen, covered, trace.unknown, front_end),
            *(space, parameters, trainable, proof),
        )

    return _proved(made, state, parameters, seed)


def _permutes(each: Any) -> bool:
    return bool(each.group) or any(map(_permutes, each.kids))


def _space(model: nn.Module) -> ParameterSpace | None:
    trainable = any(p.requires_grad for p in model.parameters())
    return ParameterSpace.from_model(model) if trainable else None


def _trace(copy: Copy, moving: set[str]) -> tuple[Trace, dict[int, Axes], str]:
    """The pass over the model that knows most of its operations."""
    tensors = copy.tensors()

    def start() -> dict[int, Axes]:
        made: dict[int, Axes] = {}
        for name, tensor in tensors.items():
            free = isinstance(tensor, nn.Parameter) or name in moving
            made.setdefault(id(tensor), tuple(_start(int(n), free) for n in tensor.shape))
        return made

    first = traced(copy.model, copy.inputs, start)
    if first[2] == "run" or not first[0].unknown:
        return first
    second = traced(copy.model, copy.inputs, start, watch=True)
    return second if len(second[0].unknown) < len(first[0].unknown) else first


def _start(size: int, free: bool) -> Axis:
    return Axis(size) if free else fixed(size, "a buffer: part of the architecture")


def _proved(
    made: Callable[..., Symmetries],
    state: dict[str, Axes],
    parameters: tuple[str, ...],
    seed: int,
) -> Symmetries:
    """The symmetries that survive being tried; the others are frozen, with the change they made."""
    found = made()
    trial = found._proof.trial(seed)
    if _holds(found, trial, seed):
        return found
    found = made(nested=False)
    if _holds(found, trial, seed):
        return found
    names = {name: leaf for leaf, name in free_leaves(state, parameters).items()}
    for group in found.groups:
        alone = {group.name: found.random(seed)[group.name]}
        change = trial.change(found, alone)
        if not change <= TOLERANCE:
            freeze(names[group.name], f"permuting it changed the outputs by {change:.1e}")
    kept = made(nested=False)
    if _holds(kept, trial, seed):
        return kept
    for leaf in names.values():
        freeze(leaf, "permuting all groups at once changed the outputs")
    return made(nested=False)


def _holds(found: Symmetries, trial: Trial, seed: int) -> bool:
    return trial.change(found, found.random(seed)) <= TOLERANCE


def _frozen(state: dict[str, Axes], parameters: tuple[str, ...]) -> list[Frozen]:
    """Every frozen part of a dimension of a parameter, longer than one."""
    return [
        Frozen(name, dim, leaf.size, leaf.reason)
        for name in parameters
        for dim, axis in enumerate(state[name])
        for leaf in leaves(find(axis))
        if leaf.reason and leaf.size > 1
    ]
