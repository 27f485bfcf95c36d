"""The present weights and buffers of the model that is trained."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from theodolite.objective import Objective
from theodolite.objective.forward import unwrapped
from theodolite.surfaces.trajectory_points import with_state


def source_of(objective: Objective, model: nn.Module | None) -> nn.Module:
    """The module that holds the weights: the objective's own, or the plain one inside `model`."""
    if model is None or model is objective.model:
        return objective.model
    inner = getattr(model, "_orig_mod", model)
    inner = getattr(inner, "module", inner) if _wraps(inner) else inner
    return objective.model if inner is objective.model else unwrapped(model)


def _wraps(model: object) -> bool:
    return isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel)


def parameters_of(objective: Objective, model: nn.Module) -> Float[Tensor, " params"]:
    """The trainable parameters now, as a flat vector of its own, looked up by name."""
    named = dict(model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        return objective.space.flatten(named).to(objective.device, copy=True)


def at_present(objective: Objective, model: nn.Module) -> Objective:
    """The objective with the model's present buffers and frozen parameters, as copies.

    An objective keeps those it was built with; running statistics of BatchNorm move in training.
    """
    held = {**objective.forward.fixed, **objective.forward.pristine}
    if not held:
        return objective
    named: dict[str, Tensor] = {}
    named |= model.named_parameters(remove_duplicate=False)
    named |= model.named_buffers(remove_duplicate=False)
    state = {n: t.detach().clone() for n, t in named.items() if f"model.{n}" in held}
    return with_state(objective, state)[0]
