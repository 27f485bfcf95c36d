"""Transformers as others build them, from plain torch, at a few units each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, LENGTH, TOKENS = 12, 3, 5, 11


class FusedAttention(nn.Module):
    """Query, key and value from one matrix, split by an index, as in timm."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, length, width))


class SeparateAttention(nn.Module):
    """Three matrices; norms of queries and keys over each head."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)
        self.q_norm, self.k_norm = nn.LayerNorm(WIDTH // HEADS), nn.LayerNorm(WIDTH // HEADS)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        source = x if memory is None else memory
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in (self.q(x), self.k(source), self.v(source))
        )
        mixed = functional.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a perceptron, normalized first."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), attention
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 20), nn.GELU(), nn.Linear(20, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Patches by convolution, a class token, learned positions."""

    def __init__(self, attention: type[nn.Module]) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.position = nn.Parameter(torch.randn(1, 5, WIDTH))
        self.blocks = nn.Sequential(Block(attention()), Block(attention()))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class WindowAttention(nn.Module):
    """Attention within windows of a map, shifted or not, with a table of relative positions."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift, self.qkv = shift, nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)
        self.table = nn.Parameter(torch.randn(9, HEADS))
        place = torch.stack(torch.meshgrid(*[torch.arange(2)] * 2, indexing="ij")).flatten(1)
        apart = (place[:, :, None] - place[:, None]).permute(1, 2, 0) + 1
        self.register_buffer("index", apart[..., 0] * 3 + apart[..., 1])

    def forward(self, x: Tensor) -> Tensor:
        batch, high, wide, width = x.shape
        x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        windows = x.view(batch, high // 2, 2, wide // 2, 2, width).permute(0, 1, 3, 2, 4, 5)
        windows = windows.reshape(-1, 4, width)
        parts = self.qkv(windows).reshape(-1, 4, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        bias = self.table[self.index.view(-1)].view(4, 4, HEADS).permute(2, 0, 1)
        weights = (q @ k.transpose(-2, -1) + bias.unsqueeze(0)).softmax(-1)
        y = self.proj((weights @ v).transpose(1, 2).reshape(-1, 4, width))
        y = y.view(batch, high // 2, wide // 2, 2, 2, width).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(batch, high, wide, width)
        return torch.roll(y, (self.shift, self.shift), (1, 2))


class Swin(nn.Module):
    """Two windowed blocks and a merge of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 2, 2)
        self.blocks = nn.Sequential(Block(WindowAttention(0)), Block(WindowAttention(1)))
        self.merge = nn.Sequential(nn.LayerNorm(4 * WIDTH), nn.Linear(4 * WIDTH, 8, bias=False))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patches(x).permute(0, 2, 3, 1))
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.head(self.merge(torch.cat(corners, -1)).mean((1, 2)))


class RootMeanSquare(nn.Module):
    """The norm of language models."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.float32)
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * scaled.to(x.dtype)


class GroupedQuery(nn.Module):
    """Six heads of queries on two of keys and values, turned by their positions."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.o = nn.Linear(WIDTH, 24, bias=False), nn.Linear(24, WIDTH, bias=False)
        self.k, self.v = nn.Linear(WIDTH, 8, bias=False), nn.Linear(WIDTH, 8, bias=False)
        angle = torch.outer(torch.arange(LENGTH).float(), torch.tensor([1.0, 0.1])).repeat(1, 2)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def turned(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q = self.turned(self.q(x).view(batch, length, 6, 4).transpose(1, 2))
        k = self.turned(self.k(x).view(batch, length, 2, 4).transpose(1, 2))
        v = self.v(x).view(batch, length, 2, 4).transpose(1, 2)
        k, v = (
            t[:, :, None].expand(-1, -1, 3, -1, -1).reshape(batch, 6, length, 4) for t in (k, v)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(mixed.transpose(1, 2).reshape(batch, length, 24))


class GPT(nn.Module):
    """Grouped-query attention, SwiGLU, a head tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.norm1, self.norm2, self.norm3 = (RootMeanSquare() for _ in range(3))
        self.attention = GroupedQuery()
        self.gate, self.up = nn.Linear(WIDTH, 18, bias=False), nn.Linear(WIDTH, 18, bias=False)
        self.down = nn.Linear(18, WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, TOKENS, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        x = x + self.attention(self.norm1(x))
        y = self.norm2(x)
        x = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return self.head(self.norm3(x))


class EncoderDecoder(nn.Module):
    """Self attention of a source, cross attention of a target to it."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(TOKENS, WIDTH), nn.Embedding(TOKENS, WIDTH)
        self.encoder, self.decoder = SeparateAttention(), SeparateAttention()
        self.cross, self.head = SeparateAttention(), nn.Linear(WIDTH, TOKENS)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        memory = self.source(source)
        memory = memory + self.encoder(memory)
        x = self.target(target)
        x = x + self.decoder(x)
        return self.head(x + self.cross(x, memory))


class TorchTransformer(nn.Module):
    """Torch's own encoder and decoder layers."""

    def __init__(self) -> None:
        super().__init__()
        sizes = {"dim_feedforward": 16, "batch_first": True}
        self.encoder = nn.TransformerEncoderLayer(WIDTH, HEADS, **sizes)
        self.decoder = nn.TransformerDecoderLayer(WIDTH, HEADS, **sizes)
        self.embed, self.head = nn.Linear(4, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embed(x)
        return self.head(self.decoder(embedded, self.encoder(embedded)))


def tokens(count: int = 1) -> tuple[Tensor, ...]:
    return tuple(torch.randint(TOKENS, (2, LENGTH)) for _ in range(count))


def images() -> tuple[Tensor, ...]:
    return (torch.randn(2, 3, 8, 8),)


ATTENTION = {
    "vit_fused": (lambda: ViT(FusedAttention), images),
    "vit_separate": (lambda: ViT(SeparateAttention), images),
    "swin": (Swin, images),
    "gpt": (GPT, tokens),
    "encoder_decoder": (EncoderDecoder, lambda: tokens(2)),
    "torch_transformer": (TorchTransformer, lambda: (torch.randn(2, 5, 4),)),
}
