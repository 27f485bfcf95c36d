"""Models that break other tools, one for each row of the fault catalogue, in float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

N, D, C = 10, 6, 3


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(N, D, dtype=torch.float64, generator=generator)
    return x, torch.randint(C, (N,), generator=generator)


class Sandwich(nn.Module):
    """Tanh layers around whatever is under test."""

    def __init__(self, middle: nn.Module, width: int = D) -> None:
        super().__init__()
        self.before, self.middle, self.after = nn.Linear(D, D), middle, nn.Linear(width, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.middle(torch.tanh(self.before(x))))


class Tied(nn.Module):
    def __init__(self, *, by_storage: bool = False) -> None:
        super().__init__()
        self.inner, self.outer = (nn.Linear(D, D, dtype=torch.float64) for _ in range(2))
        self.after = nn.Linear(D, C)
        shared = self.inner.weight
        self.outer.weight = nn.Parameter(shared.data) if by_storage else shared

    def forward(self, x: Tensor) -> Tensor:
        return self.after(torch.tanh(self.outer(torch.tanh(self.inner(x)))))


class Shared(nn.Module):
    """One module used twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(D, D)
        self.again = self.first
        self.after = nn.Linear(D, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(torch.tanh(self.again(torch.tanh(self.first(x)))))


class Unused(nn.Module):
    """An auxiliary head whose output goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.auxiliary = nn.Linear(D, C), nn.Linear(D, C)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.net(x))


class Oddities(nn.Module):
    """Scalar, one-element, empty, transposed, expanded and sliced-view parameters."""

    def __init__(self) -> None:
        super().__init__()
        whole = torch.randn(D, 2 * C)
        self.sliced = nn.Parameter(whole[:, ::2])
        self.transposed = nn.Parameter(torch.randn(C, D).t())
        self.expanded = nn.Parameter(torch.randn(1, C).expand(D, C))
        self.scalar = nn.Parameter(torch.tensor(1.3))
        self.single = nn.Parameter(torch.tensor([0.7]))
        self.empty = nn.Parameter(torch.zeros(0, 4))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.sliced * self.scalar + torch.tanh(self.transposed) + self.expanded
        return torch.tanh(x @ weight) * self.single + self.empty.sum()


class Attention(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.qkv, self.after = nn.Linear(2, 12), nn.Linear(4, C)
        self.mha = nn.MultiheadAttention(4, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(
            4, 2, 8, dropout=0.3, batch_first=True, activation="gelu"
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x.reshape(len(x), 3, 2)).split(4, 2)
        if self.kind == "sdpa":
            out = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        elif self.kind == "mha":
            out = self.mha(q, k, v, need_weights=False)[0]
        else:
            out = self.layer(q)
        return self.after(out.mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn, self.after = kind(2, 4, batch_first=True), nn.Linear(4, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.rnn(x.reshape(len(x), 3, 2))[0][:, -1])


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.after = nn.Sequential(nn.Linear(D, D), nn.Tanh()), nn.Linear(D, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(checkpoint(self.block, x, use_reentrant=False))


class Caching(nn.Module):
    """Keeps a non-leaf tensor, so that it cannot be deep-copied after a forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.kept = nn.Linear(D, C), None

    def forward(self, x: Tensor) -> Tensor:
        self.kept = torch.tanh(self.net(x))
        return self.kept


class Counting(nn.Module):
    """Integer and boolean buffers and a plain counter, all changed by every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = nn.Linear(D, C), 0
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(2, dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.count += 1
        self.seen[0] = True
        return torch.tanh(self.net(x))


def _mixed_modes() -> nn.Module:
    model = Sandwich(nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(D), nn.Dropout(0.2)))
    model.train()
    model.middle[1].eval()
    return model


def _frozen() -> nn.Module:
    model = Sandwich(nn.Linear(D, D))
    model.middle.requires_grad_(False)
    return model


def _low_rank() -> nn.Module:
    """A frozen base with trainable low-rank adapters."""

    class Adapter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(D, C).requires_grad_(False)
            self.down, self.up = nn.Linear(D, 2, bias=False), nn.Linear(2, C, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.base(x) + self.up(self.down(x)))

    return Adapter()


def _hooked() -> nn.Module:
    model = Sandwich(nn.Identity())
    model.before.register_forward_hook(lambda m, i, o: o * 1.5)
    return model


def _pruned() -> nn.Module:
    model = Sandwich(nn.Linear(D, D))
    torch.manual_seed(2)
    prune.random_unstructured(model.middle, "weight", 0.5)
    return model


def _old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Sandwich(nn.utils.weight_norm(nn.Linear(D, D)))


def _channels_last() -> nn.Module:
    conv = nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), nn.Tanh(), nn.Flatten())
    return Sandwich(conv, 8).to(memory_format=torch.channels_last)


def _dead() -> nn.Module:
    model = Sandwich(nn.Linear(D, D))
    with torch.no_grad():
        model.middle.weight[:2] = 0
    return model


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "S01 dropout, modes mixed": _mixed_modes,
    "S02 batch norm in training mode": lambda: Sandwich(nn.BatchNorm1d(D)).train(),
    "S05 tied weights": Tied,
    "S05 tied by storage": lambda: Tied(by_storage=True),
    "S06 shared module": Shared,
    "S07 frozen layer": _frozen,
    "S07 low-rank adapters": _low_rank,
    "S09 unused head": Unused,
    "S10 counters": Counting,
    "S11 hooks": _hooked,
    "S13 channels last": _channels_last,
    "S13 S14 odd parameters": Oddities,
    "S15 dead filters": _dead,
    "S15 pruned": _pruned,
    "W10 weight norm": lambda: Sandwich(parametrizations.weight_norm(nn.Linear(D, D))),
    "W10 old weight norm": _old_weight_norm,
    "W10 spectral norm": lambda: Sandwich(parametrizations.spectral_norm(nn.Linear(D, D))),
    "W10 orthogonal": lambda: Sandwich(parametrizations.orthogonal(nn.Linear(D, D))),
    "W12 attention kernel": lambda: Attention("sdpa"),
    "W13 multi-head attention": lambda: Attention("mha"),
    "W13 encoder layer": lambda: Attention("layer"),
    "W14 LSTM": lambda: Recurrent(nn.LSTM),
    "W14 GRU": lambda: Recurrent(nn.GRU),
    "W15 checkpointing": Checkpointed,
    "caches a non-leaf": Caching,
}


def network(name: str) -> nn.Module:
    """The model of one row, seeded, in float64."""
    torch.manual_seed(7)
    return NETWORKS[name]().double()
