"""Dense matrices from the model and the loss module alone: nothing of the package but its names.

One batch, the loss module's own reduction, ``torch.autograd.functional`` and double backward.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian as second_derivative
from torch.autograd.functional import jacobian
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from theodolite.parameters import ParameterSpace
from theodolite.testing.objectives import Case


def dense_hessian(case: Case) -> Tensor:
    """The Hessian of ``loss(model(x), y)`` over all examples at once."""
    model, x, y = _parts(case)
    space, theta = _point(model)
    rule = case.loss().double()

    def value(t: Tensor) -> Tensor:
        return rule(_logits(functional_call(model, _named(model, space, t), (x,))), y)

    with sdpa_kernel(SDPBackend.MATH):
        return second_derivative(value, theta)


def dense_ggn(case: Case) -> Tensor:
    """J' H J with the Jacobian of all outputs and the Hessian of the loss in them."""
    model, x, y = _parts(case)
    space, theta = _point(model)
    rule = case.loss().double()

    def outputs(t: Tensor) -> Tensor:
        return _logits(functional_call(model, _named(model, space, t), (x,)))

    with sdpa_kernel(SDPBackend.MATH):
        scores = outputs(theta).detach()
        j = jacobian(outputs, theta).reshape(scores.numel(), -1)
    curved = second_derivative(lambda s: rule(s.view(scores.shape), y), scores.reshape(-1))
    return j.T @ curved @ j


def _parts(case: Case) -> tuple[nn.Module, Tensor, Tensor]:
    model = case.network()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.sparse = False  # the oracle needs dense gradients
    return model, case.inputs(), case.targets()


def _point(model: nn.Module) -> tuple[ParameterSpace, Tensor]:
    space = ParameterSpace.from_model(model)
    return space, space.flatten(dict(model.named_parameters(remove_duplicate=False)))


def _named(model: nn.Module, space: ParameterSpace, t: Tensor) -> dict[str, Tensor]:
    views = space.views(t)
    return {n: views[e.name] for e in space.entries for n in (e.name, *e.aliases)}


def _logits(outputs: Any) -> Tensor:
    return outputs["logits"] if isinstance(outputs, dict) else outputs


def dense_empirical_fisher(case: Case) -> Tensor:
    """Gradients of the examples one by one, each weighed as the loss module weighs it.

    Of a single example the module's mean is its loss, and its sum that loss times its weight.
    """
    model, x, y = _parts(case)
    space, theta = _point(model)
    rule = case.loss().double()
    mean, total = copy.deepcopy(rule), copy.deepcopy(rule)
    mean.reduction = "mean" if rule.reduction == "sum" else rule.reduction
    total.reduction = "sum"
    moment, whole = torch.zeros(len(theta), len(theta), dtype=theta.dtype), 0.0
    for k in range(len(x)):
        leaf = theta.clone().requires_grad_(True)
        with sdpa_kernel(SDPBackend.MATH):
            scores = _logits(functional_call(model, _named(model, space, leaf), (x[k : k + 1],)))
        own, summed = mean(scores, y[k : k + 1]), total(scores, y[k : k + 1])
        if not bool(own.isfinite()):
            continue  # nothing of this example counts
        slope = torch.autograd.grad(own, leaf)[0]
        weight = float(summed.detach() / own.detach())
        moment += weight * torch.outer(slope, slope)
        whole += weight
    return moment / (1.0 if rule.reduction == "sum" else whole)
