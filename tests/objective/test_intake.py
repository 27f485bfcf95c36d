"""Every form of data gives the same objective; what defines none is refused by name."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from theodolite import Objective
from theodolite.errors import InvalidArgument, InvalidData, InvalidType, NotDeterministic, NotFinite
from theodolite.objective.content import ContentHash

N = 23


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 6, dtype=torch.float64, generator=generator)
    return x, torch.randint(3, (N,), generator=generator)


def _net() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


class _Two(nn.Module):
    """Takes two inputs by position or name and returns a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _net()

    def forward(self, left, right):
        return {"logits": self.net(torch.cat([left, right], 1))}


class _Pairs(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        x, y = _data()
        return x[i], y[i]


class _Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(*_data(), strict=True))


Pair = namedtuple("Pair", "image label")
X, Y = _data()
FORMS = {
    "tensors": (X, Y),
    "list of tensors": [X, Y],
    "dataset": TensorDataset(X, Y),
    "custom dataset": _Pairs(),
    "iterable dataset": _Stream(),
    "loader": DataLoader(TensorDataset(X, Y), batch_size=5),
    "shuffled loader": DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True),
    "list of tuples": list(zip(X.split(7), Y.split(7), strict=True)),
    "list of lists": [list(p) for p in zip(X.split(7), Y.split(7), strict=True)],
    "named tuples": [Pair(*p) for p in zip(X.split(7), Y.split(7), strict=True)],
    "list of dicts": [{"x": a, "label": b} for a, b in zip(X.split(7), Y.split(7), strict=True)],
    "one dict": {"x": X, "labels": Y},
    "empty batch among others": [(X, Y), (X[:0], Y[:0])],
    "loader with workers": DataLoader(TensorDataset(X, Y), batch_size=9, num_workers=1),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_is_the_same_objective(form):
    # kills: equal weight for a short last batch; order-dependent pairing of inputs and targets
    model = _net()
    expected = nn.functional.cross_entropy(model(X), Y).detach()
    objective = Objective(model, nn.CrossEntropyLoss(), FORMS[form])
    torch.testing.assert_close(objective.value(), expected, rtol=1e-12, atol=0)
    assert objective.examples == N


TWO = {
    "tuple": [(X[:, :2], X[:, 2:], Y)],
    "nested tuple": ((X[:, :2], X[:, 2:]), Y),
    "mapping": ({"left": X[:, :2], "right": X[:, 2:]}, Y),
    "dict batch": [{"right": X[:, 2:], "left": X[:, :2], "targets": Y}],
}


@pytest.mark.parametrize("form", TWO)
def test_several_inputs_and_dict_outputs(form):
    model = _Two()
    expected = nn.functional.cross_entropy(model.net(X), Y).detach()
    value = Objective(model, nn.CrossEntropyLoss(), TWO[form], batch_size=4).value()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_data_beyond_the_budget_are_read_anew_and_give_the_same_numbers():
    model, loader = _net(), DataLoader(TensorDataset(X, Y), batch_size=5)
    kept = Objective(model, nn.CrossEntropyLoss(), loader)
    streamed = Objective(model, nn.CrossEntropyLoss(), loader, data_budget=100)
    assert kept.data.kept is not None
    assert streamed.data.kept is None
    assert float(kept.value()) == float(streamed.value())
    torch.testing.assert_close(kept.gradient(), streamed.gradient())


def test_streamed_shuffled_data_agree_within_rounding():
    loader = DataLoader(TensorDataset(X, Y), batch_size=5, shuffle=True)
    streamed = Objective(_net(), nn.CrossEntropyLoss(), loader, data_budget=0)
    a, b = float(streamed.value()), float(streamed.value())
    assert a == pytest.approx(b, rel=1e-12)


