"""Transformers: attention against its formula, and the symmetries they must have."""

from __future__ import annotations

import pytest
import torch

from theodolite.errors import InvalidArgument, InvalidData
from theodolite.models import language_model, transformer
from theodolite.models.attention import SelfAttention


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_softmax_of_scaled_products_per_head(causal: bool) -> None:
    # kills: heads and time swapped, k for q, no scale, a mask that hides the past
    layer = SelfAttention(6, 2, causal=causal).double()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    q, k, v = (x @ layer.qkv.weight.T + layer.qkv.bias).chunk(3, -1)
    heads = []
    for h in range(2):
        a, b, c = (t[..., 3 * h : 3 * h + 3] for t in (q, k, v))
        weight = a @ b.transpose(1, 2) / 3**0.5
        if causal:
            weight = weight.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf)
        heads.append(weight.softmax(-1) @ c)
    expected = layer.out(torch.cat(heads, -1))
    assert torch.allclose(layer(x), expected, rtol=1e-10)


def test_without_positions_the_classifier_ignores_the_order_of_tokens() -> None:
    # kills: a mean over features, a mask in the encoder, patches cut across tokens
    torch.manual_seed(0)
    net = transformer(24, patch=4).double()
    x = torch.randn(3, 6, 4, dtype=torch.float64)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    assert not torch.allclose(net(x), net(x[:, order]))
    with torch.no_grad():
        net.position.zero_()
    assert torch.allclose(net(x), net(x[:, order]), rtol=1e-10)


def test_the_language_model_never_sees_the_future() -> None:
    # kills: attention without the causal mask
    torch.manual_seed(0)
    net = language_model(11, length=8).double()
    tokens = torch.randint(11, (2, 8))
    changed = tokens.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 11
    before, after = net(tokens), net(changed)
    assert torch.allclose(before[:, :5], after[:, :5], rtol=1e-10)
    assert not torch.allclose(before[:, 5:], after[:, 5:])
    assert torch.allclose(net(tokens[:, :3]), before[:, :3], rtol=1e-10)


def test_the_embedding_is_tied_to_the_output_and_counted_once() -> None:
    # kills: a copy instead of the same parameter
    net = language_model(50, length=16, width=8, heads=2, depth=1)
    assert net.head.weight is net.embed.weight
    block = 2 * 16 + 8 * 24 + 24 + 8 * 8 + 8 + 8 * 32 + 32 + 32 * 8 + 8
    assert sum(p.numel() for p in net.parameters()) == 50 * 8 + 16 * 8 + block + 16


def test_dropout_acts_in_training_only() -> None:
    # kills: dropout that is not passed on, or stays on
    net = transformer(16, dropout=0.5)
    x = torch.randn(2, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_what_cannot_be_built_or_read_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="patch must divide length 10; got 4"):
        transformer(10, patch=4)
    with pytest.raises(InvalidArgument, match="heads must divide width 32; got 5"):
        transformer(16, heads=5)
    with pytest.raises(InvalidArgument, match="dropout must lie"):
        language_model(5, dropout=1.0)
    with pytest.raises(InvalidData, match="inputs must hold 16 values an example; got 12"):
        transformer(16)(torch.zeros(2, 12))
    with pytest.raises(InvalidData, match="at most 4 tokens; got 5"):
        language_model(5, length=4)(torch.zeros(1, 5, dtype=torch.long))
