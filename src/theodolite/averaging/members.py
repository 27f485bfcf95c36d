"""The networks that are averaged or asked together: points with the buffers that are theirs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.directions.checkpoints import bare, points_of, together
from theodolite.errors import InvalidArgument, InvalidData, TheodoliteWarning, UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.statistics import batch_norm_layers, recompute

RESERVED = ("average", "soup", "ensemble")
"""Names that results give to what is made of the members."""

Buffers = Mapping[str, Tensor]
"""Every buffer of the model by the objective's names for them."""


@dataclass(frozen=True, eq=False)
class Member:
    """A network: its name, its point, and all its buffers."""

    name: str
    theta: Shaped[Tensor, " params"]
    buffers: Buffers


def check_objective(objective: Objective) -> None:
    """Raise where networks cannot be told apart from the batches they run on."""
    if objective.mode != "eval":
        raise InvalidArgument(
            f"networks are averaged as they are used, in evaluation mode; got mode="
            f"{objective.mode!r}.",
            fix="build the objective without mode='train'.",
            code="E-A83",
        )
    if objective.ranks is not None:
        raise UnsupportedModel(
            "networks cannot be averaged where processes share an objective.",
            fix="build the objective without process_group.",
            code="E-A84",
        )


def members_of(
    objective: Objective, thetas: Iterable[Any], names: Sequence[str] | None, *, least: int = 2
) -> list[Member]:
    """Points as networks: a state dict with its own buffers, a vector with statistics made anew.

    All points are in the widest dtype among them.
    """
    values = listed(thetas)
    points = together(points_of(objective, values, "thetas"))
    if len(points) < least:
        raise InvalidArgument(
            f"thetas must be {least} or more points; got {len(points)}.", code="E-A80"
        )
    labels = labels_of(names, len(points))
    made = []
    for k, (value, theta, label) in enumerate(zip(values, points, labels, strict=True)):
        buffers = dict(objective.forward.pristine)
        if isinstance(value, Mapping):
            refuse_other_frozen(objective, value, f"thetas[{k}]")
            buffers = own_buffers(objective, value, f"thetas[{k}]")
        else:
            buffers = with_own_statistics(objective, theta, buffers)
        made.append(Member(label, theta, buffers))
    return made


def listed(thetas: Iterable[Any]) -> Any:
    """The points as a list, however they were given; a single one as it is, to be refused."""
    return thetas if isinstance(thetas, Mapping | Tensor | str) else list(thetas)


def tell_unlike(objective: Objective, members: Sequence[Member]) -> None:
    """Warn where members differ in buffers that are neither averaged nor computed anew."""
    first, ours = members[0], {*running_names(objective)}
    unlike = [
        name.removeprefix("model.")
        for name, value in first.buffers.items()
        if name not in ours
        and value.is_floating_point()
        and not all(torch.equal(m.buffers[name], value) for m in members)
    ]
    if unlike:
        more = f" and {len(unlike) - 3} more" if len(unlike) > 3 else ""
        warnings.warn(
            TheodoliteWarning(
                f"members differ in the buffers {', '.join(unlike[:3])}{more}, which are not "
                f"averaged: those of {first.name} are kept. [E-A94]"
            ),
            stacklevel=3,
        )


def labels_of(names: Sequence[str] | None, count: int) -> list[str]:
    """A name for every point: those given, or numbers."""
    labels = [str(k) for k in range(count)] if names is None else [str(n) for n in names]
    taken = [n for n in RESERVED if n in labels]
    if len(labels) != count or len(set(labels)) < count or taken:
        raise InvalidArgument(
            f"names must be {count} different names, one a point"
            + (f", and none of them {taken[0]!r}" if taken else "")
            + f"; got {labels}.",
            code="E-A80",
        )
    return labels


