"""Defects planted on purpose: in models and losses, and in the engines themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import theodolite as td
from theodolite.testing import networks
from theodolite.testing.objectives import CASES

Backward = Callable[[Any, Tensor], Tensor]


def function(forward: Callable[[Tensor], Tensor], backward: Backward) -> Callable[..., Tensor]:
    """A custom function of one tensor; `backward(saved, g)` may be as wrong as it likes."""

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, z: Tensor) -> Tensor:
            ctx.save_for_backward(z)
            ctx.constant = torch.cos(z)
            return forward(z)

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return backward(ctx, g)

    return Custom.apply


def saved(ctx: Any) -> Tensor:
    return ctx.saved_tensors[0]


class OnlyOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return torch.sin(z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * torch.cos(ctx.saved_tensors[0])


wrong_cosine = function(torch.cos, lambda ctx, g: -0.5 * g * torch.sin(saved(ctx)))


class Perceptron(nn.Module):
    """Hidden values go through `change(model, hidden)`."""

    def __init__(self, change: Callable[[Perceptron, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 3)
        self.change, self.calls, self.cache = change, 0, None

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.change(self, self.first(x)))


def through(change: Callable[[Perceptron, Tensor], Tensor], **settings: Any) -> td.Objective:
    torch.manual_seed(0)
    model = Perceptron(change).double()
    return td.Objective(model, nn.CrossEntropyLoss(), CASES["cross entropy"].data(), **settings)


def custom(apply: Callable[..., Tensor]) -> Callable[[], td.Objective]:
    return lambda: through(lambda model, h: apply(h))


def counting(model: Perceptron, h: Tensor) -> Tensor:
    model.calls += 1
    return torch.tanh(h * (1 + 1e-6 * model.calls))


def caching(model: Perceptron, h: Tensor) -> Tensor:
    model.cache = torch.tanh(h).detach().mean(0) if model.cache is None else model.cache
    return torch.tanh(h) * model.cache


def mutating(model: Perceptron, h: Tensor) -> Tensor:
    with torch.no_grad():
        model.first.weight.mul_(1 + 1e-6)
    return torch.tanh(h)


def hooked(model: Perceptron, h: Tensor) -> Tensor:
    if h.requires_grad:
        h.register_hook(lambda g: g.clamp(-0.02, 0.02))
    return torch.tanh(h)


def overwritten(model: Perceptron, h: Tensor) -> Tensor:
    out = torch.tanh(h)
    out.data.mul_(0.9)
    return out


def reentrant(model: Perceptron, h: Tensor) -> Tensor:
    with warnings.catch_warnings():
        # in an evaluation without gradients torch warns that there will be none
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad", UserWarning)
        return checkpoint(torch.tanh, h, use_reentrant=True)


def stepped(model: Perceptron, h: Tensor) -> Tensor:
    return h + (torch.round(h * 4) / 4 - h).detach()


def branched(model: Perceptron, h: Tensor) -> Tensor:
    """Right in the forward pass without a graph, another function with one."""
    return torch.tanh(h) if not h.requires_grad else torch.tanh(1.001 * h)


class Regularized(nn.Module):
    """Cross entropy plus a penalty on the outputs that is detached."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        penalty = outputs.detach().square().mean(1)
        return functional.cross_entropy(outputs, targets, reduction="none") + 0.1 * penalty


def regularized() -> td.Objective:
    case = CASES["cross entropy"]
    return td.Objective(case.network(), Regularized(), case.data())


def in_float32(change: Callable[[Perceptron, Tensor], Tensor]) -> td.Objective:
    torch.manual_seed(0)
    data = [(x.float(), y) for x, y in CASES["cross entropy"].data()]
    return td.Objective(Perceptron(change), nn.CrossEntropyLoss(), data)


