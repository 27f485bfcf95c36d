"""Norms of gradients in whole networks. Oracle: every gradient formed, one by one."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import theodolite as td
from engines.example_models import trained_statistics
from faults.state import caller_state, changes
from faults.subjects import FORWARDS, Boom, Touchy, objective
from theodolite.noise.moments import moments, shares_of


def formed(model: nn.Module, losses: list[Tensor]) -> Tensor:
    """Squared norms of the gradients of these losses."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    norms = []
    for loss in losses:
        pieces = torch.autograd.grad(loss, parameters, materialize_grads=True)
        norms.append(sum(p.square().sum() for p in pieces))
    return torch.stack(norms)


def pictures(examples: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(examples, 1, 8, 8, generator=g, dtype=torch.float64)
    return x, torch.randint(4, (examples,), generator=g)


def test_a_residual_network_with_frozen_batch_norm():
    # kills: BatchNorm's own statistics taken from the batch, a skip connection missed
    torch.manual_seed(0)
    model = td.models.resnet(8, width=4, classes=4)
    model = trained_statistics(model).double().eval()
    x, y = pictures(6)
    found = td.example_gradient_norms(td.Objective(model, nn.CrossEntropyLoss(), (x, y)))
    each = [F.cross_entropy(model(x[k : k + 1]), y[k : k + 1]) for k in range(6)]
    expected = formed(model, each).detach().numpy()
    assert found.squared_norm.sum("tensor").values == pytest.approx(expected, rel=1e-10)
    assert found.attrs["ways"] == f'{{"ghost": {len(found.tensor)}}}'


class Transformer(nn.Module):
    """Embeddings tied to the last layer, attention of torch, and a loss of its own."""

    def __init__(self, length: int = 6, words: int = 9, width: int = 8) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(
            width, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.out.weight = self.words.weight

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=torch.float64)
        h = self.layer(self.words(x) + self.places, src_mask=mask, is_causal=True)
        return F.cross_entropy(self.out(self.norm(h)).flatten(0, 1), labels.flatten())


def sequences() -> list[dict[str, Tensor]]:
    """Batches with labels of -100 in some places, unequal in number."""
    g = torch.Generator().manual_seed(1)
    x, labels = torch.randint(9, (7, 6), generator=g), torch.randint(9, (7, 6), generator=g)
    labels[torch.rand(7, 6, generator=g) < 0.3] = -100
    return [{"x": x[:4], "labels": labels[:4]}, {"x": x[4:], "labels": labels[4:]}]


def tied() -> tuple[Transformer, Any]:
    torch.manual_seed(0)
    model = Transformer().double().eval()
    return model, td.Objective.from_batch_loss(model, lambda m, b: m(**b), sequences())


def test_a_transformer_that_gives_only_the_mean_over_the_tokens_of_a_batch():
    # kills: tied weights counted apart, tokens' weights taken for examples', a batch for one
    model, whole = tied()
    found = td.example_gradient_norms(whole)
    rows = [
        (b["x"][k : k + 1], b["labels"][k : k + 1]) for b in sequences() for k in range(len(b["x"]))
    ]
    expected = formed(model, [model(x, y) for x, y in rows]).detach().numpy()
    assert found.squared_norm.sum("tensor").values == pytest.approx(expected, rel=1e-9)
    ways = dict(zip(found.tensor.values.tolist(), found.way.values.tolist(), strict=True))
    assert set(ways.values()) == {"vmap"}  # attention needs it, and then one pass is less
    tokens = torch.tensor([float((y != -100).sum()) for _, y in rows]).double()
    assert shares_of(whole) == pytest.approx(tokens / tokens.sum())
    simple = td.gradient_noise_scale(whole, curvature=False)
    assert float(simple.gradient_norm_squared) == pytest.approx(
        float(whole.gradient().square().sum())
    )


def by_sequence(model: Transformer, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The mean loss of every sequence, and its number of tokens that count."""
    rows = [(batch["x"][k : k + 1], batch["labels"][k : k + 1]) for k in range(len(batch["x"]))]
    counts = torch.tensor([float((y != -100).sum()) for _, y in rows]).double()
    return torch.stack([model(x, y) for x, y in rows]), counts


@pytest.mark.parametrize("population", ["data", "distribution"])
def test_the_weighted_scale_of_a_model_that_gives_only_means(population: str):
    # kills: NaN for such models, a batch's gradient for that of each of its examples, factors of
    # the next batch; the oracle is the same model with a loss for every sequence
    model, means = tied()
    apart = td.Objective.from_batch_loss(model, by_sequence, sequences())
    found, expected = (
        td.gradient_noise_scale(o, population=population, looked=8, engine="kept")
        for o in (means, apart)
    )
    for name in expected.data_vars:
        assert float(found[name]) == pytest.approx(float(expected[name]), rel=1e-6), name
    assert np.isfinite(float(found.hessian_covariance_trace))
    assert found.attrs["hessian_weighted_reason"] == expected.attrs["hessian_weighted_reason"]
    own, other = (td.noise_spectrum(o, count=1).eigenvalue.values for o in (means, apart))
    assert own == pytest.approx(other, rel=1e-4)


def test_examples_that_do_not_count_have_no_gradient():
    # kills: NaN times zero, ignored tokens with a gradient
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 5)).double()
    g = torch.Generator().manual_seed(2)
    x, y = torch.randint(7, (5, 3), generator=g), torch.randint(5, (5, 3), generator=g)
    y[0], y[1, 0] = -100, -100
    problem = td.Objective(
        model, lambda o, t: F.cross_entropy(o.mT, t, reduction="none").mean(1), (x, y.clamp(min=0))
    )
    assert (td.example_gradient_norms(problem).squared_norm.sum("tensor") > 0).all()
    masked = td.Objective(nn.Sequential(model, Turned()), nn.CrossEntropyLoss(), (x, y))
    found = moments(masked, masked.start)
    expected = [F.cross_entropy(model(x[k : k + 1]).mT, y[k : k + 1]) for k in range(1, 5)]
    assert float(found.squares[0].sum()) == 0
    assert found.squares[1:].sum(1) == pytest.approx(formed(model, expected).detach())


class Turned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mT


CALLS = {
    "norms": lambda o: td.example_gradient_norms(o),
    "one by one": lambda o: td.example_gradient_norms(o, method="loop"),
    "scale": lambda o: td.gradient_noise_scale(o),
    "sample": lambda o: td.gradient_noise_scale(o, population="distribution", looked=8),
    "batches": lambda o: td.batch_gradient_norms(o, batch_size=2, draws=2),
}


@pytest.mark.parametrize("call", CALLS)
def test_nothing_of_the_callers_changes(call):
    # kills: hooks left behind, modes, generators, buffers; also where the model fails on the way
    FORWARDS.reset()
    model = Touchy()
    CALLS[call](objective(model))
    gc.collect()
    made, before = objective(model), caller_state(model)
    FORWARDS.reset()
    CALLS[call](made)
    passes = FORWARDS.count
    assert changes(before, model) == []
    for fail_at in (2, passes) if call == "norms" else (passes // 2,):
        FORWARDS.reset(fail_at)
        with pytest.raises(Boom):
            CALLS[call](made)
        FORWARDS.reset()
        assert changes(before, model) == []
