"""Mixers, recurrent nets, graphs, mixtures of experts: from plain torch, a few units each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune


class MixerBlock(nn.Module):
    """A perceptron across patches, then one across channels."""

    def __init__(self, patches: int, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across = nn.Sequential(nn.Linear(patches, 7), nn.GELU(), nn.Linear(7, patches))
        self.along = nn.Sequential(nn.Linear(width, 9), nn.GELU(), nn.Linear(9, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.along(self.norm2(x))


class Mixer(nn.Module):
    """Patches and two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, 4)
        self.blocks = nn.Sequential(MixerBlock(4, 6), MixerBlock(4, 6))
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


class Recurrent(nn.Module):
    """Two layers, both ways; outputs and last states are read."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU], **settings: int) -> None:
        super().__init__()
        self.layer = kind(4, 5, num_layers=2, bidirectional=True, batch_first=True, **settings)
        width = settings.get("proj_size", 5)
        self.head, self.last = nn.Linear(2 * width, 3), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs, states = self.layer(x)
        hidden = states[0] if isinstance(states, tuple) else states
        return self.head(outputs.mean(1)) + self.last(hidden[-1])


class Unrolled(nn.Module):
    """A cell called step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 6)
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return self.head(state)


class Graph(nn.Module):
    """Messages along edges, added at their ends; edges are an input."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 6), nn.Linear(6, 3)
        self.message = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 6))
        self.update = nn.GRUCell(6, 6)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        h = self.embed(nodes)
        for _ in range(2):
            sent = self.message(torch.cat([h[edges[0]], h[edges[1]]], -1))
            h = self.update(torch.zeros_like(h).index_add(0, edges[1], sent), h)
        pooled = torch.zeros(1, 6, dtype=h.dtype).scatter_add(
            0, torch.zeros(len(h), 6, dtype=torch.long), h
        )
        return self.head(pooled)


class Mixture(nn.Module):
    """A gate sends every example to its best two experts; all experts are evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.gate, self.head = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(6, 2)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6)) for _ in range(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        weights, chosen = self.gate(x).softmax(-1).topk(2)
        shares = torch.zeros(len(x), 3, dtype=x.dtype).scatter(1, chosen, weights)
        outputs = torch.stack([expert(x) for expert in self.experts], 1)
        return self.head((shares.unsqueeze(-1) * outputs).sum(1))


class Routed(Mixture):
    """The same, where each expert sees its own examples only: control flow that reads data."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        weights, chosen = self.gate(x).softmax(-1).topk(2)
        total = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slots = (chosen == number).nonzero(as_tuple=True)
            if len(rows):
                total.index_add_(0, rows, weights[rows, slots, None] * expert(x[rows]))
        return self.head(total)


class BatchedExperts(nn.Module):
    """Experts as slices of one tensor, multiplied by einsum; interchangeable with their gates."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.up, self.down = nn.Parameter(torch.randn(3, 4, 7)), nn.Parameter(torch.randn(3, 7, 2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.einsum("bi,eih->beh", x, self.up).relu()
        return torch.einsum("be,beh,eho->bo", self.gate(x).softmax(-1), hidden, self.down)


class Variational(nn.Module):
    """Mean and log variance from two heads; the mean is decoded in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.both = nn.Linear(6, 9), nn.Linear(9, 8)
        self.decode = nn.Sequential(nn.Linear(4, 9), nn.Softplus(), nn.Linear(9, 6))

    def forward(self, x: Tensor) -> Tensor:
        mean, log_variance = self.both(functional.gelu(self.body(x))).chunk(2, -1)
        return self.decode(mean + torch.exp(log_variance / 2) * 0.1)


def gated() -> nn.Module:
    """Gated linear units, and a spectral norm."""
    return nn.Sequential(
        *(nn.Linear(5, 12), nn.GLU(), nn.LayerNorm(6), nn.SELU()),
        *(parametrizations.spectral_norm(nn.Linear(6, 7)), nn.Tanh(), nn.Linear(7, 2)),
    )


def pruned() -> nn.Module:
    """Half of the weights masked."""
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    prune.random_unstructured(model[0], "weight", 0.5)
    parametrizations.weight_norm(model[3])
    return model


def sequences() -> tuple[Tensor, ...]:
    return (torch.randn(2, 5, 4),)


def vectors(width: int) -> tuple[Tensor, ...]:
    return (torch.randn(6, width),)


def graph() -> tuple[Tensor, ...]:
    return torch.randn(5, 4), torch.tensor([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 2]])


OTHERS = {
    "mixer": (Mixer, lambda: (torch.randn(2, 3, 8, 8),)),
    "lstm": (lambda: Recurrent(nn.LSTM), sequences),
    "lstm_projected": (lambda: Recurrent(nn.LSTM, proj_size=3), sequences),
    "gru": (lambda: Recurrent(nn.GRU), sequences),
    "gru_cell": (Unrolled, sequences),
    "graph": (Graph, graph),
    "mixture": (Mixture, lambda: vectors(4)),
    "mixture_routed": (Routed, lambda: vectors(4)),
    "mixture_batched": (BatchedExperts, lambda: vectors(4)),
    "variational": (Variational, lambda: vectors(6)),
    "gated": (gated, lambda: vectors(5)),
    "pruned": (pruned, lambda: vectors(5)),
}
