"""Tiny configurations of Hugging Face's models.

Oracle: the function itself in float64, and groups counted by hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import theodolite as td

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers

TOKENS = {"input_ids": torch.arange(14).reshape(2, 7) % 20}
SMALL = {"vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(n_positions=8, n_embd=8, n_layer=2, n_head=2, **SMALL)
    config.use_cache = False
    return transformers.GPT2LMHeadModel(config)


def llama() -> nn.Module:
    config = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16,
        **SMALL,
    )
    config.use_cache = False
    return transformers.LlamaForCausalLM(config)


def bert() -> nn.Module:
    config = transformers.BertConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        vocab_size=20,
    )
    return transformers.BertForSequenceClassification(config)


def vit() -> nn.Module:
    config = transformers.ViTConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=8,
        patch_size=4,
    )
    return transformers.ViTForImageClassification(config)


PIXELS = {"pixel_values": torch.linspace(-1, 1, 384).sin().reshape(2, 3, 8, 8)}
HEADS = [2, 4, 4]  # heads, units of queries and keys, units of values
DESIGNS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any], list[int]]] = {
    "gpt2": (gpt2, TOKENS, [8] + 2 * [*HEADS, 32]),
    # heads of keys, queries to each, units of values; rotations fix those of queries and keys
    "llama": (llama, TOKENS, [16] + 2 * [2, 2, 4, 24]),
    "bert": (bert, TOKENS, [8] + 2 * [*HEADS, 16] + [8]),  # and the pooler
    "vit": (vit, PIXELS, [8] + 2 * [*HEADS, 16]),
}


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_the_groups_of_a_pretrained_design(name: str) -> None:
    # Kills: fused qkv by Conv1D, norms that go through float32, masks made in place.
    make, inputs, sizes = DESIGNS[name]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = td.symmetries(make(), inputs)
    assert sorted(g.size for g in found.groups) == sorted(sizes)
    assert found.verify(seed=1) <= 1e-9
    assert found.coverage > 0.99
