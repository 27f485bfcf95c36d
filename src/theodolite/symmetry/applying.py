"""Permutations applied to what people hold: state dicts, vectors, optimizer states, masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.symmetry.actions import permuted

if TYPE_CHECKING:
    from theodolite.symmetry.symmetry import Symmetries

WRAPPED = ("module.", "_orig_mod.")


def applied(symmetries: Symmetries, state: Any, permutations: Mapping[str, Tensor]) -> Any:
    """A permuted copy of `state`."""
    if isinstance(state, Tensor):
        return _vector(symmetries, state, permutations)
    if not isinstance(state, Mapping):
        raise InvalidType(
            f"state must be a mapping of tensors or a vector; got {type(state).__name__}.",
            where="Symmetries.apply",
            fix="pass model.state_dict(), optimizer.state_dict(), masks by name, or theta.",
            code="E-A46",
        )
    if {"state", "param_groups"} <= set(state):
        return _optimizer(symmetries, state, permutations)
    made = {
        name: _tensor(symmetries, _plain(symmetries, name), value, permutations)
        for name, value in state.items()
    }
    return type(state)(made) if isinstance(state, dict) else made


def bare_names(symmetries: Symmetries, state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` by the model's own names, without what wrappers put before them."""
    return {_plain(symmetries, name): value for name, value in state.items()}


def _plain(symmetries: Symmetries, name: str) -> str:
    """The name without what data-parallel and compiled wrappers put before it."""
    for prefix in WRAPPED:
        if name.startswith(prefix) and name not in symmetries.layouts:
            return _plain(symmetries, name[len(prefix) :])
    if name.endswith("num_batches_tracked") or name in symmetries.layouts:
        return name
    raise InvalidArgument(
        f"no parameter or buffer of the model is called {name!r}.",
        where="Symmetries.apply",
        fix="pass tensors under the names of model.state_dict().",
        code="E-A47",
    )


def _tensor(
    symmetries: Symmetries, name: str, value: Any, permutations: Mapping[str, Tensor]
) -> Any:
    if not isinstance(value, Tensor):
        return value
    if name not in symmetries.layouts:
        return value.detach().clone()
    layouts = symmetries.layouts[name]
    shape = tuple(layout.size for layout in layouts)
    if tuple(value.shape) != shape:
        raise InvalidArgument(
            f"{name} must have shape {shape}; got {tuple(value.shape)}.",
            where="Symmetries.apply",
            fix="pass a state of the same architecture.",
            code="E-A48",
        )
    within = {g.name: g.within for g in symmetries.groups}
    with torch.no_grad():
        return permuted(value.detach(), layouts, permutations, within)


def _vector(symmetries: Symmetries, theta: Tensor, permutations: Mapping[str, Tensor]) -> Tensor:
    space = symmetries.space
    if space is None or tuple(theta.shape) != (space.size,):
        size = 0 if space is None else space.size
        raise InvalidArgument(
            f"a vector must hold the model's {size} trainable parameters; "
            f"got shape {tuple(theta.shape)}.",
            where="Symmetries.apply",
            fix="use objective.space.flatten(state_dict) to make one.",
            code="E-A49",
        )
    pieces = torch.split(theta, [e.size for e in space.entries])
    moved = [
        _tensor(symmetries, entry.name, piece.view(entry.shape), permutations).reshape(-1)
        for entry, piece in zip(space.entries, pieces, strict=True)
    ]
    return torch.cat(moved)


def _optimizer(
    symmetries: Symmetries, state: Mapping[str, Any], permutations: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Averages that have their parameter's shape are permuted with it; counters stay."""
    names = _parameter_names(symmetries, state)
    made = {
        key: {
            what: _average(symmetries, names[key], what, value, permutations)
            for what, value in slots.items()
        }
        for key, slots in state["state"].items()
    }
    return {**state, "state": made}


def _parameter_names(symmetries: Symmetries, state: Mapping[str, Any]) -> dict[int, str]:
    keys = [key for group in state["param_groups"] for key in group["params"]]
    given = [name for group in state["param_groups"] for name in group.get("param_names", ())]
    if len(given) == len(keys):
        return {k: _plain(symmetries, n) for k, n in zip(keys, given, strict=True)}
    for names in (symmetries.parameters, symmetries.trainable):
        if len(names) == len(keys):
            return dict(zip(sorted(keys), names, strict=True))
    raise InvalidArgument(
        f"the optimizer holds {len(keys)} parameters and the model {len(symmetries.parameters)}.",
        where="Symmetries.apply",
        why="without names, an optimizer's parameters are known by their number only.",
        fix="make the optimizer from model.named_parameters(), or of all parameters in order.",
        code="E-A50",
    )


def _average(
    symmetries: Symmetries, name: str, what: str, value: Any, permutations: Mapping[str, Tensor]
) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.numel() == 1:  # a counter, which an optimizer that loads it would share
        return value.detach().clone()
    shape = tuple(layout.size for layout in symmetries.layouts[name])
    if tuple(value.shape) != shape:
        raise InvalidArgument(
            f"the optimizer's {what!r} of {name} must have shape {shape}; "
            f"got {tuple(value.shape)}.",
            where="Symmetries.apply",
            why="factored or sharded averages do not say which unit an entry belongs to.",
            fix="permute the model and start the optimizer anew.",
            code="E-A51",
        )
    return _tensor(symmetries, name, value, permutations)
