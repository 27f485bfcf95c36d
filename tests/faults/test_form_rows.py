"""Rows O09, O10, O11, O17: forms of losses, batches and outputs, and numbers that are none."""

from __future__ import annotations

from collections import UserDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import theodolite as td
from faults.rows import N, X, Y, check_named, net
from theodolite.errors import (
    InvalidData,
    InvalidType,
    NotFinite,
    TheodoliteError,
    TheodoliteWarning,
    UnsupportedModel,
)

CE = nn.CrossEntropyLoss()
NAN = float("nan")


def _reference(model: nn.Module, x: Tensor = X) -> float:
    return float(F.cross_entropy(model(x), Y).detach())


def _squares(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return (model(batch[0]) ** 2).mean(1)


NO_LOSSES = {
    "fewer weights": (lambda m, b: (_squares(m, b), torch.ones(2)), "E-O35"),
    "one weight": (lambda m, b: (_squares(m, b), 1.0), "E-O35"),
    "weights that are NaN": (lambda m, b: (_squares(m, b), NAN * torch.ones(len(b[1]))), "E-O36"),
    "counts": (lambda m, b: m(b[0]).argmax(1) == b[1], "E-O33"),
    "complex": (lambda m, b: (m(b[0]) + 0j).mean(), "E-O33"),
    "nothing": (lambda m, b: None, "E-O33"),
    "a mistake": (lambda m, b: b["labels"], "E-O42"),
}


@pytest.mark.parametrize("row", NO_LOSSES)
def test_o09_losses_over_batches_that_are_none_are_named(row):
    # kills: raw errors of shapes and types from inside the package
    loss, code = NO_LOSSES[row]
    with pytest.raises(TheodoliteError) as caught:
        td.Objective.from_batch_loss(net(), loss, (X, Y), batch_size=4)
    check_named(caught.value, code)


@pytest.mark.parametrize(
    "loss", [lambda o, t: o.argmax(1) != t, lambda o, t: (o + 0j).mean(1)], ids=["count", "complex"]
)
def test_o09_losses_without_a_real_value_are_named(loss):
    # kills: the imaginary part dropped without a word
    with pytest.raises(InvalidType) as caught:
        td.Objective(net(), loss, (X, Y))
    check_named(caught.value, "E-O31")


def test_o09_targets_outside_zero_and_one_are_named():
    # kills: labels -1 and 1 in a binary loss that has no lower bound then
    with pytest.raises(InvalidData, match="lower bound") as caught:
        td.Objective(net(1), nn.BCEWithLogitsLoss(), (X, 2.0 * (Y[:, None] > 0) - 1))
    check_named(caught.value, "E-O09")


def test_o09_a_loss_that_couples_examples_is_told():
    # kills: a contrastive loss taken for one by example without a word
    def contrast(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs @ outputs.T, torch.arange(len(outputs)), reduction="none")

    with pytest.warns(TheodoliteWarning, match="E-O43"):
        td.Objective(net(), contrast, (X, Y))


def test_o10_a_number_that_is_none_in_the_data_is_named():
    # kills: the cause looked for in the parameters only
    x = X.clone()
    x[4, 1] = NAN
    with pytest.raises(NotFinite, match=r"data of batch 2 .*E-O10") as caught:
        td.Objective(net(), CE, (x, Y), batch_size=3)
    check_named(caught.value, "E-O11")


@pytest.mark.parametrize("kind", ["ignored", "class weight"])
def test_o10_in_an_example_that_does_not_count(kind):
    # kills: NaN times a weight of zero in the value; a gradient of NaN handed out without a word
    out = torch.arange(N) == 4 if kind == "ignored" else Y == 0
    x = torch.where(out[:, None], NAN, X)
    y = torch.where(out, -100, Y) if kind == "ignored" else Y
    weight = None if kind == "ignored" else torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    objective = td.Objective(net(), nn.CrossEntropyLoss(weight=weight), (x, y), batch_size=3)
    expected = float(F.cross_entropy(net()(X[~out]), Y[~out]).detach())
    assert float(objective.value()) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(NotFinite, match=r"E-O10") as caught:
        objective.gradient()
    check_named(caught.value, "E-O45")
    for operator in (td.hessian, td.ggn):
        with pytest.raises(NotFinite):
            operator(objective).matvec(torch.ones(objective.space.size, dtype=torch.float64))


class _Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.abs().sqrt() * x[:, :3]


def test_o11_a_finite_loss_without_gradient():
    # kills: a gradient of NaN handed out; a survey that dies of its first failed group
    objective = td.Objective(_Root(), nn.MSELoss(), (X, X[:, :3]))
    with pytest.raises(NotFinite, match="'w'") as caught:
        objective.gradient()
    check_named(caught.value, "E-O45")
    assert td.certify(objective).attrs["verdict"] == "uncertified"
    tree = td.survey(objective, measures=["spectrum"])
    assert float(tree["start"]["loss"][0]) == float(objective.value())
    assert "E-D09" in tree.attrs["failures"] or "NaN" in tree.attrs["failures"]


@pytest.mark.parametrize("kind", ["parameter", "loss"])
def test_o11_a_start_that_is_not_finite_is_named(kind):
    # kills: a landscape around NaN
    model = net()
    if kind == "parameter":
        with torch.no_grad():
            model[2].bias[1] = NAN
    loss = CE if kind == "parameter" else lambda o, t: -torch.log(0 * o[:, 0].abs())
    with pytest.raises(NotFinite) as caught:
        td.Objective(model, loss, (X, Y))
    check_named(caught.value, "E-O11")


@dataclass
class _Record:
    logits: Tensor


Two = namedtuple("Two", "logits auxiliary")


class _Returning(nn.Module):
    def __init__(self, form) -> None:
        super().__init__()
        self.net, self.form = net(), form

    def forward(self, input: Tensor, mask: Tensor | None = None) -> object:
        return self.form(self.net(input))


OUTPUTS = {
    "tuple": lambda s: (s, 2 * s),
    "tuple with the loss first": lambda s: (s.mean(), s),
    "named tuple": lambda s: Two(s, 2 * s),
    "dict of one": lambda s: {"scores": s},
    "dict with logits last": lambda s: {"auxiliary": 2 * s, "logits": s},
    "record": _Record,
}


@pytest.mark.parametrize("form", OUTPUTS)
def test_o17_outputs_of_every_form_are_the_same_objective(form):
    # kills: the first entry although another is called logits; records that no tree function knows
    objective = td.Objective(_Returning(OUTPUTS[form]), CE, (X, Y), batch_size=4)
    plain = td.Objective(net(), CE, (X, Y), batch_size=4)
    v = torch.ones(plain.space.size, dtype=torch.float64)
    assert float(objective.value()) == pytest.approx(_reference(net()), rel=1e-12)
    assert objective.metrics()["accuracy"] == plain.metrics()["accuracy"]
    torch.testing.assert_close(objective.gradient(), plain.gradient())
    for operator in (td.hessian, td.ggn):
        torch.testing.assert_close(operator(objective).matvec(v), operator(plain).matvec(v))


def test_o17_a_choice_among_outputs_is_told():
    # kills: the first of several entries taken without a word
    model = _Returning(lambda s: {"features": 2 * s, "classes": s})
    with pytest.warns(TheodoliteWarning, match="'features'.*E-O37"):
        td.Objective(model, CE, (X, Y))


BATCHES = {
    "dict": [{"input": X, "labels": Y}],
    "mapping": [UserDict(input=X, label=Y)],
    "dict with nothing in it": [{"input": X, "mask": None, "labels": Y}],
    "pair of dict and labels": [({"input": X}, Y)],
    "three": [(X, torch.ones(N), Y)],
    "one whole dict": {"input": X, "labels": Y},
    "dict of another name": [{"image": X, "y": Y}],
}


@pytest.mark.parametrize("form", BATCHES)
def test_o17_batches_of_every_form_are_the_same_objective(form):
    # kills: an entry that is no tensor sliced with the rest
    objective = td.Objective(_Returning(lambda s: s), CE, BATCHES[form])
    assert float(objective.value()) == pytest.approx(_reference(net()), rel=1e-12)


def test_o17_what_is_no_tensor_goes_along_whole():
    data = {"input": X, "labels": Y, "name": "a", "power": 2, "scale": torch.tensor(3.0).double()}

    def loss(model: nn.Module, batch: dict) -> Tensor:
        assert batch["name"] == "a"
        scores = batch["scale"] * model(batch["input"]) ** batch["power"]
        return F.cross_entropy(scores, batch["labels"], reduction="none")

    objective = td.Objective.from_batch_loss(net(), loss, data, batch_size=4)
    expected = F.cross_entropy(3 * net()(X) ** 2, Y).detach()
    assert float(objective.value()) == pytest.approx(float(expected), rel=1e-12)


class _Writing(nn.Module):
    """Normalizes its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.sub_(0.5).div_(2.0))


def _popping(model: nn.Module, batch: dict) -> Tensor:
    batch["x"].sub_(0.5).div_(2.0)
    return F.cross_entropy(model(batch["x"]), batch.pop("labels"))


@pytest.mark.parametrize("policy", ["frozen", "recompute"])
@pytest.mark.parametrize("form", ["model", "loss"])
def test_o17_inputs_that_are_written_to_stay_as_they_are(form, policy):
    # kills: handing the caller's own tensors and dicts to the model
    x, y = X.clone(), Y.clone()
    if form == "model":
        objective = td.Objective(_Writing(), CE, (x, y), batch_size=4, batch_norm=policy)
    else:
        data = [{"x": x, "labels": y}]
        objective = td.Objective.from_batch_loss(net(), _popping, data, batch_norm=policy)
        assert set(data[0]) == {"x", "labels"}
    expected = _reference(net(), (X - 0.5) / 2)
    for _ in range(2):
        assert float(objective.value()) == pytest.approx(expected, rel=1e-12)
    line = td.line(objective, td.random_directions(objective, count=1)[0], steps=3)
    assert float(line.loss[1]) == pytest.approx(expected, rel=1e-12)
    assert torch.equal(x, X)
    assert torch.equal(y, Y)


def test_o17_targets_that_are_written_to_are_named():
    # kills: labels rewritten in the caller's tensor
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        targets[targets == 2] = -100
        return F.cross_entropy(outputs, targets, reduction="none")

    y = Y.clone()
    with pytest.raises(UnsupportedModel) as caught:
        td.Objective(net(), loss, (X, y))
    check_named(caught.value, "E-O44")
    assert torch.equal(y, Y)
