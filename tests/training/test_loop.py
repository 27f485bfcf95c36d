"""The trainer against recurrences done by hand in NumPy, and against itself."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from theodolite.datasets import Split, digits
from theodolite.errors import (
    InvalidData,
    InvalidType,
    NotFinite,
    TheodoliteWarning,
    UnsupportedModel,
)
from theodolite.models import cnn, mlp, transformer
from theodolite.results import DIVERGED, OK, TODO
from theodolite.training import Recipe, Run, Step, train

SMALL = digits(limit=100, flatten=True)


def _recipe(**changes: object) -> Recipe:
    basic = {"epochs": 2, "batch_size": 32, "learning_rate": 0.05, "data": SMALL}
    build = partial(mlp, (64, 12, 10), norm="batch")
    return Recipe(**{"model": build, **basic, **changes})


def _bytes(run: Run) -> bytes:
    return b"".join(v.numpy().tobytes() for v in run.model.state_dict().values())


def _linear_problem() -> tuple[Split, nn.Linear]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(7, 1, generator=generator, dtype=torch.float64)
    layer = nn.Linear(3, 1, bias=False).double()
    return Split((x, y), (x[:0], y[:0]), (x[:2], y[:2]), name="linear"), layer


def _gradient(x: np.ndarray, y: np.ndarray, w: np.ndarray, decay: float) -> np.ndarray:
    return 2 * x.T @ (x @ w - y) / len(y) + decay * w


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_follows_the_recurrence_of_momentum(nesterov: bool) -> None:
    # kills: a loss that is summed, a lost momentum, decay or schedule, gradients that add up
    data, layer = _linear_problem()
    recipe = Recipe(
        layer, data, loss="mse", momentum=0.8, weight_decay=0.1, nesterov=nesterov,
        epochs=5, batch_size=7, schedule="cosine", warmup=2, learning_rate=0.2,
    )  # fmt: skip
    run = train(recipe)
    x, y = (t.numpy() for t in data.train)
    w, v = layer.weight.detach().numpy().T.copy(), 0.0
    shares = [0.5, 1.0, *(0.5 * (1 + np.cos(np.pi * i / 3)) for i in range(3))]
    losses = [float(((x @ w - y) ** 2).mean())]
    for share in shares:
        g = _gradient(x, y, w, 0.1)
        v = 0.8 * v + g
        w = w - 0.2 * share * (g + 0.8 * v if nesterov else v)
        losses.append(float(((x @ w - y) ** 2).mean()))
    assert np.allclose(run.model.weight.detach().numpy().T, w, rtol=1e-12)
    assert np.allclose(run.history.loss, losses, rtol=1e-12)
    assert np.allclose(run.history.learning_rate[:5], 0.2 * np.array(shares), rtol=1e-12)
    assert "validation_loss" not in run.history
    assert "accuracy" not in run.history


def test_adam_follows_its_recurrence() -> None:
    # kills: AdamW in place of Adam, momentum passed as a beta
    data, layer = _linear_problem()
    recipe = Recipe(
        layer, data, loss="mse", optimizer="adam", weight_decay=0.1, epochs=4, batch_size=7,
        schedule="constant", learning_rate=0.1,
    )  # fmt: skip
    x, y = (t.numpy() for t in data.train)
    w, m, s = layer.weight.detach().numpy().T.copy(), 0.0, 0.0
    for t in range(1, 5):
        g = _gradient(x, y, w, 0.1)
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g**2
        w = w - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)
    assert np.allclose(train(recipe).model.weight.detach().numpy().T, w, rtol=1e-10)


def test_an_epoch_sees_every_example_once_in_even_batches_and_a_new_order() -> None:
    # kills: a dropped or tiny last batch, the same order every epoch
    seen: list[list[int]] = []

    class Recorder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(x[:, 0].long().tolist())
            return x * 0 + self.w

    x = torch.arange(33.0).unsqueeze(1)
    data = Split((x, x), (x[:0], x[:0]), (x[:0], x[:0]), name="count")
    run = train(Recipe(Recorder, data, loss="mse", epochs=2, batch_size=16))
    assert [len(s) for s in seen] == [11] * 6
    epochs = [[i for batch in half for i in batch] for half in (seen[:3], seen[3:])]
    assert [sorted(e) for e in epochs] == [list(range(33))] * 2
    assert epochs[0] != epochs[1]
    assert run.history.step.values.tolist() == [0, 3, 6]


@pytest.mark.parametrize("model", ["mlp", "cnn", "transformer"])
def test_the_same_recipe_gives_the_same_bytes_whatever_the_caller_did(model: str) -> None:
    # kills: an unseeded initialization, order or dropout; the caller's default dtype leaking in
    build = {
        "mlp": partial(mlp, (64, 12, 10)),
        "cnn": partial(cnn, (4,)),
        "transformer": partial(transformer, 64, width=8, heads=2, depth=1, dropout=0.2),
    }[model]
    data = digits(limit=60)
    recipe = Recipe(build, data, epochs=2, batch_size=20)
    first = train(recipe)
    torch.manual_seed(99)
    np.random.seed(99)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu"):
            second = train(recipe, progress=lambda done, total: torch.manual_seed(done))
    finally:
        torch.set_default_dtype(torch.float32)
    assert _bytes(first) == _bytes(second)
    assert first.history.equals(second.history)


def test_seeds_decide_the_start_and_order_seeds_the_rest() -> None:
    # kills: one stream for initialization and order
    base, other = train(_recipe()), train(_recipe(order_seed=7))
    assert base.history.loss[0] == other.history.loss[0]
    assert _bytes(base) != _bytes(other)
    assert train(_recipe(seed=1)).history.loss[0] != base.history.loss[0]
    assert _bytes(train(_recipe(order_seed=0))) == _bytes(base)


def test_the_caller_is_left_as_found_also_after_an_error() -> None:
    # kills: torch.manual_seed outside the guard, deterministic mode left on, a module trained
    model = mlp((64, 12, 10)).eval()
    before = [p.clone() for p in model.parameters()]

    def state() -> tuple[object, ...]:
        return (
            torch.get_rng_state().numpy().tobytes(),
            np.random.get_state()[1].tobytes(),
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            model.training,
            [p.grad for p in model.parameters()],
        )

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with torch.no_grad():
        found = state()
        run = train(_recipe(model=model))
        assert state() == found
        with pytest.raises(KeyboardInterrupt):
            train(_recipe(model=model), progress=interrupt)
        assert state() == found
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert not torch.equal(run.model[1].weight, model[1].weight)
    assert not run.model.training
    assert all(p.grad is None for p in run.model.parameters())


def test_models_may_draw_from_random_and_numpy_too() -> None:
    # kills: seeding torch alone
    def build() -> nn.Module:
        net = mlp((64, 12, 10))
        with torch.no_grad():
            net[1].bias.fill_(random.random() + np.random.rand())
        return net

    random.seed(1)
    first = train(_recipe(model=build, epochs=0))
    random.seed(2)
    np.random.seed(2)
    assert _bytes(first) == _bytes(train(_recipe(model=build, epochs=0)))


def test_scores_are_those_of_the_whole_set_in_eval_mode() -> None:
    # kills: scores in train mode, means of batch means, smoothing in the recorded loss
    run = train(_recipe(label_smoothing=0.2, data=digits(flatten=True), epochs=1))
    for part, prefix in (("train", ""), ("validation", "validation_"), ("test", "test_")):
        x, y = run.recipe.data.parts()[part]
        with torch.no_grad():
            losses = nn.functional.cross_entropy(run.model(x).double(), y, reduction="none")
            hits = (run.model(x).argmax(1) == y).double()
        for name, values in (("loss", losses), ("accuracy", hits)):
            mean, error = run.history[prefix + name][1], run.history[f"{prefix}{name}_error"][1]
            assert float(mean) == pytest.approx(float(values.mean()), rel=1e-6)
            expected = float(values.std()) / len(y) ** 0.5
            assert float(error) == pytest.approx(expected, rel=1e-5)


def test_a_divergence_is_told_from_an_epoch_not_computed() -> None:
    # kills: training on with NaN weights, NaN passed off as done
    with pytest.warns(TheodoliteWarning, match=r"diverged at epoch \d"):
        run = train(_recipe(model=partial(mlp, (64, 12, 10)), learning_rate=1e30, epochs=4))
    assert run.diverged is not None
    status = run.history.status.values.tolist()
    ended = run.diverged.epoch + 1
    assert status == [OK] * ended + [DIVERGED] + [TODO] * (4 - ended)
    assert np.isnan(run.history.loss[ended + 1 :]).all()
    assert np.isfinite(run.history.loss[:ended]).all()


def test_what_cannot_be_trained_is_refused_by_name() -> None:
    frozen = mlp((64, 10)).requires_grad_(False)
    with pytest.raises(UnsupportedModel, match="no trainable parameter"):
        train(_recipe(model=frozen))
    with pytest.raises(InvalidType, match=r"must build an nn.Module; got int"):
        train(_recipe(model=lambda: 3))
    x, y = SMALL.train
    with pytest.raises(NotFinite, match="loss before training is nan"):
        train(_recipe(data=replace(SMALL, train=(x * torch.nan, y))))
    with pytest.raises(InvalidData, match=r"needs outputs \(example, class\) and integer labels"):
        train(_recipe(data=Split((x, x), (x, x), (x, x), name="a")))
    with pytest.raises(InvalidData, match=r"loss must return one value an example"):
        train(_recipe(loss=lambda outputs, targets: outputs.sum()))
    with pytest.raises(InvalidData, match="mse needs outputs and targets of one shape"):
        train(_recipe(loss="mse", data=Split((x, x[:, 0]), (x, y), (x, y), name="a")))
    with pytest.raises(InvalidData, match="labels must lie between 0 and 8; got 9"):
        train(_recipe(model=partial(mlp, (64, 9))))


def test_progress_counts_optimizer_steps() -> None:
    calls: list[tuple[int, int]] = []
    train(_recipe(), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]


def test_history_says_how_it_was_made() -> None:
    run = train(_recipe(epochs=0))
    facts = run.history.attrs
    assert facts["quantity"] == "training"
    assert facts["model"] == "mlp((64, 12, 10), norm='batch')"
    assert (facts["params"], facts["seed"], facts["steps_per_epoch"]) == (934, 0, 4)
    assert SMALL.fingerprint in facts["data"]
    assert all(v.attrs["long_name"] for v in run.history.data_vars.values())


def test_steps_tell_epochs_from_iterations() -> None:
    assert Step.at(epoch=3, per_epoch=4) == Step(12, 4) < Step(13, 4)
    assert (Step(13, 4).epoch, Step(13, 4).within) == (3, 1)
    with pytest.raises(ValueError, match="per_epoch at least 1; got 3 and 0"):
        Step(3, 0)