class _Noisy(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return X[i] + 1e-3 * torch.randn(6, dtype=torch.float64), Y[i]


UNSTEADY = {
    "random augmentation": lambda: DataLoader(_Noisy(), batch_size=5),
    "augmented dataset": _Noisy,
    "shuffle with drop_last": lambda: DataLoader(
        TensorDataset(X, Y), batch_size=5, shuffle=True, drop_last=True
    ),
    "sampling with replacement": lambda: DataLoader(
        TensorDataset(X, Y), sampler=torch.utils.data.RandomSampler(X, replacement=True)
    ),
}


@pytest.mark.parametrize("case", UNSTEADY)
def test_data_that_differ_between_readings_are_refused_unless_frozen(case):
    # kills: hashing only shapes or only the first batch
    with pytest.raises(NotDeterministic, match="freeze_data=True"):
        Objective(_net(), nn.CrossEntropyLoss(), UNSTEADY[case]())
    frozen = Objective(_net(), nn.CrossEntropyLoss(), UNSTEADY[case](), freeze_data=True)
    assert float(frozen.value()) == float(frozen.value())


class _Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield X[0], Y[0]


REFUSED = {
    "empty list": ([], InvalidData, "E-O06"),
    "empty loader": (DataLoader(TensorDataset(X[:0], Y[:0])), InvalidData, "E-O06"),
    "empty tensors": ((X[:0], Y[:0]), InvalidData, "E-O06"),
    "iterator": (iter([(X, Y)]), InvalidData, "one-shot"),
    "generator": (((X, Y) for _ in range(2)), InvalidData, "one-shot"),
    "one tensor": (X, InvalidType, "E-O23"),
    "a number": (3, InvalidType, "E-O23"),
    "unequal lengths": ((X, Y[:-1]), InvalidData, "E-O24"),
    "inputs alone": ([(X,)], InvalidData, "E-O21"),
    "dict without targets": ([{"x": X}], InvalidData, "E-O22"),
    "no tensors": ([("a", "b")], InvalidData, "E-O20"),
    "wrong width": ((X[:, :3], Y), InvalidData, "E-O42"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_define_no_objective_are_refused_by_name(case):
    data, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        Objective(_net(), nn.CrossEntropyLoss(), data)


def test_an_endless_stream_is_refused_and_a_limit_makes_it_finite():
    loader = DataLoader(_Endless(), batch_size=4)
    with pytest.raises(InvalidArgument, match="limit=N"):
        Objective(_net(), nn.CrossEntropyLoss(), loader, data_budget=2000)
    assert Objective(_net(), nn.CrossEntropyLoss(), loader, limit=10).examples == 10


def test_non_finite_inputs_are_named():
    x = X.clone()
    x[9, 2] = float("nan")
    with pytest.raises(NotFinite, match="data of batch 2"):
        Objective(_net(), nn.CrossEntropyLoss(), (x, Y), batch_size=5)


def test_a_non_finite_parameter_is_named():
    model = _net()
    with torch.no_grad():
        model[2].bias[1] = float("nan")
    with pytest.raises(NotFinite, match=r"'2\.bias'"):
        Objective(model, nn.CrossEntropyLoss(), (X, Y))


def test_limit_takes_one_fixed_sample():
    a, b = (Objective(_net(), nn.CrossEntropyLoss(), (X, Y), limit=9) for _ in range(2))
    assert a.examples == 9
    assert a.fingerprint == b.fingerprint
    whole = Objective(_net(), nn.CrossEntropyLoss(), (X, Y))
    assert whole.fingerprint != a.fingerprint


def test_the_fingerprint_ignores_order_and_batching_but_no_number():
    model, order = _net(), torch.randperm(N)
    same = Objective(model, nn.CrossEntropyLoss(), (X[order], Y[order]), batch_size=3)
    whole = Objective(model, nn.CrossEntropyLoss(), (X, Y))
    assert whole.fingerprint == same.fingerprint
    changed = X.clone()
    changed[3, 3] = torch.nextafter(changed[3, 3], torch.tensor(9.0).double())
    assert Objective(model, nn.CrossEntropyLoss(), (changed, Y)).fingerprint != whole.fingerprint


def test_the_content_hash_sees_labels_swapped_between_examples():
    a, b = ContentHash(), ContentHash()
    x = torch.arange(4.0).reshape(2, 2)
    a.add((x, torch.tensor([0, 1])), 2)
    b.add((x, torch.tensor([1, 0])), 2)
    assert a.digest() != b.digest()
    assert a.differing(b) == 2


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_data_sets_of_very_few_examples(size):
    if size == 0:
        return
    objective = Objective(_net(), nn.CrossEntropyLoss(), (X[:size], Y[:size]))
    error = objective.metrics()["loss_error"]
    assert (error != error) == (size == 1)


def test_one_class_and_one_parameter():
    model = nn.Linear(6, 1, bias=False).double()
    objective = Objective(model, nn.CrossEntropyLoss(), (X, torch.zeros(N, dtype=torch.long)))
    assert float(objective.value()) == 0.0
    assert "accuracy" not in objective.metrics()
