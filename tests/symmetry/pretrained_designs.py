"""Tiny configurations of Hugging Face's models, with the groups that counting gives them.

Nothing is downloaded: weights are random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn

IDS = torch.arange(14).reshape(2, 7) % 17 + 3
IDS[:, -1] = 1  # the end, where CLIP reads a text
WORDS = {"input_ids": IDS}
BOTH = {**WORDS, "decoder_input_ids": IDS[:, :5]}
PIXELS = {"pixel_values": torch.linspace(-1, 1, 384).sin().reshape(2, 3, 8, 8)}
SOUND = {"input_features": torch.linspace(-1, 1, 96).sin().reshape(2, 4, 12)}

SMALL = {"vocab_size": 20, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
ENCODER = {"hidden_size": 8, **LAYERS}
WORD_ENCODER = {**ENCODER, "max_position_embeddings": 16, **SMALL}
DECODER = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
    "use_cache": False,
    **SMALL,
}
TWO_TOWERS = {
    **{"d_model": 8, "encoder_layers": 2, "decoder_layers": 2, "decoder_start_token_id": 2},
    **{"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16},
    **{"decoder_ffn_dim": 16, "use_cache": False},
    **SMALL,
}

HEADS = [2, 4, 4]  # heads, units of queries and keys, units of values
ROTATED = [2, 2, 4, 24]  # heads of keys, queries to each, units of values; hidden units
TOWERS = [*(2 * [*HEADS, 16]), *(2 * [*HEADS, *HEADS, 16])]  # an encoder, a decoder that reads it


@dataclass(frozen=True)
class Design:
    """A class of transformers, its small settings, inputs, and sizes of groups counted by hand.

    ``output`` is what counts of what it returns, where that holds hidden states as well.
    """

    kind: str
    settings: dict[str, Any]
    inputs: dict[str, torch.Tensor]
    sizes: list[int]
    output: str = ""

    def model(self) -> nn.Module:
        """The model with random matrices large enough for attention to choose."""
        torch.manual_seed(0)
        kind = getattr(transformers, self.kind)
        made = kind(kind.config_class(**self.settings))
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, 0.4)
        return made

    @property
    def outputs(self) -> Callable[[Any], Any] | None:
        """What picks the output."""
        return (lambda returned: getattr(returned, self.output)) if self.output else None


DESIGNS: dict[str, Design] = {
    "GPT-2": Design(
        "GPT2LMHeadModel",
        {"n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2, "use_cache": False, **SMALL},
        WORDS,
        [8, *(2 * [*HEADS, 32])],
    ),
    # rotations fix units of queries and keys
    "Llama": Design("LlamaForCausalLM", DECODER, WORDS, [16, *(2 * ROTATED)]),
    "Mistral": Design("MistralForCausalLM", DECODER, WORDS, [16, *(2 * ROTATED)]),
    "Qwen2": Design("Qwen2ForCausalLM", DECODER, WORDS, [16, *(2 * ROTATED)]),
    # experts are picked by number, so they keep their places; their units move together
    "Mixtral": Design(
        "MixtralForCausalLM",
        {**DECODER, "num_local_experts": 3, "experts_implementation": "eager"},
        WORDS,
        [16, *(2 * ROTATED)],
    ),
    # a quarter of the units of queries and keys are rotated, the other six of a head are free
    "GPT-NeoX": Design(
        "GPTNeoXForCausalLM",
        {**DECODER, "num_attention_heads": 2},
        WORDS,
        [16, *(2 * [2, 6, 8, 24])],
    ),
    # slopes by head tell the heads apart
    "BLOOM": Design(
        "BloomForCausalLM",
        {"hidden_size": 8, "n_layer": 2, "n_head": 2, "use_cache": False, **SMALL},
        WORDS,
        [8, *(2 * [4, 4, 32])],
    ),
    "OPT": Design(
        "OPTForCausalLM",
        {**DECODER, "hidden_size": 8, "ffn_dim": 16, "num_attention_heads": 2}
        | {"word_embed_proj_dim": 8},
        WORDS,
        [8, *(2 * [*HEADS, 16])],
    ),
    "Mamba": Design(
        "MambaForCausalLM",
        {"hidden_size": 8, "state_size": 4, "num_hidden_layers": 2, "expand": 2}
        | {"conv_kernel": 3, "time_step_rank": 3, "use_cache": False, **SMALL},
        WORDS,
        [8, *(2 * [16, 4, 3])],  # channels, states of each, rank of the time steps
    ),
    "BERT": Design(
        "BertForSequenceClassification",
        WORD_ENCODER,
        WORDS,
        [8, *(2 * [*HEADS, 16]), 8],  # and the pooler
    ),
    "RoBERTa": Design(
        "RobertaForSequenceClassification", WORD_ENCODER, WORDS, [8, *(2 * [*HEADS, 16]), 8]
    ),
    "DistilBERT": Design(
        "DistilBertForSequenceClassification",
        {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 16}
        | SMALL,
        WORDS,
        [8, *(2 * [*HEADS, 16]), 8],
    ),
    # both layers are one; embeddings have a width of their own
    "ALBERT": Design(
        "AlbertForSequenceClassification",
        {**WORD_ENCODER, "embedding_size": 6},
        WORDS,
        [6, 8, *HEADS, 16, 8],
    ),
    "DeBERTa": Design(
        "DebertaV2ForSequenceClassification",
        {**WORD_ENCODER, "relative_attention": True, "position_buckets": 4}
        | {"pos_att_type": ["p2c", "c2p"]},
        WORDS,
        [8, 8, *(2 * [*HEADS, 16]), 8],  # embeddings of distances are a stream of their own
    ),
    # Towers share their embedding, layers of a tower the position bias and so the order of heads;
    # zeros in place of that bias, shared by the layers that read the encoder, do it for those.
    "T5": Design(
        "T5ForConditionalGeneration",
        {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2, "vocab_size": 20}
        | {"pad_token_id": 2, "decoder_start_token_id": 2, "use_cache": False},
        BOTH,
        [8, *(3 * [2]), *(6 * [4, 4]), *(4 * [16])],
        "logits",
    ),
    "BART": Design(
        "BartForConditionalGeneration",
        {**TWO_TOWERS, "max_position_embeddings": 16},
        BOTH,
        [8, *TOWERS],
        "logits",
    ),
    "Whisper": Design(
        "WhisperForConditionalGeneration",
        {**TWO_TOWERS, "num_mel_bins": 4, "max_source_positions": 6, "max_target_positions": 16},
        {**SOUND, "decoder_input_ids": IDS[:, :5]},
        [8, 8, 8, *TOWERS],  # channels of the first convolution, a stream for each tower
        "logits",
    ),
    "CLIP": Design(
        "CLIPModel",
        {
            "text_config": {**WORD_ENCODER, "projection_dim": 6},
            "vision_config": {**LAYERS, "hidden_size": 12, "num_attention_heads": 3}
            | {"image_size": 8, "patch_size": 4, "projection_dim": 6},
            "projection_dim": 6,
        },
        {**WORDS, **PIXELS},
        [8, *(2 * [*HEADS, 16]), 12, *(2 * [3, 4, 4, 16]), 6],  # 6: where both towers meet
        "logits_per_text",
    ),
    "ViT": Design(
        "ViTForImageClassification",
        {**ENCODER, "image_size": 8, "patch_size": 4},
        PIXELS,
        [8, *(2 * [*HEADS, 16])],
    ),
    "Swin": Design(
        "SwinForImageClassification",
        {"image_size": 8, "patch_size": 1, "embed_dim": 8, "depths": [2, 1], "num_heads": [2, 4]}
        | {"window_size": 2},
        PIXELS,
        [8, *(2 * [*HEADS, 32]), 16, 4, 4, 4, 64],
    ),
    "ConvNeXt": Design(
        "ConvNextForImageClassification",
        {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2, "patch_size": 2},
        PIXELS,
        [8, 32, 12, 48],
    ),
}
