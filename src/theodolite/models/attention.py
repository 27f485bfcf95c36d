"""Small transformers: a classifier of sequences and a causal language model."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from theodolite.errors import InvalidArgument, InvalidData
from theodolite.models.initialization import require_positive

POSITION_SCALE = 0.02


class SelfAttention(nn.Module):
    """Scaled dot-product attention of a sequence with itself; one matrix makes q, k and v."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        joined: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return joined


class TransformerBlock(nn.Module):
    """Attention and a perceptron of four times the width, each normalized first, then added."""

    def __init__(self, width: int, heads: int, *, causal: bool, dropout: float | int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads, causal=causal)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        hidden = functional.gelu(self.expand(self.norm2(x)))
        added: Tensor = self.dropout(self.contract(hidden))
        return x + added


class SequenceClassifier(nn.Module):
    """Patches of a sequence, embedded, mixed by blocks, averaged and classified."""

    def __init__(
        self, tokens: int, patch: int, width: int, blocks: list[TransformerBlock], classes: int
    ) -> None:
        super().__init__()
        self.tokens, self.patch = tokens, patch
        self.embed = nn.Linear(patch, width)
        self.position = nn.Parameter(POSITION_SCALE * torch.randn(tokens, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        values = x.flatten(1)
        if values.shape[1] != self.tokens * self.patch:
            raise InvalidData(
                f"inputs must hold {self.tokens * self.patch} values an example; "
                f"got {values.shape[1]}.",
                where="transformer",
                code="E-T27",
            )
        embedded = self.embed(values.view(-1, self.tokens, self.patch)) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(embedded)).mean(1))
        return logits


class LanguageModel(nn.Module):
    """Next-token logits; the output layer is the transposed embedding (one shared parameter)."""

    def __init__(
        self, vocabulary: int, length: int, width: int, blocks: list[TransformerBlock]
    ) -> None:
        super().__init__()
        self.length = length
        self.embed = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(POSITION_SCALE * torch.randn(length, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.normal_(self.embed.weight, std=POSITION_SCALE)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length > self.length:
            raise InvalidData(
                f"sequences must have at most {self.length} tokens; got {length}.",
                where="language_model",
                code="E-T27",
            )
        embedded = self.embed(tokens) + self.position[:length]
        logits: Tensor = self.head(self.norm(self.blocks(embedded)))
        return logits


def transformer(
    length: int,
    *,
    patch: int = 8,
    classes: int = 10,
    width: int = 32,
    heads: int = 4,
    depth: int = 2,
    causal: bool = False,
    dropout: float | int = 0.0,
) -> SequenceClassifier:
    """A pre-norm transformer that classifies ``length`` values cut into tokens of ``patch``.

    Inputs ``(example, ...)`` are flattened to ``(example, length)``: with ``patch=8``, each row
    of an 8x8 image is a token. Learned positions, ``depth`` blocks, mean over tokens; outputs
    ``(example, classes)``. ``causal`` lets a token see itself and earlier ones only. Linear
    layers start as PyTorch starts them. Attention runs through
    ``scaled_dot_product_attention``, whose fused kernels have no second derivative.

    Raises `InvalidArgument` unless ``patch`` divides ``length`` and ``heads`` divides ``width``.

    Source: Vaswani et al. (2017), arXiv:1706.03762; norm first: Xiong et al. (2020),
    arXiv:2002.04745.

    >>> transformer(64)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    require_positive(length=length, patch=patch, classes=classes)
    if length % patch:
        raise InvalidArgument(f"patch must divide length {length}; got {patch}.", code="E-T28")
    blocks = _blocks(width, heads, depth, causal=causal, dropout=dropout)
    return SequenceClassifier(length // patch, patch, width, blocks, classes)


def language_model(
    vocabulary: int,
    *,
    length: int = 64,
    width: int = 32,
    heads: int = 4,
    depth: int = 2,
    dropout: float | int = 0.0,
) -> LanguageModel:
    """A causal pre-norm transformer over tokens, its embedding tied to its output layer.

    Inputs are tokens ``(example, time)``, int64 in ``[0, vocabulary)``, with at most ``length``
    of them; outputs are logits ``(example, time, vocabulary)`` of the next token. The shared
    matrix appears once among the parameters.

    Raises `InvalidArgument` unless ``heads`` divides ``width``.

    Source: Press, Wolf (2017), arXiv:1608.05859 (tied weights).

    >>> language_model(50)(torch.zeros(2, 7, dtype=torch.long)).shape
    torch.Size([2, 7, 50])
    """
    require_positive(vocabulary=vocabulary, length=length)
    blocks = _blocks(width, heads, depth, causal=True, dropout=dropout)
    return LanguageModel(vocabulary, length, width, blocks)


def _blocks(
    width: int, heads: int, depth: int, *, causal: bool, dropout: float | int
) -> list[TransformerBlock]:
    require_positive(width=width, heads=heads, depth=depth)
    if width % heads:
        raise InvalidArgument(f"heads must divide width {width}; got {heads}.", code="E-T29")
    if not 0 <= dropout < 1:
        raise InvalidArgument(f"dropout must lie in [0, 1); got {dropout}.", code="E-T30")
    return [TransformerBlock(width, heads, causal=causal, dropout=dropout) for _ in range(depth)]
