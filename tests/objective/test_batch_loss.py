"""Models that compute their own loss, against the mean over tokens done by hand."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from theodolite import Objective
from theodolite.errors import InvalidArgument, InvalidType, TheodoliteWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers

LENGTHS = ([9, 7], [5], [8, 3, 2])


def _gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=12, n_embd=8, n_layer=1, n_head=2, use_cache=False
    )
    return transformers.GPT2LMHeadModel(config)


def _bert() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=17,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=12,
    )
    return transformers.BertForMaskedLM(config)


def _batches() -> list[dict[str, torch.Tensor]]:
    """Padded batches of unequal size and number of tokens."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for lengths in LENGTHS:
        ids = torch.randint(1, 17, (len(lengths), max(lengths)), generator=generator)
        mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        labels = torch.where(mask, ids, -100)
        made.append({"input_ids": ids, "attention_mask": mask.long(), "labels": labels})
    return made


def _own_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(**batch).loss


def _token_mean(model: nn.Module, *, shift: bool) -> float:
    model.eval()
    total, count = 0.0, 0
    for batch in _batches():
        inputs = {k: v for k, v in batch.items() if k != "labels"}
        logits, labels = model(**inputs).logits, batch["labels"]
        if shift:
            logits, labels = logits[:, :-1], labels[:, 1:]
        each = F.cross_entropy(
            logits.reshape(-1, 17), labels.reshape(-1), ignore_index=-100, reduction="sum"
        )
        total, count = total + float(each.detach()), count + int((labels != -100).sum())
    return total / count


@pytest.mark.parametrize(("make", "shift"), [(_gpt2, True), (_bert, False)])
def test_tokens_weigh_as_tokens(make, shift):
    # kills: weighing batches by examples, or counting the first token a causal model never predicts
    model = make()
    objective = Objective.from_batch_loss(model, _own_loss, _batches())
    assert float(objective.value()) == pytest.approx(_token_mean(model, shift=shift), rel=2e-6)
    assert objective.examples == 6


def test_tied_embeddings_are_one_set_of_coordinates():
    model = _gpt2()
    objective = Objective.from_batch_loss(model, _own_loss, _batches())
    assert objective.space.size == sum(p.numel() for p in model.parameters())
    assert objective.space.entry("lm_head.weight").name == "transformer.wte.weight"


def test_the_gradient_is_that_of_the_mean_over_tokens():
    # kills: adding the batches' gradients without their weights
    model = _gpt2().eval()
    objective = Objective.from_batch_loss(model, _own_loss, _batches())
    tokens = [int((b["labels"][:, 1:] != -100).sum()) for b in _batches()]
    pairs = zip(_batches(), tokens, strict=True)
    mean = sum(_own_loss(model, b) * n for b, n in pairs) / sum(tokens)
    expected = torch.autograd.grad(mean, list(model.parameters()))
    flat = torch.cat([g.reshape(-1) for g in expected])
    torch.testing.assert_close(objective.gradient(), flat, rtol=1e-4, atol=1e-7)


def test_losses_with_weights_are_taken_as_they_are():
    x, y = torch.randn(7, 3), torch.randn(7, 2)
    model = nn.Linear(3, 2)
    weight = torch.arange(1.0, 8.0)

    def pair(m, batch):
        a, b, w = batch
        return ((m(a) - b) ** 2).mean(1), w

    data = list(zip(x.split(3), y.split(3), weight.split(3), strict=True))
    objective = Objective.from_batch_loss(model, pair, data)
    each = ((model(x) - y) ** 2).mean(1).detach()
    expected = float((weight * each).sum() / weight.sum())
    assert float(objective.value()) == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(objective.losses(), each.double(), rtol=1e-5, atol=1e-7)


def test_a_mean_over_examples_weighs_by_examples():
    x, y = torch.randn(7, 3), torch.randn(7, 2)
    model = nn.Linear(3, 2)
    data = list(zip(x.split(3), y.split(3), strict=True))
    objective = Objective.from_batch_loss(model, lambda m, b: F.mse_loss(m(b[0]), b[1]), data)
    expected = float(F.mse_loss(model(x), y).detach())
    assert float(objective.value()) == pytest.approx(expected, rel=1e-6)


def test_a_loss_that_couples_examples_is_told():
    def contrast(m, batch):
        z = m(batch[0])
        return F.cross_entropy(z @ z.T, torch.arange(len(z)))

    data = [(torch.randn(n, 3),) for n in (4, 5)]
    with pytest.warns(TheodoliteWarning, match="do not combine"):
        Objective.from_batch_loss(nn.Linear(3, 2), contrast, data)


def test_a_model_output_in_place_of_a_loss_is_refused_with_the_fix():
    with pytest.raises(InvalidType, match=r"outputs\.loss"):
        Objective.from_batch_loss(_gpt2(), lambda m, b: m(**b), _batches())


def test_a_batch_loss_must_be_callable():
    with pytest.raises(InvalidArgument, match="callable"):
        Objective.from_batch_loss(_gpt2(), "loss", _batches())


def test_a_batch_whose_labels_are_all_ignored_does_not_count():
    data = [*_batches(), {**_batches()[1], "labels": torch.full((1, 5), -100)}]
    model = _gpt2()
    with_it = Objective.from_batch_loss(model, _own_loss, data)
    without = Objective.from_batch_loss(model, _own_loss, _batches())
    assert float(with_it.value()) == pytest.approx(float(without.value()), rel=1e-7)
    assert bool(torch.isfinite(with_it.gradient()).all())
