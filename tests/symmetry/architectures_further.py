"""Networks of further kinds: dilated, on sets, conditioned, looped, adapted; a few units each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations


class WaveNet(nn.Module):
    """Dilated causal convolutions with gated activations, a stream and a sum of side branches."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(2, 6, 1)
        self.dilated = nn.ModuleList(nn.Conv1d(6, 14, 2, dilation=2**k) for k in range(2))
        self.stream = nn.ModuleList(nn.Conv1d(7, 6, 1) for _ in range(2))
        self.side = nn.ModuleList(nn.Conv1d(7, 5, 1) for _ in range(2))
        self.hidden, self.head = nn.Conv1d(5, 4, 1), nn.Conv1d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x, total = self.embed(x), 0
        for k, (dilated, stream, side) in enumerate(
            zip(self.dilated, self.stream, self.side, strict=True)
        ):
            signal, gate = dilated(functional.pad(x, (2**k, 0))).chunk(2, 1)
            mixed = signal.tanh() * gate.sigmoid()
            x, total = x + stream(mixed), total + side(mixed)
        return self.head(self.hidden(total.relu()).relu())


class PointNet(nn.Module):
    """A learned transform of the coordinates, a perceptron at each point, the largest over all."""

    def __init__(self) -> None:
        super().__init__()
        self.turn, self.turned = nn.Linear(3, 5), nn.Linear(5, 9)
        self.points = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 8))
        self.head = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.turned(self.turn(x).relu().amax(1)).view(-1, 3, 3)
        x = x @ (matrix + torch.eye(3, dtype=x.dtype))
        return self.head(self.points(x).max(1).values)


