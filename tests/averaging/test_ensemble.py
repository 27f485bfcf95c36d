"""Ensembles. Oracle: mean probabilities written out, Jensen's inequality, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import theodolite as td
from averaging.nets import bowl, fitted, perceptron, shifted
from connectivity.paths import at, classes
from theodolite.errors import InvalidArgument, InvalidType, UnsupportedModel

DATA = classes(40)
NETS = [perceptron(k) for k in range(3)]


def mean_log(x: torch.Tensor, shares: list[float]) -> torch.Tensor:
    """Logarithms of the mean probabilities."""
    return torch.log(sum(w * n(x).detach().softmax(1) for w, n in zip(shares, NETS, strict=True)))


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]).double(), label_smoothing=0.2),
        nn.CrossEntropyLoss(ignore_index=1),
        lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="none"),
    ],
    ids=["plain", "weighted", "ignored", "function"],
)
def test_the_loss_is_that_of_the_mean_probabilities(loss):
    # kills: mean logits, unequal shares ignored, class weights or ignored labels lost
    objective = td.Objective(NETS[0], loss, DATA)
    found = td.ensemble(objective, [n.state_dict() for n in NETS], weights=[1, 2, 1])
    logs = mean_log(DATA[0], [0.25, 0.5, 0.25])
    value = loss(logs, DATA[1]).detach()
    expected = float(value.mean())
    assert float(found.loss.sel(network="ensemble")) == pytest.approx(expected, rel=1e-12)
    counted = DATA[1] != getattr(loss, "ignore_index", -100)
    wrong = (logs.argmax(1) != DATA[1])[counted].double().mean()
    assert float(found.error.sel(network="ensemble")) == pytest.approx(float(wrong))
    answers = [n(DATA[0]).argmax(1)[counted] for n in NETS]
    pairs = [(0, 1), (0, 2), (1, 2)]
    differ = np.mean([float((answers[i] != answers[j]).double().mean()) for i, j in pairs])
    assert float(found.disagreement) == pytest.approx(differ)


def test_binary_outputs_are_averaged_as_probabilities():
    x, y = DATA[0], DATA[1].double()[:, None]
    nets = [nn.Linear(3, 1).double() for _ in range(2)]
    objective = td.Objective(nets[0], nn.BCEWithLogitsLoss(), (x, y))
    found = td.ensemble(objective, [n.state_dict() for n in nets])
    mean = 0.5 * sum(n(x).detach().sigmoid() for n in nets)
    expected = F.binary_cross_entropy(mean, y).item()
    assert float(found.loss.sel(network="ensemble")) == pytest.approx(expected, rel=1e-12)


def test_probabilities_near_zero_stay_finite():
    # kills: the logarithm of a mean that has underflown
    objective = td.Objective(nn.Linear(3, 2).double(), nn.CrossEntropyLoss(), DATA)
    steep = torch.zeros(8).double()
    steep[:6] = torch.tensor([900.0, 900.0, 900.0, -900.0, -900.0, -900.0])
    found = td.ensemble(objective, [steep, 2 * steep])
    assert np.isfinite(found.loss.values).all()
    assert float(found.loss.sel(network="ensemble")) > 100


def test_sequences_are_counted_by_their_labeled_places():
    # kills: padding answered, places weighed by example
    class Places(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.table(x).movedim(-1, 1)

    torch.manual_seed(0)
    nets = [Places().double() for _ in range(2)]
    x, y = torch.randint(0, 6, (7, 5)), torch.randint(0, 4, (7, 5))
    y[torch.rand(7, 5) < 0.4] = -100
    objective = td.Objective(nets[0], nn.CrossEntropyLoss(), (x, y))
    found = td.ensemble(objective, [n.state_dict() for n in nets])
    logs, kept = torch.log(0.5 * sum(n(x).detach().softmax(1) for n in nets)), y != -100
    expected = F.cross_entropy(logs, y).item()
    assert float(found.loss.sel(network="ensemble")) == pytest.approx(expected, rel=1e-12)
    differ = (nets[0](x).argmax(1) != nets[1](x).argmax(1))[kept].double().mean()
    assert float(found.disagreement) == pytest.approx(float(differ))
    wrong = (logs.argmax(1) != y)[kept].double().mean()
    assert float(found.error.sel(network="ensemble")) == pytest.approx(float(wrong))


def test_uneven_batches_change_nothing():
    # kills: totals kept under another batch's number
    from averaging.nets import uneven

    states = [n.state_dict() for n in NETS]
    one, many = (
        td.ensemble(td.Objective(NETS[0], nn.CrossEntropyLoss(), data), states)
        for data in (DATA, uneven(DATA, 17, 17, 6))
    )
    for name in one.data_vars:
        assert np.allclose(one[name], many[name], rtol=0, atol=1e-12), name


def test_the_gain_is_never_positive_and_paired():
    # kills: unpaired intervals, which would be as wide as those of the losses
    data = classes(200)
    nets = [fitted(k, data, 20) for k in range(3)]
    objective = td.Objective(nets[0], nn.CrossEntropyLoss(), data)
    found = td.ensemble(objective, [n.state_dict() for n in nets])
    one = found.sel(network="ensemble")
    assert float(one.loss_change) <= float(one.loss_change_high) <= 0
    width = float(one.loss_change_high - one.loss_change_low)
    assert width < 0.3 * float(one.loss_high - one.loss_low)
    same = td.ensemble(objective, [nets[0].state_dict()] * 2)
    assert float(abs(same.loss_change).max()) < 1e-12
    assert float(same.disagreement) == 0.0


def test_intervals_of_the_gain_cover_the_truth():
    # kills: intervals of a single network's loss, or without the members' mean
    # gain = -(d^2) E x^2 for members w0 + d and w0 - d, and x is standard normal
    inside = 0
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(60, 1, generator=generator, dtype=torch.float64)
        found = td.ensemble(bowl(inputs=x, to=1.0), [at(1.5), at(0.1)], resamples=300, seed=seed)
        one = found.sel(network="ensemble")
        inside += float(one.loss_change_low) <= -(0.7**2) <= float(one.loss_change_high)
    assert 90 <= inside <= 99


def test_draws_of_swag_are_members():
    net = shifted()
    swag = td.training.SWAG(net, rank=2)
    for step in range(4):
        with torch.no_grad():
            net.first.weight += 0.01 * (step + 1)
        swag(step)
    objective = td.Objective(net, nn.CrossEntropyLoss(), DATA)
    found = td.ensemble(objective, [swag.sample_theta(k).to(torch.float64) for k in range(3)])
    drawn = swag.sample_network(1, [DATA[0]])
    loss = F.cross_entropy(drawn(DATA[0]), DATA[1]).item()
    assert float(found.loss[1]) == pytest.approx(loss, rel=1e-12)


def test_models_that_keep_their_outputs_are_refused_and_averaged_without():
    net = perceptron()
    objective = td.Objective.from_batch_loss(
        net, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]), DATA
    )
    points = [net.state_dict(), net.state_dict()]
    with pytest.raises(UnsupportedModel, match="computes its own loss"):
        td.ensemble(objective, points)
    found = td.average(objective, points, steps=3, refine=0)
    assert list(found.network.values) == ["0", "1", "average"]
    assert found.attrs["combined"].startswith("nothing")


def test_ensembles_of_one_size_are_compared():
    # kills: a difference from another ensemble, gains from the wrong members
    sets = {"first": [NETS[0], NETS[1]], "second": [NETS[1], NETS[2]]}
    objective = td.Objective(NETS[0], nn.CrossEntropyLoss(), DATA)
    states = {k: [n.state_dict() for n in v] for k, v in sets.items()}
    found = td.compare_ensembles(objective, states, test=objective)
    for name in sets:
        one, alone = found.sel(ensemble=name), td.ensemble(objective, states[name])
        for kind in ("loss", "error"):
            whole = float(alone[kind].sel(network="ensemble"))
            assert float(one[kind]) == pytest.approx(whole, abs=1e-14)
            assert float(one[f"{kind}_members"]) == pytest.approx(float(alone[kind][:2].mean()))
            gain = float(alone[f"{kind}_change"].sel(network="ensemble"))
            assert float(one[f"test_{kind}_gain"]) == pytest.approx(gain, abs=1e-14)
        assert float(one.disagreement) == pytest.approx(float(alone.disagreement))
    gap = float(found.loss[1] - found.loss[0])
    assert found.loss_difference.values == pytest.approx([0.0, gap], abs=1e-14)
    for wrong in ({"a": states["first"]}, {"a": states["first"], "b": states["first"][:1]}):
        with pytest.raises(InvalidArgument, match="as many members each"):
            td.compare_ensembles(objective, wrong)


def test_members_along_a_curve_are_its_points():
    # kills: places of the straight line; a curve of the wrong family
    objective = td.Objective(NETS[0], nn.CrossEntropyLoss(), DATA)
    a, b = NETS[0].state_dict(), NETS[1].state_dict()
    first, last = (objective.space.flatten(s) for s in (a, b))
    bent = td.curve(objective, a, b, steps=16, places=5, refine=0)
    points = td.curve_members(objective, bent, a, b, 5)
    w = torch.from_numpy(bent.control_points.values[0])
    for t, point in zip(np.linspace(0, 1, 5), points, strict=True):
        made = (1 - t) ** 2 * first + 2 * t * (1 - t) * w + t**2 * last
        assert torch.allclose(point, made, rtol=0, atol=1e-14)
    losses = td.ensemble(objective, points).loss.values[:5]
    assert np.allclose(losses, bent.loss, rtol=0, atol=1e-12)
    with pytest.raises(InvalidType, match=r"result of td.curve"):
        td.curve_members(objective, td.barrier(objective, a, b, steps=3), a, b, 3)
    small = td.curve(bowl(), at(0.0), at(1.0), steps=8, places=3, learning_rate=1e-3)
    with pytest.raises(InvalidArgument, match="1 parameters and the model"):
        td.curve_members(objective, small, a, b, 3)
