"""What Adam remembers of each parameter, read from an optimizer or from what it saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.parameters import Entry

Keyed = list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]
"""Name of a parameter, what the optimizer holds of it, and the settings of its group."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Running means of a tensor's gradient and of its square, and how Adam uses them.

    ``rate`` is the learning rate of its group over the largest of all groups.
    """

    mean: Tensor
    square: Tensor
    steps: int
    largest: Tensor | None = None
    beta_first: float = 0.9
    beta_second: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    maximize: bool = False
    rate: float = 1.0


def moments_of(
    objective: Objective, optimizer: Any, names: Sequence[str] | None
) -> dict[str, Moments]:
    """The moments of the trainable parameters an optimizer holds, by the names of the space.

    Raises `InvalidArgument` (E-V08) where they are not Adam's or do not fit the parameters.
    """
    space = objective.space
    if optimizer is None:
        zero = torch.zeros(())
        return {
            e.name: Moments(zero.expand(e.shape), zero.expand(e.shape), 0) for e in space.entries
        }
    if isinstance(optimizer, tuple):
        return _given(objective, optimizer)
    if isinstance(optimizer, torch.optim.Optimizer):
        keyed = _live(objective, optimizer)
    elif isinstance(optimizer, Mapping) and {"state", "param_groups"} <= set(optimizer):
        keyed = _saved(objective, optimizer, names)
    else:
        _refuse(
            f"optimizer must be an Adam, its state_dict(), a tuple (exp_avg, exp_avg_sq, steps) "
            f"or None; got {type(optimizer).__name__}."
        )
    return _by_entry(objective, keyed)


def _given(objective: Objective, parts: tuple[Any, ...]) -> dict[str, Moments]:
    """Moments handed over as two vectors and a count."""
    if len(parts) != 3 or isinstance(parts[2], bool) or int(parts[2]) < 0:
        _refuse(
            "a tuple must be (exp_avg, exp_avg_sq, steps taken), with steps at least 0; "
            f"got {len(parts)} parts."
        )
    space = objective.space
    flat = [space.flatten(p) if isinstance(p, Mapping) else p for p in parts[:2]]
    for vector, name in zip(flat, ("exp_avg", "exp_avg_sq"), strict=True):
        space.check(vector, name)
    mean, square = (space.views(v.detach().to(objective.device)) for v in flat)
    return {n: Moments(mean[n], square[n], int(parts[2])) for n in space.names}


def _live(objective: Objective, optimizer: torch.optim.Optimizer) -> Keyed:
    """The state of an optimizer, whose parameters are recognized by being the model's own."""
    named = {id(p): n for n, p in objective.model.named_parameters()}
    keyed: Keyed = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = named.get(id(parameter))
            if name is not None:
                keyed.append((name, optimizer.state.get(parameter, {}), group))
    if not keyed:
        _refuse(
            "the optimizer holds none of the parameters of the objective's model.",
            fix="pass the optimizer of that very model, or its state_dict().",
        )
    return keyed


def _saved(objective: Objective, saved: Mapping[str, Any], names: Sequence[str] | None) -> Keyed:
    """The state of a ``state_dict()``, whose parameters are known by their order only."""
    groups = saved["param_groups"]
    numbers = [k for group in groups for k in group["params"]]
    if names is None and all("param_names" in group for group in groups):
        names = [n for group in groups for n in group["param_names"]]
    if names is None:
        names = _guessed(objective, groups, len(numbers))
    if len(names) != len(numbers):
        _refuse(
            f"names must hold one name a parameter of the state, {len(numbers)}; got {len(names)}."
        )
    owners = [group for group in groups for _ in group["params"]]
    return [
        (name, saved["state"].get(k, {}), group)
        for name, k, group in zip(names, numbers, owners, strict=True)
    ]


def _guessed(objective: Objective, groups: Any, count: int) -> list[str]:
    """The names of one group made of ``model.parameters()``, all of them or those that train."""
    every = [n for n, _ in objective.model.named_parameters()]
    training = [n for n, p in objective.model.named_parameters() if p.requires_grad]
    fitting = [names for names in (every, training) if len(names) == count]
    if len(groups) != 1 or not fitting:
        _refuse(
            f"the state has {count} parameters in {len(groups)} groups, in an order that nothing "
            "tells.",
            fix="pass names=[...] in the order of the optimizer's parameters.",
        )
    return fitting[0]


def _by_entry(objective: Objective, keyed: Keyed) -> dict[str, Moments]:
    """Moments by entry: tied names are one, what does not train has none."""
    trainable = {n: e for e in objective.space.entries for n in (e.name, *e.aliases)}
    fastest = max(float(group["lr"]) for _, _, group in keyed)
    known = {n for n, _ in objective.model.named_parameters(remove_duplicate=False)}
    found: dict[str, Moments] = {}
    for name, state, group in keyed:
        if name not in known:
            _refuse(f"no parameter of the model is called {name!r}.")
        entry = trainable.get(name)
        if entry is not None and entry.name not in found:
            rate = float(group["lr"]) / fastest if fastest > 0 else 1.0
            found[entry.name] = _read(entry, state, group, rate)
    return found


def _read(entry: Entry, state: Mapping[str, Any], group: Mapping[str, Any], rate: float) -> Moments:
    """One parameter's moments; zero where it was never stepped."""
    if not {"betas", "eps", "amsgrad"} <= set(group):
        _refuse("the optimizer is not Adam or AdamW: its settings are others.")
    zero = torch.zeros(()).expand(entry.shape)
    mean, square = state.get("exp_avg", zero), state.get("exp_avg_sq", zero)
    for value in (mean, square):
        if tuple(value.shape) != entry.shape:
            _refuse(
                f"the state of {entry.name!r} has shape {tuple(value.shape)} where the model has "
                f"{entry.shape}.",
                fix="pass names=[...] in the order of the optimizer's parameters.",
            )
    return Moments(
        mean,
        square,
        int(state.get("step", 0)),
        state.get("max_exp_avg_sq") if group["amsgrad"] else None,
        beta_first=float(group["betas"][0]),
        beta_second=float(group["betas"][1]),
        epsilon=float(group["eps"]),
        weight_decay=float(group.get("weight_decay", 0.0)),
        decoupled=bool(group.get("decoupled_weight_decay", False)),
        maximize=bool(group.get("maximize", False)),
        rate=rate,
    )


def _refuse(what: str, fix: str = "") -> NoReturn:
    raise InvalidArgument(
        what,
        where="optimizer",
        fix=fix or "pass a torch.optim.Adam or AdamW of the model, or its state_dict().",
        code="E-V08",
    )
