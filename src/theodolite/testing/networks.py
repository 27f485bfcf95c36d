"""Networks of a few dozen parameters, one for each thing that breaks derivatives elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

INPUTS, HIDDEN, CLASSES = 5, 4, 3


def perceptron(activation: type[nn.Module] = nn.Tanh) -> nn.Module:
    """One hidden layer."""
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), activation(), nn.Linear(HIDDEN, CLASSES))


def log_perceptron() -> nn.Module:
    """The same, returning log-probabilities."""
    return nn.Sequential(perceptron(), nn.LogSoftmax(1))


def layer_norm() -> nn.Module:
    """A norm over features."""
    return nn.Sequential(
        nn.Linear(INPUTS, HIDDEN), nn.LayerNorm(HIDDEN), nn.GELU(), nn.Linear(HIDDEN, CLASSES)
    )


def with_dropout() -> nn.Module:
    """Dropout, which evaluation turns off."""
    return nn.Sequential(perceptron(), nn.Dropout(0.5))


def with_frozen_layer() -> nn.Module:
    """A first layer that does not train."""
    model = perceptron()
    next(iter(model.children())).requires_grad_(False)
    return model


def spectral_norm() -> nn.Module:
    """A weight divided by its largest singular value."""
    return nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(INPUTS, HIDDEN)),
        nn.Tanh(),
        nn.Linear(HIDDEN, CLASSES),
    )


def weight_norm() -> nn.Module:
    """Weights as length times direction."""
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(INPUTS, HIDDEN)),
        nn.Tanh(),
        nn.Linear(HIDDEN, CLASSES),
    )


def convolution_with_batch_norm() -> nn.Module:
    """Running statistics that are not those of the first step."""
    norm = nn.BatchNorm2d(2)
    norm.running_mean = torch.tensor([0.3, -0.2])
    norm.running_var = torch.tensor([0.5, 2.0])
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), norm, nn.Tanh(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(2, CLASSES)
    )


def convolution_with_group_norm() -> nn.Module:
    """Stride, padding, a transposed convolution, and norms over groups of channels."""
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, padding=1),
        nn.GroupNorm(2, 2),
        nn.SiLU(),
        nn.ConvTranspose2d(2, 1, 2),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
    )


def embedding(*, sparse: bool = False) -> nn.Module:
    """A table of tokens."""
    return nn.Sequential(
        nn.Embedding(6, 3, sparse=sparse), nn.Flatten(), nn.Tanh(), nn.Linear(12, CLASSES)
    )


class UnusedHead(nn.Module):
    """A second head that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(INPUTS, CLASSES), nn.Linear(INPUTS, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.body(x))


class Checkpointed(nn.Module):
    """A block that the backward pass runs again."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.Tanh())
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = checkpoint(self.block, x, use_reentrant=False)
        scores: Tensor = self.head(hidden)
        return scores


class Residual(nn.Module):
    """A block around which its input is added."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = nn.Linear(INPUTS, INPUTS), nn.Linear(INPUTS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(x + torch.tanh(self.block(x)))
        return scores


class SeveralOutputs(nn.Module):
    """A dictionary, as Hugging Face's models return."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = torch.tanh(self.body(x))
        return {"hidden": hidden, "logits": self.head(hidden)}


class Attention(nn.Module):
    """The fused kernel, which has no double backward on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.head = nn.Linear(4, 12), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)[:, None].split(4, -1)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        scores: Tensor = self.head(mixed[:, 0].mean(1))
        return scores


class MultiHead(nn.Module):
    """Torch's own attention layer, with its fast path for evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.attention(x, x, x, need_weights=False)[0]
        scores: Tensor = self.head(mixed.mean(1))
        return scores


class Recurrent(nn.Module):
    """A recurrent layer, read at its last step."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.layer = kind(4, 3, batch_first=True)
        self.head = nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layer(x)[0][:, -1])
        return scores


class TiedLanguageModel(nn.Module):
    """Scores of tokens from the table that embedded them; classes before time, as torch wants."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Embedding(6, 3), nn.Linear(3, 3)
        self.head = nn.Linear(3, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.tanh(self.mix(self.embed(x))))
        return scores.transpose(1, 2)


class Through(nn.Module):
    """A perceptron whose hidden values go through a function: what tests of refusals need."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.last(self.function(self.first(x)))
        return scores


class DetachedLoss(nn.Module):
    """Cross entropy that lets no gradient through."""

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs.detach(), targets, reduction="none")