def shares_of(weights: Sequence[Any] | None, count: int) -> Float64[Tensor, " member"]:
    """Weights of the members that add up to one; equal by default."""
    given = [1.0] * count if weights is None else [float(w) for w in weights]
    made = torch.tensor(given, dtype=torch.float64)
    fine = len(given) == count and bool(torch.isfinite(made).all()) and bool((made >= 0).all())
    if not fine or not made.sum() > 0:
        raise InvalidArgument(
            f"weights must be {count} finite numbers, 0 or more and not all 0; got {given}.",
            code="E-A81",
        )
    return made / made.sum()


def own_buffers(objective: Objective, value: Mapping[str, Any], end: str) -> dict[str, Tensor]:
    """The state dict's buffers, the objective's where it holds none."""
    state, made = bare(value), {}
    for full, here in objective.forward.pristine.items():
        found = state.get(full.removeprefix("model."))
        if not isinstance(found, Tensor):
            made[full] = here
            continue
        fits = found.shape == here.shape
        if not fits or (found.is_floating_point() and not bool(torch.isfinite(found).all())):
            raise InvalidData(
                f"{full.removeprefix('model.')} of {end} "
                + (
                    "holds NaN or infinity."
                    if fits
                    else f"has shape {tuple(found.shape)}; the model's has {tuple(here.shape)}."
                ),
                fix="pass a state dict of this model.",
                code="E-A82",
            )
        made[full] = found.detach().to(here)
    return made


def refuse_other_frozen(objective: Objective, value: Mapping[str, Any], end: str) -> None:
    """Raise where a frozen parameter is not the objective's: nothing would move it there."""
    state = bare(value)
    for full, own in objective.forward.fixed.items():
        other = state.get(full.removeprefix("model."))
        if isinstance(other, Tensor) and not torch.equal(other.detach().to(own), own):
            raise InvalidArgument(
                f"{full.removeprefix('model.')} of {end} differs from the objective's and does "
                "not require a gradient.",
                why="frozen parameters are not averaged: members must agree on them.",
                fix="call requires_grad_(True) on it before the objective is built, or pass "
                "networks with the same frozen part.",
                code="E-A82",
            )


def with_own_statistics(objective: Objective, theta: Tensor, buffers: Buffers) -> dict[str, Tensor]:
    """`buffers` with the running statistics of BatchNorm computed for `theta`, exactly.

    From all the objective's data, layer after layer in float64, however they are cut into
    batches; one pass a layer. Counters and all other buffers stay.
    """
    layers = batch_norm_layers(objective.model)
    if not layers:
        return dict(buffers)

    def body() -> dict[str, Tensor]:
        put(objective, buffers)
        recompute(layers, objective.data, partial(objective.terms.run, objective.model))
        working = objective.forward.working
        return {n: working[n].clone() for n in running_names(objective) if n in working}

    found = objective.guarded(lambda: objective.forward.run(objective.point(theta), body))
    return {**buffers, **found}


def put(objective: Objective, buffers: Buffers) -> None:
    """Let the model run with these buffers; inside `forward.run` only."""
    with torch.no_grad():
        for name, value in buffers.items():
            objective.forward.working[name].copy_(value)


def running_names(objective: Objective) -> list[str]:
    """The names of BatchNorm's running means and variances."""
    layers = {id(m) for m in batch_norm_layers(objective.model)}
    named = objective.model.named_modules(remove_duplicate=False)
    homes = [f"model.{n}." if n else "model." for n, m in named if id(m) in layers]
    return [home + kind for home in homes for kind in ("running_mean", "running_var")]


def recomputing(objective: Objective) -> Objective:
    """The objective as averages are measured: BatchNorm statistics made anew at every point."""
    if not batch_norm_layers(objective.model):
        return objective
    return objective.with_batch_norm("recompute")


def frozen(objective: Objective) -> Objective:
    """The objective that takes the statistics it is given."""
    if not batch_norm_layers(objective.model):
        return objective
    return objective.with_batch_norm("frozen")
