"""Other ways to evaluate points.

Oracle: the plain evaluation; batches cut by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.objective.arrangement import chunked, separable, subset
from theodolite.surfaces import planning
from theodolite.surfaces.evaluations import PLAIN, Evaluation, parsed
from theodolite.surfaces.evaluators import prepared
from theodolite.surfaces.first_layer import first_layers
from theodolite.surfaces.sweep import scattered_walk, swept

X, Y = torch.randn(45, 2, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(45) % 3
PLACES = [(-0.5, 0.25), (0.0, 0.0), (0.3, -0.7)]


class Branches(nn.Module):
    """Two layers see the data, one of them with frozen weights; a third is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.frozen = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1, bias=False)
        self.norm, self.twice = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1)
        self.last = nn.Linear(4, 3)
        self.frozen.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.norm(self.seen(x)) + self.frozen(x))
        return self.last(self.twice(self.twice(x)).mean((2, 3)))


def objective(**settings: object) -> td.Objective:
    torch.manual_seed(0)
    model = Branches()
    model.norm.running_mean.normal_()
    return td.Objective(model, nn.CrossEntropyLoss(), (X, Y), batch_size=20, **settings)


def losses(made: td.Objective, evaluation: Evaluation) -> np.ndarray:
    axes = td.random_directions(made, normalize="model")
    evaluator = prepared(made, made.start, axes, evaluation)
    walk = scattered_walk(made.start, axes, PLACES)
    return np.array(swept(made, made.start, walk, lambda: None, evaluator)["loss"])


WAYS = ["chunks of 7", "channels last", "first layer", "chunks of 7, channels last, first layer"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch_norm", ["frozen", "recompute"])
def test_every_way_gives_the_plain_losses(way, batch_norm):
    # kills: batches dropped or counted twice; a direction's outputs with its bias left out;
    # coordinates of the point before; a frozen layer that moves
    made = objective(batch_norm=batch_norm, dtype=torch.float64)
    assert np.allclose(losses(made, parsed(way)), losses(made, PLAIN), rtol=1e-11, atol=0)


def test_the_layers_that_see_only_the_data_are_found():
    # kills: a layer that sees another's outputs, or is reached twice, taken for a first one
    made = objective()
    axes = td.random_directions(made, normalize="model")
    found = made.guarded(lambda: first_layers(made, made.start, list(axes)))
    assert set(found.outputs) == {"seen", "frozen"}
    assert all(set(table) == {0, 1, 2} for table in found.outputs.values())
    assert (found.outputs["frozen"][0][1] == 0).all()


def test_layers_too_large_to_keep_are_computed(monkeypatch):
    monkeypatch.setattr("theodolite.surfaces.first_layer.BUDGET", 10)
    made = objective()
    axes = td.random_directions(made)
    assert not made.guarded(lambda: first_layers(made, made.start, list(axes))).outputs


def test_the_model_is_as_it_was_after_layers_were_replaced():
    # kills: a ``forward`` left on a module; hooks left behind
    made = objective()
    before = [
        (n, set(m.__dict__), len(m._forward_pre_hooks)) for n, m in made.model.named_modules()
    ]
    losses(made, parsed("first layer, chunks of 7"))
    after = [(n, set(m.__dict__), len(m._forward_pre_hooks)) for n, m in made.model.named_modules()]
    assert before == after


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's compiler, on import
def test_a_compiled_model_gives_the_plain_losses():
    # kills: compiled code that keeps the weights of its first point
    made = objective()
    assert np.allclose(losses(made, Evaluation(compiled=True)), losses(made, PLAIN), rtol=1e-5)


def test_chunks_keep_order_and_number():
    made = chunked(objective(), 7)
    assert [b.examples for b in made.data] == [7, 6, 7, 7, 6, 7, 5]
    assert torch.equal(torch.cat([b.inputs[0] for b in made.data]), X)
    assert np.isclose(float(made.value()), float(objective().value()), rtol=1e-6)


def test_a_subset_is_the_examples_named():
    # kills: places counted within a batch; another order
    made = subset(objective(), [40, 3, 21])
    (batch,) = made.data
    assert torch.equal(batch.inputs[0], X[[3, 21, 40]])
    assert torch.allclose(made.losses(), objective().losses()[[3, 21, 40]], rtol=1e-5)


def test_batches_that_belong_together_are_not_cut():
    by_batch = td.Objective.from_batch_loss(
        objective().model, lambda m, b: m(b[0]).square().mean(), [(X, Y)]
    )
    assert not separable(by_batch)
    assert not separable(objective(mode="train"))
    assert separable(objective())


def test_names_are_read_back():
    for way in (*WAYS, "plain", "bfloat16, compiled, 2 threads"):
        assert parsed(parsed(way).name) == parsed(way)


@pytest.mark.parametrize("name", ["fast", "chunks of 0", "plain, compiled", "", "-1 threads"])
def test_names_that_mean_nothing_are_refused(name):
    with pytest.raises(InvalidArgument, match="evaluation must be"):
        td.plane(objective(), td.random_directions(objective()), evaluation=name)


def test_the_planner_keeps_what_is_faster_and_agrees(monkeypatch):
    # kills: the last candidate kept; one that is faster and wrong
    speeds = {"plain": 1.0, "chunks of 32": 0.5, "chunks of 32, channels last": 0.6}
    wrong = "chunks of 32, first layer"

    def clock(made, base, axes, places, evaluation, truth):
        speed = 0.1 if evaluation.name == wrong else speeds.get(evaluation.name, 9.0)
        return planning.Candidate(evaluation, speed, 0.5 if evaluation.name == wrong else 0.0)

    monkeypatch.setattr(planning, "timed", clock)
    made = td.Objective(objective().model, nn.CrossEntropyLoss(), (X, Y))
    axes = td.random_directions(made)
    chosen, tried = planning.planned(made, made.start, axes, (1.0, 1.0), passes=100.0)
    assert chosen.name == "chunks of 32"
    assert wrong in [c.evaluation.name for c in tried]


def test_a_candidate_that_fails_is_not_kept():
    made = objective()
    axes = td.random_directions(made)
    broken = Evaluation(threads=-1)
    found = planning.timed(made, made.start, axes, PLACES, broken, [1.0])
    assert found.seconds == np.inf


def test_short_work_is_evaluated_plainly_and_says_so():
    made = objective()
    plane = td.plane(made, td.random_directions(made), steps=(4, 3), method="dense")
    assert plane.attrs["evaluation"] == "plain"
