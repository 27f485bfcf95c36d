"""Distances between functions. Oracles: scikit-learn, SciPy, and answers written by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import cohen_kappa_score
from torch import nn

import theodolite as td
from connectivity.paths import classes, double_well, normalized
from theodolite.connectivity.functions import _measures
from theodolite.connectivity.resampling import resampled
from theodolite.errors import InvalidArgument

EXAMPLES, CLASSES = 40, 3


def tables(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of two functions on the same examples, mostly right, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (EXAMPLES,), generator=generator)
    shared, *own = torch.randn(3, EXAMPLES, CLASSES, generator=generator, dtype=torch.float64)
    right = 1.5 * nn.functional.one_hot(labels, CLASSES)
    return right + shared + own[0], right + shared - own[1], labels


def looked_up(labels: torch.Tensor) -> td.Objective:
    """An objective whose point is the table of logits, an example a column."""
    model = nn.Linear(EXAMPLES, CLASSES, bias=False).double()
    return td.Objective(model, nn.CrossEntropyLoss(), (torch.eye(EXAMPLES).double(), labels))


def test_every_number_is_that_of_other_libraries():
    # kills: a logarithm of another base, a square root, chance left out of kappa, the better
    # accuracy for the mean, probabilities averaged as logits
    a, b, labels = tables()
    found = td.function_distance(looked_up(labels), a.T.reshape(-1), b.T.reshape(-1))
    p, q = a.softmax(1).numpy(), b.softmax(1).numpy()
    own, other, y = p.argmax(1), q.argmax(1), labels.numpy()
    right = (own == y).mean(), (other == y).mean()
    assert float(found.disagreement) == pytest.approx((own != other).mean())
    assert float(found.normalized_disagreement) == pytest.approx(
        (own != other).mean() / (1 - np.mean(right))
    )
    divergence = np.mean([jensenshannon(x, z) ** 2 for x, z in zip(p, q, strict=True)])
    assert float(found.jensen_shannon) == pytest.approx(divergence)
    assert float(found.error_overlap) == pytest.approx(cohen_kappa_score(own == y, other == y))
    together = ((p + q).argmax(1) == y).mean()
    assert float(found.ensemble_gain) == pytest.approx(together - np.mean(right))
    assert (float(found.accuracy_a), float(found.accuracy_b)) == pytest.approx(right)
    for name in ("disagreement", "jensen_shannon", "error_overlap", "accuracy_b"):
        low, high = float(found[f"{name}_low"]), float(found[f"{name}_high"])
        assert low < float(found[name]) < high


def test_intervals_of_kappa_hold_as_often_as_they_say():
    # kills: columns resampled apart. Two of 0.8 accuracy that are both right with probability 0.7.
    generator, held = np.random.default_rng(0), []
    kappa = (0.7 + 0.1 - 0.68) / (1 - 0.68)
    for seed in range(200):
        kind = generator.choice(4, 300, p=[0.7, 0.1, 0.1, 0.1])
        a, b = np.isin(kind, (0, 1)), np.isin(kind, (0, 2))
        rows = np.stack([a != b, np.zeros(300), a, b, a, a == b]).astype(np.float64)
        how = {"design": None, "level": 0.9, "resamples": 200}
        low, high = resampled(
            rows, np.ones(300), _measures, 7, rng=np.random.default_rng(seed), **how
        )
        held.append(low[3] <= kappa <= high[3])
    assert abs(np.mean(held) - 0.9) <= 4 * (0.09 / 200) ** 0.5


def test_a_function_does_not_differ_from_itself_with_its_neurons_in_another_order():
    # kills: weights compared for answers, features paired by their place
    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).double()
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes())
    other = copy.deepcopy(model)
    order = torch.tensor([3, 1, 0, 5, 2, 4])
    with torch.no_grad():
        other[0].weight.copy_(model[0].weight[order])
        other[0].bias.copy_(model[0].bias[order])
        other[2].weight.copy_(model[2].weight[:, order])
    found = td.function_distance(
        objective, model.state_dict(), other.state_dict(), layers=["1", "2"]
    )
    assert float(found.disagreement) == 0.0
    assert float(found.jensen_shannon) == pytest.approx(0.0, abs=1e-15)
    assert found.cka.values == pytest.approx([1.0, 1.0], abs=1e-12)
    assert found.cka_biased.values == pytest.approx([1.0, 1.0], abs=1e-12)
    assert found.layer.values.tolist() == ["1", "2"]
    assert found.attrs["distance"] > 0.1


def test_ignored_labels_do_not_count_and_places_of_a_sequence_do():
    # kills: classes and places exchanged, ignored labels counted, a mean of means
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(8, 5, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (8, 4), generator=generator)
    y[0, 1:] = y[3, :2] = -100
    model = nn.Conv1d(5, 3, 1).double()
    loss = nn.CrossEntropyLoss()
    objective = td.Objective(model, loss, [(x[:3], y[:3]), (x[3:], y[3:])])
    b = objective.start + torch.randn(18, generator=generator, dtype=torch.float64)
    found = td.function_distance(objective, objective.start, b)
    other = copy.deepcopy(model)
    torch.nn.utils.vector_to_parameters(b, other.parameters())
    with torch.no_grad():
        own, different = model(x).argmax(1), other(x).argmax(1)
    counted = y != -100
    assert float(found.disagreement) == pytest.approx(
        float((own != different)[counted].double().mean())
    )
    assert float(found.accuracy_b) == pytest.approx(objective.metrics(b)["accuracy"])


@pytest.mark.parametrize("policy", ["frozen", "recompute"])
def test_answers_are_those_of_the_objective_with_its_batch_norm(policy):
    # kills: statistics of the other end or of the model for those asked for
    x, y = classes(60)
    base = td.Objective(normalized(), nn.CrossEntropyLoss(), [(x[:25], y[:25]), (x[25:], y[25:])])
    objective = base.with_batch_norm(policy)
    states = [normalized(k).state_dict() for k in (1, 2)]
    for k, state in enumerate(states):
        state["1.running_mean"] += 2.0 * (1 - 2 * k)
    found = td.function_distance(objective, *states, layers="1")
    line = td.barrier(objective, *states, steps=3, refine=0, resamples=9)
    assert float(found.accuracy_a) == pytest.approx(float(line.accuracy[0]))
    assert float(found.accuracy_b) == pytest.approx(float(line.accuracy[-1]))


def test_the_model_is_as_before():
    model = normalized().train()
    objective = td.Objective(model, nn.CrossEntropyLoss(), classes())
    before = copy.deepcopy(model.state_dict())
    b = objective.start + 0.1
    td.function_distance(objective, objective.start, b, layers=["0"], resamples=9)
    with pytest.raises(InvalidArgument):
        td.function_distance(objective, objective.start, b, layers=["3", "none"])
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert model.training
    assert not any(m._forward_hooks for m in model.modules())


def test_what_cannot_be_compared_is_refused():
    well = double_well()
    with pytest.raises(InvalidArgument, match="no class labels") as refused:
        td.function_distance(well, well.start, well.start)
    assert refused.value.code == "E-A10"

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x))

    twice = td.Objective(Twice().double(), nn.CrossEntropyLoss(), classes())
    with pytest.raises(InvalidArgument, match="used 2 times"):
        td.function_distance(twice, twice.start, twice.start, layers=["layer"])
    with pytest.raises(InvalidArgument, match="no layer 'head'"):
        td.function_distance(twice, twice.start, twice.start, layers=["head"])
