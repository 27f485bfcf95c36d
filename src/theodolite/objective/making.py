"""How an objective comes about: from what the user passed, or from another in a new precision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from theodolite.engines.snapshot import evaluation_flags, preserved, set_mode
from theodolite.objective import forward as forwards
from theodolite.objective import intake
from theodolite.objective.checks import check_policy, check_settings, check_start
from theodolite.objective.mistakes import named
from theodolite.objective.pooling import by_layer
from theodolite.objective.ranks import ranks_of
from theodolite.objective.rules import BatchLoss, Terms
from theodolite.objective.stratification import Design
from theodolite.parameters import ParameterSpace, positions, subspace

Objective = Any  # the class lives in a module that imports this one


def device_of(model: nn.Module, device: torch.device | str | None) -> torch.device:
    """The device asked for, or the model's own."""
    if device is not None:
        return torch.device(device)
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def fill(
    made: Objective,
    model: nn.Module,
    terms: Terms,
    data: Any,
    settings: intake.Settings,
    batch_norm: str,
    mode: str,
    process_group: Any = None,
) -> None:
    """Everything the two constructors share, under one guard."""

    def put(name: str, value: Any) -> None:
        object.__setattr__(made, name, value)

    ranks = ranks_of(process_group, settings.device)
    if ranks is not None:
        settings = replace(settings, share=(ranks.rank, ranks.size))

    def body() -> None:
        evaluation_flags(grad=False)
        set_mode(model, mode)
        space = ParameterSpace.from_model(model)
        named = dict(model.named_parameters(remove_duplicate=False))
        replay = intake.read(data, settings, model)
        master = torch.float64 if settings.dtype == torch.float64 else space.dtype
        if settings.dtype in (torch.float32, torch.bfloat16, torch.float16):
            master = torch.float32
        space = ParameterSpace(space.entries, master, space.pruned)
        put("model", model)
        put("space", space)
        put("start", space.flatten(named).to(settings.device))
        put("examples", replay.examples)
        put("device", settings.device)
        put("dtype", settings.dtype or space.entries[0].dtype)
        put("batch_norm", batch_norm)
        put("pooling", by_layer(model, "not decided yet"))
        put("design", None)
        put("ranks", ranks)
        put("mode", mode)
        put("data", replay.shielded(True))
        put("forward", forwards.build(model, space, settings.device, settings.dtype))
        put("terms", fitted(made, terms))
        put("scale", 1.0)
        put("total_weight", 1.0)
        first = check_start(made)
        put("total_weight", float(first.weights.sum()))
        put("scale", made.total_weight if terms.summed else 1.0)
        put("start_pass", replace(first, scale=made.scale))
        put("fingerprint", fingerprint(made))
        if ranks is not None:
            ranks.alike_objectives(made.fingerprint, *replay.sums)

    preserved((model,), body if ranks is None else partial(ranks.agreed, body))


def with_batch_norm(objective: Objective, batch_norm: str) -> Objective:
    """`objective` under another policy, on the same model, data and working copies."""
    check_settings(batch_norm, objective.mode, None, None, None)
    if batch_norm == objective.batch_norm:
        return objective
    made = _alike(objective, batch_norm=batch_norm)

    def body() -> None:
        evaluation_flags(grad=False)
        set_mode(made.model, made.mode)
        object.__setattr__(made, "pooling", by_layer(made.model, "not decided yet"))
        object.__setattr__(made, "start_pass", check_policy(made))
        object.__setattr__(made, "fingerprint", fingerprint(made))

    preserved((made.model,), body)
    return made


def with_design(objective: Objective, design: Design | None) -> Objective:
    """`objective` with errors about the population its data were sampled from."""
    first = replace(objective.start_pass, design=design)
    return _alike(objective, design=design, start_pass=first)


def restricted(objective: Objective, names: Sequence[str], theta: Tensor | None) -> Objective:
    """`objective` as a function of some of its parameters, the others held at `theta`."""
    point = objective.start if theta is None else objective.point(theta)
    space = subspace(objective.space, names)
    index = positions(objective.space, names).to(point.device)
    held = forwards.held_at(objective.forward, space, point)
    made = _alike(objective, space=space, start=point[index].clone(), forward=held)

    def body() -> None:
        evaluation_flags(grad=False)
        set_mode(made.model, made.mode)
        if theta is not None:
            first = made.forward.run(made.start, made.sweep)
            object.__setattr__(made, "start_pass", first)
        object.__setattr__(made, "fingerprint", fingerprint(made))

    preserved((made.model,), body)
    return made


def _alike(objective: Objective, **changed: Any) -> Objective:
    """A copy that shares everything but what is changed."""
    made = object.__new__(type(objective))
    for name in objective.__dataclass_fields__:
        object.__setattr__(made, name, changed.get(name, getattr(objective, name)))
    return made


def fitted(made: Objective, terms: Terms) -> Terms:
    """The terms with the weights of this objective's data."""
    first = next(iter(made.data))

    def through(body: Callable[[], Any]) -> Any:
        return made.forward.run(made.start, body)

    found = named(made.model, first, made.data.whole, lambda: terms.fitted(made.data, through))
    if made.ranks is None or not isinstance(found, BatchLoss):
        return found
    return replace(found, weighing=made.ranks.first(found.weighing))


def fingerprint(made: Objective) -> str:
    """A digest of the model's layout and weights, the data, the loss and the settings."""
    digest = hashlib.blake2b(digest_size=16)
    layout = [(e.name, e.shape, str(e.dtype)) for e in made.space.entries]
    settings = (made.batch_norm, made.mode, str(made.dtype), made.terms.label)
    digest.update(f"{type(made.model).__name__}{layout}{settings}".encode())
    digest.update(made.start.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for name, held in sorted({**made.forward.fixed, **made.forward.pristine}.items()):
        raw = held.cpu().contiguous().reshape(-1)
        digest.update(
            name.encode() + (raw.view(torch.uint8).numpy().tobytes() if raw.numel() else b"")
        )
    digest.update(made.data.fingerprint.encode())
    return digest.hexdigest()


def converted(objective: Objective, dtype: torch.dtype) -> Objective:
    """`objective` with its points, data and model in `dtype`; nothing is read or checked again."""
    master = torch.float64 if dtype == torch.float64 else torch.float32
    space = ParameterSpace(objective.space.entries, master, objective.space.pruned)
    return _alike(
        objective,
        space=space,
        start=objective.start.to(master),
        dtype=dtype,
        forward=forwards.converted(objective.forward, space, dtype),
        data=objective.data.converted(dtype),
        terms=objective.terms.converted(dtype),
    )
