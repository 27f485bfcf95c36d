"""Rows O01 to O11 of the fault catalogue: data and losses, against plain torch on one batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import theodolite as td
from faults.rows import N, X, Y, check_named, net
from theodolite.errors import (
    InvalidArgument,
    InvalidData,
    NotDeterministic,
    TheodoliteWarning,
)
from theodolite.objective import intake

T = torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
CE = nn.CrossEntropyLoss()


def _reference(model: nn.Module, x: Tensor = X, y: Tensor = Y) -> float:
    return float(F.cross_entropy(model(x), y).detach())


@pytest.mark.parametrize("budget", [1 << 30, 0], ids=["kept", "streamed"])
def test_o01_a_shuffled_loader_gives_the_number_of_the_data(budget):
    # kills: inputs and targets paired across batches, sums in the order of the batches' means
    loader = DataLoader(TensorDataset(X, Y), batch_size=2, shuffle=True)
    model = net()
    objective = td.Objective(model, CE, loader, data_budget=budget)
    for _ in range(3):
        assert float(objective.value()) == pytest.approx(_reference(model), rel=1e-12)


class _Noise(nn.Module):
    """Adds noise of a given kind to every output, in evaluation mode too."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.net, self.size = net(), size

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.size * torch.randn(3, dtype=x.dtype)


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_o02_noise_in_forward_is_named(size):
    # kills: a second pass from the same random state as the first; a tolerance wide as the noise
    with pytest.raises(NotDeterministic) as caught:
        td.Objective(_Noise(size), CE, (X, Y))
    check_named(caught.value, "E-O02")


class _Augmented(Dataset):
    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return X[i] + 0.01 * torch.randn(4, dtype=torch.float64), Y[i]


def test_o02_augmentation_is_named_and_freezing_it_is_exact():
    # kills: freeze_data that reads the data anew at every pass
    with pytest.raises(NotDeterministic, match="freeze_data=True") as caught:
        td.Objective(net(), CE, _Augmented())
    check_named(caught.value, "E-O02")
    frozen = td.Objective(net(), CE, _Augmented(), freeze_data=True)
    assert float(frozen.value()) == float(frozen.value())


@pytest.mark.parametrize("make", [td.Objective, td.Objective.from_batch_loss])
def test_o03_a_short_last_batch_weighs_by_its_examples(make):
    # kills: a mean of batch means, in the value, the gradient or the products
    model, data = net(), list(zip(X.split(4), Y.split(4), strict=True))
    loss = CE if make is td.Objective else lambda m, b: F.cross_entropy(m(b[0]), b[1])
    objective = make(model, loss, data)
    assert [len(x) for x, _ in data] == [4, 4, 1]
    own = F.cross_entropy(model(X), Y)
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(own, parameters, create_graph=True)
    product = torch.autograd.grad(sum(g.sum() for g in gradient), parameters)
    flat = torch.cat([g.reshape(-1) for g in gradient]).detach()
    assert float(objective.value()) == pytest.approx(float(own.detach()), rel=1e-12)
    torch.testing.assert_close(objective.gradient(), flat, rtol=1e-10, atol=1e-13)
    ones = torch.ones_like(flat)
    expected = torch.cat([h.reshape(-1) for h in product])
    torch.testing.assert_close(td.hessian(objective).matvec(ones), expected)


class _OneShot:
    """No iterator by its type, and empty at the second reading all the same."""

    def __init__(self) -> None:
        self.kept = iter([(X, Y)])

    def __iter__(self):
        return self.kept


class _Refilled:
    """Yields the same tensors every time, filled anew."""

    def __iter__(self):
        x, y = torch.empty(3, 4, dtype=torch.float64), torch.empty(3, dtype=torch.long)
        for start in range(0, N, 3):
            x.copy_(X[start : start + 3])
            y.copy_(Y[start : start + 3])
            yield x, y


class _RefilledStream(IterableDataset):
    def __iter__(self):
        return iter(_Refilled())


def test_o04_one_reading_is_named_or_kept():
    # kills: a second reading that is empty taken for the data
    with pytest.raises(NotDeterministic) as caught:
        td.Objective(net(), CE, _OneShot())
    check_named(caught.value, "E-O02")
    frozen = td.Objective(net(), CE, _OneShot(), freeze_data=True)
    assert float(frozen.value()) == pytest.approx(_reference(net()), rel=1e-12)


@pytest.mark.parametrize(
    "data",
    [_Refilled(), iter(_Refilled()), DataLoader(_RefilledStream(), batch_size=None)],
    ids=["iterable", "generator", "loader"],
)
def test_o04_a_loader_that_refills_its_buffers(data):
    # kills: keeping the loader's own memory, so that all batches become the last one
    objective = td.Objective(net(), CE, data, freeze_data=True)
    assert float(objective.value()) == pytest.approx(_reference(net()), rel=1e-12)


class _Endless(IterableDataset):
    read = 0

    def __iter__(self):
        while True:
            type(self).read += 1
            yield X[0], Y[0]


