"""Small networks that use their tensors in every way a layer can, and a batch for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

N = 5


@dataclass(frozen=True)
class Case:
    """A network, its inputs and targets, and the way expected of tensors not named in ``slow``."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    targets: Callable[[], Tensor]
    way: str
    slow: dict[str, str]


def pictures(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(N, *shape, generator=torch.Generator().manual_seed(1)).double()


def tokens(length: int, words: int = 7) -> Callable[[], Tensor]:
    return lambda: torch.randint(words, (N, length), generator=torch.Generator().manual_seed(2))


def labels(*shape: int, classes: int = 3) -> Callable[[], Tensor]:
    g = torch.Generator().manual_seed(3)
    made = torch.randint(classes, (N, *shape), generator=g)
    return lambda: made


class Tied(nn.Module):
    """An embedding whose table is the last layer's weight, and a layer called three times."""

    def __init__(self, scale: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 6, padding_idx=0)
        self.mix = nn.Linear(6, 6)
        self.out = nn.Linear(6, 7, bias=False)
        self.out.weight = self.table.weight

    def forward(self, x: Tensor) -> Tensor:
        h = self.table(x)
        for _ in range(3):
            h = h + torch.tanh(self.mix(h.cumsum(1)))
        return self.out(h).mT


class Places(nn.Module):
    """Positions without a dimension of examples: as many positions as examples, too."""

    def __init__(self, length: int, words: int = 7) -> None:
        super().__init__()
        self.length = length
        self.words, self.places = nn.Embedding(words, 6), nn.Embedding(length, 6)
        self.free = nn.Parameter(torch.randn(length, 6))
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.words(x) + self.places(torch.arange(self.length)) + self.free
        return self.out(torch.tanh(h)).mT


class Row(nn.Module):
    """Positions and a first token with a first dimension of one, as vision transformers have."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 6)
        self.first, self.places = nn.Parameter(torch.randn(1, 1, 6)), nn.Embedding(5, 6)
        self.free = nn.Parameter(torch.randn(1, 5, 6))
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cat([self.first.expand(len(x), -1, -1), self.words(x)], 1)
        h = h + self.free + self.places(torch.arange(5).unsqueeze(0))
        return self.out(torch.tanh(h))[:, 1:].mT


class Borrowed(nn.Module):
    """A weight used by its layer and, once more, without it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.linear(torch.tanh(self.inner(x)), self.inner.weight))


class Overwritten(nn.Module):
    """Outputs that are written over, as by ``ReLU(inplace=True)``."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).mul_(2).relu_())


def hooked() -> nn.Module:
    """A layer whose output a hook of the user's changes."""
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    model[0].register_forward_hook(lambda module, given, output: 2 * output.sin())
    return model


class Deciding(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.free = nn.Linear(4, 3), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return torch.stack([row * self.free if bool(row.sum() > 0) else row.sin() for row in h])


class Attending(nn.Module):
    """Attention that borrows the weight of its last layer without calling it."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.norm, self.out = nn.RMSNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.words(x)
        return self.out(self.norm(h + self.attention(h, h, h)[0])).mT


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(7, 4), nn.RNNCell(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(len(x), 4, dtype=self.out.weight.dtype)
        for step in self.words(x).unbind(1):
            h = self.cell(step, h)
        return self.out(h)


def trained_statistics(model: nn.Module) -> nn.Module:
    """BatchNorm statistics and affine entries that are not 0 and 1."""
    g = torch.Generator().manual_seed(4)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
            m.running_mean = torch.randn(m.num_features, generator=g)
            m.running_var = torch.rand(m.num_features, generator=g) + 0.5
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            nn.init.normal_(m.weight), nn.init.normal_(m.bias)
    return model


def _seq(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: trained_statistics(nn.Sequential(*layers))


def case(
    build: Callable[[], nn.Module],
    inputs: Callable[[], Tensor],
    targets: Callable[[], Tensor] | None = None,
    way: str = "ghost",
    **slow: str,
) -> Case:
    named = {k.replace("__", "."): v for k, v in slow.items()}
    return Case(build, inputs, targets or labels(), way, named)


def models() -> dict[str, Case]:
    """Built anew: modules hold tensors."""
    cell = {f"cell__{k}_{p}": "loop" for k in ("weight", "bias") for p in ("ih", "hh")}
    flat = nn.Flatten()
    return {
        "linear": case(_seq(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3, bias=False)), pictures(4)),
        "sequence": case(
            _seq(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), flat, nn.Linear(18, 3)),
            pictures(3, 4),
        ),
        "long sequence": case(
            _seq(nn.Linear(2, 3), nn.Tanh(), nn.LayerNorm((30, 3)), flat, nn.Linear(90, 3)),
            pictures(30, 2),
        ),
        "1d": case(
            _seq(
                nn.Conv1d(2, 4, 3, 2, 2, 2), nn.GroupNorm(2, 4), nn.SiLU(), flat, nn.Linear(20, 3)
            ),
            pictures(2, 9),
        ),
        "2d": case(
            _seq(
                nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 0), bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(inplace=True),
                nn.Conv2d(4, 6, 3, padding="same", dilation=(1, 2), groups=2),
                nn.Softplus(),
                nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular", groups=6),
                nn.AdaptiveAvgPool2d(2),
                flat,
                nn.Linear(24, 3),
            ),
            pictures(2, 6, 5),
        ),
        "3d": case(
            _seq(nn.Conv3d(1, 2, 2, stride=(1, 2, 1)), nn.Tanh(), flat, nn.Linear(32, 3)),
            pictures(1, 3, 4, 5),
        ),
        "transposed": case(
            _seq(nn.ConvTranspose1d(2, 3, 2), nn.PReLU(), flat, nn.Linear(15, 3)),
            pictures(2, 4),
            way="vmap",
        ),
        "batch norm": case(
            _seq(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)), pictures(4)
        ),
        "tied": case(Tied, tokens(6), labels(6, classes=7)),
        "positions": case(lambda: Places(4), tokens(4), labels(4)),
        "as many positions as examples": case(lambda: Places(N), tokens(N), labels(N), way="vmap"),
        "a row of positions": case(Row, tokens(4), labels(4)),
        "large table": case(
            lambda: Places(N, 500), tokens(N), labels(N), places__weight="vmap", free="vmap"
        ),
        "borrowed weight": case(Borrowed, pictures(4), way="vmap"),
        "written over": case(Overwritten, pictures(4)),
        "hooked": case(hooked, pictures(4)),
        "deciding": case(Deciding, pictures(4), free="loop"),
        "attention": case(Attending, tokens(4), labels(4), way="vmap"),
        "recurrent": case(Recurrent, tokens(3), None, **cell),
        "weight norm": case(
            lambda: nn.Sequential(
                nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)
            ),
            pictures(4),
            way="vmap",
        ),
    }