class DeepSets(nn.Module):
    """A perceptron of each element, their sum and mean, a perceptron of those."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(4, 6), nn.ELU(), nn.Linear(6, 7))
        self.all = nn.Sequential(nn.Linear(14, 5), nn.ELU(), nn.Linear(5, 2))

    def forward(self, x: Tensor) -> Tensor:
        made = self.each(x)
        return self.all(torch.cat([made.sum(1), made.mean(1)], -1))


class RelativeAttention(nn.Module):
    """Attention with content and position biases by head, shifted as in Transformer-XL."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 12), nn.Linear(12, 3)
        self.q, self.k, self.v, self.r, self.o = (nn.Linear(12, 12, bias=False) for _ in range(5))
        self.content, self.place = (nn.Parameter(torch.randn(3, 4)) for _ in range(2))
        self.positions = nn.Linear(2, 12)
        angle = torch.arange(9.0)
        self.register_buffer("waves", torch.stack([angle.sin(), angle.cos()], -1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        q, k, v = (part(x).unflatten(-1, (3, 4)) for part in (self.q, self.k, self.v))
        r = self.r(self.positions(self.waves)).unflatten(-1, (3, 4))
        near = torch.einsum("bqhd,bkhd->bhqk", q + self.content, k)
        far = torch.einsum("bqhd,phd->bhqp", q + self.place, r)
        batch, heads, length, places = far.shape
        padded = torch.cat([far.new_zeros(batch, heads, length, 1), far], -1)
        shifted = padded.view(batch, heads, places + 1, length)[:, :, 1:].view_as(far)
        weights = (near + shifted[..., :length]).softmax(-1)
        mixed = torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2)
        return self.head(x + self.o(mixed))


class Capsules(nn.Module):
    """Types of capsules squashed by their lengths, routed by agreement to one for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 5, 3), nn.Conv2d(5, 3 * 4, 3, stride=2)
        self.votes = nn.Parameter(0.3 * torch.randn(3, 2, 4, 6))  # type, class, in, out

    def squashed(self, x: Tensor) -> Tensor:
        square = x.square().sum(-1, keepdim=True)
        return x * square / (1 + square) / (square + 1e-8).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        maps = self.second(self.first(x).relu())
        capsules = self.squashed(maps.flatten(2).unflatten(1, (3, 4)).permute(0, 3, 1, 2))
        votes = torch.einsum("bpti,tcio->bptco", capsules, self.votes)
        scores = torch.zeros(votes.shape[:-1], dtype=x.dtype)
        for _ in range(2):
            made = self.squashed((scores.softmax(-1).unsqueeze(-1) * votes).sum((1, 2)))
            scores = scores + torch.einsum("bptco,bco->bptc", votes, made)
        return made.norm(dim=-1)


class Conditioned(nn.Module):
    """Feature maps scaled and shifted by a second input (FiLM)."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.more = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.norm = nn.InstanceNorm2d(6)
        self.condition = nn.Sequential(nn.Linear(4, 7), nn.SiLU(), nn.Linear(7, 12))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        scale, shift = self.condition(given)[:, :, None, None].chunk(2, 1)
        x = (self.norm(self.maps(x)) * (1 + scale) + shift).relu()
        return self.head(self.more(x).relu().mean((2, 3)))


class Flow(nn.Module):
    """A differential equation solved by the classical Runge-Kutta method in a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
        self.up, self.down = nn.Linear(7, 8), nn.Linear(8, 6)

    def slope(self, time: float, x: Tensor) -> Tensor:
        return self.down(self.up(torch.cat([x, torch.full_like(x[:, :1], time)], -1)).tanh())

    def forward(self, x: Tensor) -> Tensor:
        x, step = self.embed(x), 0.25
        for k in range(4):
            a = self.slope(k * step, x)
            b = self.slope((k + 0.5) * step, x + step / 2 * a)
            c = self.slope((k + 0.5) * step, x + step / 2 * b)
            d = self.slope((k + 1) * step, x + step * c)
            x = x + step / 6 * (a + 2 * b + 2 * c + d)
        return self.head(x)


class Adapter(nn.Module):
    """A frozen linear layer and a trained product of two narrow ones (LoRA)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.base = nn.Linear(inputs, outputs).requires_grad_(False)
        self.down = nn.Parameter(torch.randn(3, inputs))
        self.up = nn.Parameter(torch.randn(outputs, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 0.5 * (x @ self.down.T @ self.up.T)


class Maxout(nn.Module):
    """Each unit the largest of three pieces, behind a highway past it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 6), nn.Linear(5, 2)
        self.pieces, self.gate, self.past = nn.Linear(6, 15), nn.Linear(6, 5), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        gate, largest = self.gate(x).sigmoid(), self.pieces(x).unflatten(-1, (5, 3)).amax(-1)
        return self.head(gate * largest + (1 - gate) * self.past(x))


class SqueezeAttend(nn.Module):
    """Convolutions, channels weighed by their means, attention over places."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.Hardswish())
        self.squeeze, self.excite = nn.Conv2d(12, 5, 1), nn.Conv2d(5, 12, 1)
        self.norm = nn.GroupNorm(1, 12)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.head = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(x)
        x = x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        places = self.norm(x).flatten(2).transpose(1, 2)
        attended, _ = self.attention(places, places, places, need_weights=False)
        return self.head((places + attended).mean(1))


class FourierOperator(nn.Module):
    """Channels mixed at each low frequency beside a pointwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.drop = nn.Linear(1, 6), nn.Linear(6, 1)
        self.real, self.imaginary = (nn.Parameter(0.3 * torch.randn(6, 6, 3)) for _ in range(2))
        self.past = nn.Conv1d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lift(x).transpose(1, 2)
        waves = torch.fft.rfft(x)
        low = torch.einsum("bik,iok->bok", waves[..., :3], torch.complex(self.real, self.imaginary))
        mixed = torch.fft.irfft(low, n=x.shape[-1])
        return self.drop(functional.gelu(mixed + self.past(x)).transpose(1, 2))


class HyperNetwork(nn.Module):
    """A layer whose weights another network makes from a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.make = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4 * 6))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        weights = self.make(given).view(-1, 6, 4)
        return self.head(torch.bmm(weights, x.unsqueeze(-1)).squeeze(-1).tanh())


def normed() -> nn.Module:
    """Convolutions and layers with spectral and weight norms."""
    return nn.Sequential(
        *(parametrizations.spectral_norm(nn.Conv2d(3, 6, 3)), nn.LeakyReLU(), nn.Flatten(2)),
        *(parametrizations.weight_norm(nn.Conv1d(6, 7, 3)), nn.Softplus(), nn.Flatten()),
        *(parametrizations.weight_norm(nn.Linear(7 * 34, 5)), nn.Mish()),
        parametrizations.spectral_norm(nn.Linear(5, 2)),
    )


def adapted() -> nn.Module:
    """Two adapted layers."""
    return nn.Sequential(Adapter(4, 8), nn.ReLU(), Adapter(8, 2))


def of(*shape: int) -> tuple[Tensor, ...]:
    return (torch.randn(shape),)


FURTHER = {
    "wavenet": (WaveNet, lambda: of(2, 2, 7)),
    "pointnet": (PointNet, lambda: of(2, 9, 3)),
    "deep_sets": (DeepSets, lambda: of(2, 5, 4)),
    "relative_attention": (RelativeAttention, lambda: of(2, 5, 4)),
    "capsules": (Capsules, lambda: of(2, 1, 8, 8)),
    "conditioned": (Conditioned, lambda: (*of(2, 3, 5, 5), *of(2, 4))),
    "flow": (Flow, lambda: of(5, 4)),
    "adapted": (adapted, lambda: of(5, 4)),
    "maxout": (Maxout, lambda: of(5, 4)),
    "squeeze_attend": (SqueezeAttend, lambda: of(2, 3, 8, 8)),
    "fourier_operator": (FourierOperator, lambda: of(2, 8, 1)),
    "hyper_network": (HyperNetwork, lambda: (*of(5, 4), *of(5, 3))),
    "normed": (normed, lambda: of(2, 3, 8, 8)),
}