def test_o05_an_endless_stream_is_given_up_soon(monkeypatch):
    # kills: 100,000 batches, which are minutes and gigabytes for images; frozen data kept forever
    assert intake.MOST_BATCHES <= 10_000
    monkeypatch.setattr(intake, "MOST_BATCHES", 50)
    _Endless.read = 0
    with pytest.raises(InvalidArgument, match="limit=N") as caught:
        td.Objective(net(), CE, _Endless(), batch_size=1, freeze_data=True)
    check_named(caught.value, "E-O05")
    assert _Endless.read <= 51
    assert td.Objective(net(), CE, _Endless(), limit=7).examples == 7


class _Unmeasured(Dataset):
    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return X[i], Y[i]


class _Missing(_Augmented):
    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        raise KeyError(f"no file {i}")


ABSENT = {
    "O06 empty": ([], "E-O06"),
    "O06 no length": (_Unmeasured(), "E-O26"),
    "O06 unreadable": (_Missing(), "E-O25"),
    "O07 only empty batches": ([(X[:0], Y[:0])], "E-O06"),
    "O08 all ignored": ((X, torch.full((N,), -100)), "E-O08"),
    "O17 dict of unequal lengths": ({"input": X, "labels": Y[:3]}, "E-O24"),
}


@pytest.mark.parametrize("row", ABSENT)
def test_o06_to_o08_data_without_examples_are_named(row):
    # kills: raw errors of samplers and datasets
    data, code = ABSENT[row]
    with pytest.raises(InvalidData) as caught:
        td.Objective(net(), CE, data)
    check_named(caught.value, code)


def test_o07_o08_parts_that_do_not_count_change_nothing():
    # kills: NaN times zero weight, in the value or in the gradient
    model, ignored = net(), torch.where(torch.arange(N) < 3, -100, Y)
    data = [(X[:0], Y[:0]), *zip(X.split(3), ignored.split(3), strict=True)]
    objective = td.Objective(model, CE, data)
    assert float(objective.value()) == pytest.approx(_reference(model, X[3:], Y[3:]), rel=1e-12)
    rest = td.Objective(model, CE, (X[3:], Y[3:]))
    torch.testing.assert_close(objective.gradient(), rest.gradient())


LABELS = {
    "negative": Y - 1,
    "too large": Y + 1,
    "float": Y.double(),
    "column": Y[:, None],
    "one-hot integers": F.one_hot(Y, 3),
    "32 bit": Y.int(),
    "boolean": Y > 0,
}


@pytest.mark.parametrize("labels", LABELS)
def test_o09_labels_that_are_none_are_named(labels):
    # kills: torch's own text, and the advice to pass dtype= for labels of 32 bits
    with pytest.raises(InvalidData) as caught:
        td.Objective(net(), CE, (X, LABELS[labels]))
    check_named(caught.value, "E-O09")


class _OwnSquare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.reduction = "mean"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        squares = (outputs - targets) ** 2
        return squares if self.reduction == "none" else squares.mean()


SQUARES = {
    "torch module": nn.MSELoss(),
    "torch function": F.mse_loss,
    "own function": lambda o, t: (o - t) ** 2,
    "own mean": lambda o, t: ((o - t) ** 2).mean(1),
    "own module": _OwnSquare(),
}


@pytest.mark.parametrize("loss", SQUARES)
@pytest.mark.parametrize("n", [2, 3, N])
def test_o09_a_silent_broadcast_is_named_for_every_kind_of_loss(loss, n):
    # kills: checking shapes for torch's own modules only; a probe that is a batch of everything
    with pytest.raises(InvalidData, match="broadcast") as caught:
        td.Objective(net(1), SQUARES[loss], (X[:n], T[:n]))
    check_named(caught.value, "E-O09")


@pytest.mark.parametrize("loss", SQUARES)
def test_o09_matching_shapes_are_right_for_every_kind_of_loss(loss):
    # kills: refusing every loss with targets of another shape
    model = net(1)
    objective = td.Objective(model, SQUARES[loss], (X, T[:, None]), batch_size=4)
    expected = F.mse_loss(model(X), T[:, None]).detach()
    assert float(objective.value()) == pytest.approx(float(expected), rel=1e-12)


OVER_BATCHES = {
    "a mean": lambda m, b: ((m(b[0]) - b[1]) ** 2).mean(),
    "by example": lambda m, b: (m(b[0]) - b[1]) ** 2,
    "with weights": lambda m, b: ((m(b[0]) - b[1]) ** 2, torch.ones(len(b[1]), len(b[1]))),
}


@pytest.mark.parametrize("loss", OVER_BATCHES)
def test_o09_a_broadcast_inside_a_loss_over_batches_is_told(loss):
    # kills: proving only losses that are one number a batch
    data = [(X[:4], T[:4]), (X[4:], T[4:])]
    with pytest.warns(TheodoliteWarning, match="E-O34"):
        td.Objective.from_batch_loss(net(1), OVER_BATCHES[loss], data)
