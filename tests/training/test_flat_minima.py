"""Recipes with SAM, full-batch descent and averaging: by hand, interrupted, counted, compared.

Oracles: recurrences in NumPy, the plain optimizer at radius 0, the mean of the checkpoints, the
number of examples seen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from theodolite.datasets import Split, digits
from theodolite.errors import InvalidArgument, RunMismatch, TheodoliteWarning
from theodolite.models import mlp, transformer
from theodolite.training import (
    SWAG,
    Recipe,
    Recorder,
    Run,
    lasting,
    load_state,
    recompute_batch_norm,
    train,
)

SMALL = digits(limit=100, flatten=True)


def _recipe(**changes: object) -> Recipe:
    basic = {"epochs": 4, "batch_size": 32, "learning_rate": 0.05, "data": SMALL}
    return Recipe(**{"model": partial(mlp, (64, 12, 10), norm="batch"), **basic, **changes})


def _same(a: Run, b: Run) -> bool:
    pairs = [(a.model, b.model), (a.last, b.last)]
    equal = [
        torch.equal(v, two.state_dict()[k])
        for one, two in pairs
        for k, v in one.state_dict().items()
    ]
    return a.history.equals(b.history) and all(equal)


def _linear_problem() -> tuple[Split, nn.Linear]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    y = torch.randn(8, 1, generator=generator, dtype=torch.float64)
    layer = nn.Linear(3, 1, bias=False).double()
    return Split((x, y), (x[:0], y[:0]), (x[:2], y[:2]), name="linear"), layer


@pytest.mark.parametrize("eta", [None, 0.05])
def test_sam_follows_its_recurrence(eta: float | None) -> None:
    # kills: rho or eta not passed on, momentum outside the base, decay in the ascent
    data, layer = _linear_problem()
    recipe = Recipe(
        layer, data, loss="mse", optimizer="sam" if eta is None else "asam", rho=0.3,
        eta=0.05, momentum=0.8, weight_decay=0.1, epochs=4, batch_size=8, schedule="constant",
        learning_rate=0.1,
    )  # fmt: skip
    x, y = (t.numpy() for t in data.train)
    w, v = layer.weight.detach().numpy().T.copy(), 0.0
    for _ in range(4):
        g = 2 * x.T @ (x @ w - y) / 8
        t = 1 if eta is None else np.abs(w) + eta
        up = w + 0.3 * t * t * g / np.linalg.norm(t * g)
        v = 0.8 * v + 2 * x.T @ (x @ up - y) / 8 + 0.1 * w
        w = w - 0.1 * v
    assert np.allclose(train(recipe).model.weight.detach().numpy().T, w, rtol=1e-12)


def test_micro_batches_have_weights_by_their_size() -> None:
    # kills: uneven parts that count alike, one ascent for the whole batch
    data, layer = _linear_problem()
    recipe = Recipe(
        layer, data, loss="mse", optimizer="sam", rho=0.3, micro_batches=3, momentum=0,
        epochs=1, batch_size=8, schedule="constant", learning_rate=0.1,
    )  # fmt: skip
    seen: list[Tensor] = []

    class Watched(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                seen.append(x.clone())
            return super().forward(x)

    watched = Watched(3, 1, bias=False).double()
    watched.load_state_dict(layer.state_dict())
    run = train(replace(recipe, model=watched))
    parts = [x.numpy() for x in seen if len(x) != 8][::2]
    assert [len(p) for p in parts] == [3, 3, 2]
    x, y = (t.numpy() for t in data.train)
    w = layer.weight.detach().numpy().T
    total = np.zeros_like(w)
    for part in parts:
        rows = [int(np.flatnonzero((x == row).all(1))[0]) for row in part]
        a, b = x[rows], y[rows]
        g = 2 * a.T @ (a @ w - b) / len(a)
        up = w + 0.3 * g / np.linalg.norm(g)
        total += len(a) / 8 * 2 * a.T @ (a @ up - b) / len(a)
    assert np.allclose(run.model.weight.detach().numpy().T, w - 0.1 * total, rtol=1e-10)


@pytest.mark.parametrize("base", ["sgd", "adam"])
def test_radius_zero_trains_to_the_bits_of_the_base(base: str) -> None:
    # kills: dropout drawn anew in the second pass, statistics moved twice, another order
    build = partial(transformer, 64, width=8, heads=2, depth=1, dropout=0.3)
    for model, data in ((build, digits(limit=40)), (_recipe().model, SMALL)):
        recipe = Recipe(model, data, epochs=2, batch_size=20, learning_rate=0.01, optimizer=base)
        sharp = replace(recipe, optimizer="sam", base_optimizer=base, rho=0.0)
        plain, other = train(recipe), train(sharp)
        ours, theirs = plain.model.state_dict(), other.model.state_dict()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
        assert np.array_equal(plain.history.loss, other.history.loss)


def test_full_batch_descent_sees_everything_at_once() -> None:
    # kills: gd in batches
    one = train(_recipe(optimizer="gd", batch_size=7))
    other = train(_recipe(batch_size=100))
    assert _same(one, other)
    assert one.history.step.values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"optimizer": "gd"},
        {"optimizer": "sam"},
        {"optimizer": "sam", "micro_batches": 4},
    ],
)
def test_gradients_are_counted_as_they_are_taken(changes: dict[str, object]) -> None:
    # kills: SAM counted once, parts of a batch counted as batches
    examples = [0]

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                examples[0] += len(x)
            return super().forward(x)

    recipe = _recipe(model=lambda: Counting(64, 10), epochs=2, **changes)
    history = train(recipe).history
    assert int(history.example_gradients[-1]) == examples[0]
    passes = 2 if recipe.optimizer == "sam" else 1
    steps = 2 if recipe.optimizer == "gd" else 2 * 4
    assert int(history.gradient_evaluations[-1]) == passes * steps
    assert int(history.step[-1]) == steps


def test_budgets_are_whole_epochs() -> None:
    # kills: SAM at the price of SGD
    sgd, sam, gd = (_recipe(optimizer=o) for o in ("sgd", "sam", "gd"))
    assert [lasting(r, updates=16).epochs for r in (sgd, sam, gd)] == [4, 4, 16]
    assert [lasting(r, gradient_evaluations=16).epochs for r in (sgd, sam, gd)] == [4, 2, 16]
    assert [lasting(r, example_gradients=800).epochs for r in (sgd, sam, gd)] == [8, 4, 8]
    with pytest.raises(InvalidArgument, match=r"multiple of 8, .* got 20.*\n.*\nFix: use 16 or 24"):
        lasting(sam, gradient_evaluations=20)
    with pytest.raises(InvalidArgument, match=r"give one of updates, .* got 2"):
        lasting(sam, updates=4, example_gradients=4)


def test_swa_of_a_recipe_is_the_mean_of_its_checkpoints(tmp_path: Path) -> None:
    # kills: a start off by an epoch, statistics of the last weights, last and averaged swapped
    run = train(_recipe(averaging="swa", schedule="constant"), checkpoints=tmp_path)
    files = [load_state(path) for path in run.checkpoints[2:]]
    for name, value in run.model.named_parameters():
        mean = torch.stack([f[name] for f in files]).mean(0)
        assert torch.allclose(value, mean, atol=1e-6)
        assert torch.equal(run.last.get_parameter(name), files[-1][name])
    expected = copy.deepcopy(run.model)
    recompute_batch_norm(expected, [SMALL.train[0]])
    x, y = SMALL.train
    with torch.no_grad():
        assert torch.allclose(run.model(x), expected(x), atol=1e-5)
        loss = nn.functional.cross_entropy(run.model(x), y)
    assert float(run.history.averaged_loss[-1]) == pytest.approx(float(loss), rel=1e-5)
    assert np.isnan(run.history.averaged_loss[:2]).all()
    assert np.isfinite(run.history.averaged_test_accuracy[2:]).all()
    plain = train(_recipe(schedule="constant"))
    assert np.array_equal(plain.history.loss, run.history.loss)
    assert plain.last is plain.model


def test_ema_of_a_recipe_weighs_every_step() -> None:
    # kills: one point an epoch, a start off by one
    points: list[Tensor] = []

    def watch(model: nn.Module) -> Callable[[int], None]:
        return lambda step: points.append(model[1].weight.detach().clone())

    run = train(_recipe(averaging="ema", averaging_decay=0.8), callbacks=[watch])
    mean = points[7]  # after 8 of 16 steps
    for point in points[8:]:
        mean = 0.8 * mean + 0.2 * point
    assert torch.allclose(run.model[1].weight, mean, atol=1e-6)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sam", "averaging": "swa", "averaging_start": 0},
        {"optimizer": "asam", "base_optimizer": "adam", "learning_rate": 0.01},
        {"optimizer": "sam", "micro_batches": 2, "averaging": "ema"},
    ],
)
@pytest.mark.parametrize("step", [3, 9, 14])
def test_stopped_at_any_step_it_continues_to_the_same_bits(
    step: int, changes: dict[str, object], tmp_path: Path
) -> None:
    # kills: an average, a base's state or a callback's left out of the checkpoint
    recipe, swag = _recipe(**changes), partial(SWAG, rank=3)
    whole = train(recipe, callbacks=[swag])

    def progress(done: int, total: int) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, progress=progress, checkpoints=tmp_path, callbacks=[swag])
    resumed = train(recipe, checkpoints=tmp_path, callbacks=[swag])
    assert _same(resumed, whole)
    assert torch.equal(*(r.callbacks[0].sample_theta(1) for r in (whole, resumed)))
    again = train(recipe, checkpoints=tmp_path, callbacks=[swag])
    assert _same(again, whole)
    with pytest.raises(RunMismatch, match=r"with \d callbacks, .* got"):
        train(recipe, checkpoints=tmp_path)


def test_folders_of_earlier_versions_are_continued(tmp_path: Path) -> None:
    # kills: new fields that make every old folder another recipe's
    import json

    recipe = _recipe(epochs=1)
    first = train(recipe, checkpoints=tmp_path)
    content = json.loads((tmp_path / "recipe.json").read_text())
    for name in [k for k in content["recipe"] if k.startswith("averaging")]:
        del content["recipe"][name]
    for name in ("rho", "eta", "base_optimizer", "micro_batches"):
        del content["recipe"][name]
    (tmp_path / "recipe.json").write_text(json.dumps(content))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["callbacks"]
    torch.save(state, tmp_path / "state.pt")
    assert _same(train(recipe, checkpoints=tmp_path), first)
    with pytest.raises(RunMismatch, match="averaging is 'swa' and was 'none'"):
        train(replace(recipe, averaging="swa"), checkpoints=tmp_path)


def test_callbacks_see_every_update_and_may_not_leave_eval_mode_behind(tmp_path: Path) -> None:
    # kills: a callback's eval mode that the next update trains in
    def judge(model: nn.Module) -> Callable[[int], None]:
        return lambda step: model.eval()

    recorder = partial(Recorder, tmp_path, every=8)
    run = train(_recipe(), callbacks=[judge, recorder])
    assert _same(run, train(_recipe()))
    assert run.callbacks[1].read(tmp_path).steps == (8, 16)


def test_a_loss_uphill_that_is_not_finite_ends_the_training() -> None:
    # kills: weights left uphill, a divergence seen a step later or raised at the user
    with pytest.warns(TheodoliteWarning, match="diverged at epoch 0"):
        run = train(_recipe(optimizer="sam", rho=1e38, model=partial(mlp, (64, 12, 10))))
    assert run.diverged.iteration == 0
    start = train(_recipe(epochs=0, model=partial(mlp, (64, 12, 10)))).model.state_dict()
    assert all(torch.equal(v, start[k]) for k, v in run.model.state_dict().items())