DEFECTS: dict[str, tuple[Callable[[], td.Objective], str]] = {
    "a term dropped in backward": (
        custom(function(lambda z: z * torch.sin(z), lambda c, g: g * torch.sin(saved(c)))),
        "gradient is not the derivative",
    ),
    "a sign in backward": (
        custom(function(torch.cos, lambda c, g: g * torch.sin(saved(c)))),
        "gradient is not the derivative",
    ),
    "a backward scaled by 0.999": (
        custom(function(torch.sin, lambda c, g: 0.999 * g * torch.cos(saved(c)))),
        "gradient is not the derivative",
    ),
    "a factor of two": (
        custom(function(torch.square, lambda c, g: g * saved(c))),
        "gradient is not the derivative",
    ),
    "a detached save": (
        custom(function(torch.sin, lambda c, g: g * c.constant)),
        "second derivatives of first.weight",
    ),
    "differentiable once": (custom(OnlyOnce.apply), "second derivatives of first.weight"),
    "a wrong second derivative": (
        custom(function(torch.sin, lambda c, g: g * wrong_cosine(saved(c)))),
        "second derivatives of first.weight",
    ),
    "gradients clipped in a hook": (lambda: through(hooked), "gradient is not the derivative"),
    "a result overwritten behind autograd's back": (
        lambda: through(overwritten),
        "gradient is not the derivative",
    ),
    "straight-through rounding": (lambda: through(stepped), "gradient is not the derivative"),
    "rounding without a gradient": (
        lambda: through(lambda m, h: torch.round(h * 256) / 256),
        "in jumps",
    ),
    "half precision inside": (
        lambda: through(lambda m, h: torch.tanh(h.half()).double()),
        "gradient is not the derivative",
    ),
    "a detached penalty in the loss": (regularized, "gradient is not the derivative"),
    "a detached factor in the model": (
        lambda: through(lambda m, h: torch.tanh(h) * h.detach()),
        "gradient is not the derivative",
    ),
    "reentrant checkpointing": (lambda: through(reentrant), "use_reentrant"),
    "NaN in the second derivative only": (
        lambda: through(lambda m, h: h + (0 * h).norm(dim=1, keepdim=True)),
        "NaN or infinite",
    ),
    "an activation cached by the first batch": (
        lambda: through(caching, batch_size=12, limit=12),
        "gradient is not the derivative",
    ),
    "another function where gradients are on": (lambda: through(branched), "gradient is not"),
    "noise of a ten-millionth": (
        lambda: in_float32(lambda m, h: torch.tanh(h) + 1e-7 * torch.randn_like(h)),
        "two evaluations",
    ),
}
"""Objectives that pass for good ones, and words of the reason a certificate must give."""

UNMADE: dict[str, Callable[[], td.Objective]] = {
    "dropout that evaluation does not turn off": lambda: through(
        lambda m, h: functional.dropout(torch.tanh(h), 0.1, training=True)
    ),
    "noise of a ten-thousandth": lambda: through(
        lambda m, h: torch.tanh(h) + 1e-4 * torch.randn_like(h)
    ),
    "a counter that scales": lambda: through(counting),
    "parameters changed in forward": lambda: through(mutating),
}
"""Objectives that may not even be made."""

CLEAN: dict[str, Callable[[], td.Objective]] = {
    "perceptron": CASES["cross entropy"].objective,
    "perceptron in float32": lambda: in_float32(lambda m, h: torch.tanh(h)),
    "linear regression": CASES["squared error, halves"].objective,
    "sum of squares": CASES["sum of squares"].objective,
    "class weights": CASES["class weights"].objective,
    "ignored labels": CASES["ignored labels"].objective,
    "layer norm and GELU": CASES["layer norm"].objective,
    "batch norm": CASES["convolution with batch norm"].objective,
    "attention": CASES["attention"].objective,
    "LSTM": CASES["LSTM"].objective,
    "checkpoint": CASES["checkpointed"].objective,
    "unused head": CASES["unused head"].objective,
    "tied language model": CASES["tied language model"].objective,
    "weight norm": replace(CASES["linear"], model=networks.weight_norm).objective,
    "float32 inside float64": lambda: through(lambda m, h: torch.tanh(h.float()).double()),
}
"""Objectives without a defect, which must be certified: negative controls."""
