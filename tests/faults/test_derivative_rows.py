"""Rows D of the fault catalogue: the right derivative, or a named refusal; never silence.

Oracle: dense second derivatives of the same network written plainly, in float64. Rows D06, D08 and
D09 are also in ``tests/operators/test_missing_derivatives.py``, D15 and D16 of operators in
``test_symmetry_rows.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import theodolite as td
from faults.networks import C, D, Sandwich, data
from faults.state import caller_state, changes
from theodolite.errors import (
    InvalidArgument,
    InvalidType,
    NotFinite,
    TheodoliteError,
    TheodoliteWarning,
    UnsupportedModel,
)

Function = Callable[[Tensor], Tensor]


class Through(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def through(function: Function, loss: Any = None) -> td.Objective:
    torch.manual_seed(7)
    return td.Objective(Sandwich(Through(function)).double(), loss or nn.CrossEntropyLoss(), data())


def tokens() -> Tensor:
    return torch.randint(6, (10, 4), generator=torch.Generator().manual_seed(5))


class Words(nn.Module):
    """The mean of embedded tokens through a layer; `look` says how they are looked up."""

    def __init__(self, look: Callable[[Words, Tensor], Tensor]) -> None:
        super().__init__()
        self.table, self.after, self.look = nn.Embedding(6, 3), nn.Linear(3, C), look

    def forward(self, t: Tensor) -> Tensor:
        return self.after(torch.tanh(self.look(self, t)))


def words(look: Callable[[Any, Tensor], Tensor], **how: Any) -> td.Objective:
    torch.manual_seed(7)
    model = Words(look)
    for name, value in how.items():
        setattr(model.table, name, value)
    return td.Objective(model.double(), nn.CrossEntropyLoss(), (tokens(), data()[1]))


def plainly(model: Any, t: Tensor) -> Tensor:
    return model.table.weight[t].mean(1)


def dense(objective: td.Objective) -> Tensor:
    """The Hessian by dense double backward through `functional_call`."""
    x, y = objective.data.kept[0].raw
    entries, model = objective.space.entries, objective.model

    def loss(theta: Tensor) -> Tensor:
        pieces = torch.split(theta, [e.size for e in entries])
        state = {e.name: p.view(e.shape) for e, p in zip(entries, pieces, strict=True)}
        return F.cross_entropy(torch.func.functional_call(model, state, (x,)), y)

    return torch.autograd.functional.hessian(loss, objective.start)


def refused(objective: td.Objective, error: type[TheodoliteError], match: str) -> TheodoliteError:
    """The Hessian's refusal, complete, with the caller as before."""
    before = caller_state(objective.model)
    with pytest.raises(error, match=match) as caught:
        td.hessian(objective).matvec(torch.ones_like(objective.start))
    assert changes(before, objective.model) == []
    assert caught.value.what
    assert caught.value.why
    assert caught.value.fix
    assert caught.value.code.startswith("E-")
    return caught.value


@pytest.fixture(scope="module", autouse=True)
def _imports_done() -> None:
    objective = through(torch.tanh)
    td.hessian(objective).matvec(objective.start)


STEPS: dict[str, Function] = {
    "D06 round": torch.round,
    "D06 sign": torch.sign,
    "D06 argmax": lambda h: F.one_hot(h.argmax(1), D).to(h),
}


@pytest.mark.parametrize("name", STEPS)
def test_d06_piecewise_constant_paths_are_told_and_the_rest_is_right(name):
    # kills: no warning (or no move larger than the smallest) where a gradient is identically zero
    objective = through(STEPS[name])
    before = caller_state(objective.model)
    operator = td.hessian(objective)
    with pytest.warns(TheodoliteWarning, match=r"identically 0 for 'before.weight'"):
        product = operator.matvec(torch.ones_like(objective.start))
    torch.testing.assert_close(product, dense(objective).sum(1), rtol=1e-9, atol=1e-12)
    assert changes(before, objective.model) == []


def test_d06_a_loss_of_steps_alone_has_no_gradient_and_still_a_line():
    objective = through(torch.tanh, lambda o, t: (o.argmax(1) != t).double())
    refused(objective, UnsupportedModel, r"no grad_fn.*E-D14")
    direction = td.random_directions(objective, count=1)[0]
    assert td.line(objective, direction, steps=3).loss.shape == (3,)


def test_d08_kinks_at_the_point_reach_the_certificate():
    # kills: a kink passed over in the verdict
    objective = through(torch.relu)
    objective.model.before.weight.data.zero_()
    objective.model.before.bias.data.zero_()
    again = td.Objective(objective.model, nn.CrossEntropyLoss(), data())
    assert td.certify(again).attrs["verdict"] == "non-smooth"


@pytest.mark.parametrize("measure", ["eigenpairs", "spectral_density", "trace", "certify"])
def test_d09_nan_in_the_second_derivative_alone_reaches_no_result(measure):
    # kills: require_finite left out of the product
    objective = through(lambda h: h + (0 * h).norm(dim=1, keepdim=True))
    assert bool(torch.isfinite(objective.gradient()).all())
    if measure == "certify":
        found = td.certify(objective)
        assert found.attrs["verdict"] == "uncertified"
        assert "first in 'before.weight'" in found.attrs["reason"]
        return
    settings = {"steps": 5, "probes": 1} if measure == "spectral_density" else {}
    with pytest.raises(NotFinite, match=r"first in 'before.weight'.*\[E-D09\]"):
        getattr(td, measure)(td.hessian(objective), **settings)


ROOTS: dict[str, Function] = {
    "square root at zero": lambda h: torch.sqrt(h * 0),
    "square root of a rectifier": lambda h: torch.sqrt(torch.relu(h)),
    "norm at zero": lambda h: h * (h - h.detach()).norm(dim=1, keepdim=True) + h,
}


@pytest.mark.parametrize("name", ROOTS)
def test_d10_roots_and_norms_at_zero_are_named_with_the_parameter(name):
    # kills: NaN handed on as a product
    error = refused(through(ROOTS[name]), NotFinite, r"NaN or infinite in \d of 4 parameter")
    assert "small constant" in error.fix


def masked(h: Tensor, *, rows: bool = False) -> Tensor:
    """A softmax with the second column (and, with `rows`, the whole first row) masked by -inf."""
    mask = torch.zeros(h.shape, dtype=torch.bool)
    mask[:, 1] = True
    mask[0] |= rows
    return h.masked_fill(mask, -torch.inf).softmax(1)


def test_d11_masked_scores_are_right_and_a_row_without_any_is_named():
    # kills: NaN of a masked row taken for a loss
    objective = through(masked)
    made = td.hessian(objective).dense()
    torch.testing.assert_close(made, dense(objective), rtol=1e-9, atol=1e-12)
    with pytest.raises(NotFinite, match=r"is nan for 1 of 10 losses"):
        through(lambda h: masked(h, rows=True)).value()


def entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Finite, but its gradient is zero times infinity where the mask is."""
    keep = torch.tensor([True, True, False])
    log = outputs.masked_fill(~keep, -torch.inf).log_softmax(1)
    return -torch.where(keep, log.exp() * log, torch.zeros_like(log)).sum(1)


def test_d11_infinity_minus_infinity_behind_a_finite_loss_is_named():
    assert bool(torch.isfinite(through(torch.tanh, entropy).value()))
    refused(through(torch.tanh, entropy), NotFinite, r"NaN or infinite in 4 of 4.*E-D09")


SPARSE = {
    "embedding": lambda m, t: F.embedding(t, m.table.weight, sparse=True).mean(1),
    "bag": lambda m, t: F.embedding_bag(t, m.table.weight, mode="sum", sparse=True),
    "gather": lambda m, t: torch.gather(
        m.table.weight, 0, t[:, :1].expand(-1, 3), sparse_grad=True
    ),
}


@pytest.mark.parametrize("name", SPARSE)
def test_d12_sparse_gradients_of_functions_are_named(name):
    # kills: torch's bare "cannot access storage", and the advice to use differences, which fail too
    objective = words(SPARSE[name])
    error = refused(objective, UnsupportedModel, r"(?s)sparse.*E-D12")
    assert "sparse=False" in error.fix
    with pytest.raises(UnsupportedModel, match="E-D12"):
        objective.gradient()


@pytest.mark.parametrize("how", [{"sparse": True}, {"scale_grad_by_freq": True}])
def test_d12_gradients_of_embedding_layers_are_those_of_the_loss(how):
    # kills: gradients divided by how often a token occurs, which are those of no loss
    objective = words(lambda m, t: m.table(t).mean(1), **how)
    plain = words(plainly)
    before = caller_state(objective.model)
    torch.testing.assert_close(objective.gradient(), plain.gradient(), rtol=0, atol=1e-14)
    torch.testing.assert_close(td.hessian(objective).dense(), dense(plain), rtol=1e-9, atol=1e-12)
    assert changes(before, objective.model) == []


def test_d12_a_sparse_matrix_of_constants_is_no_obstacle():
    # kills: counting the bytes of a sparse tensor by a storage it does not have
    def mixed(model: Any, t: Tensor) -> Tensor:
        counts = F.one_hot(t, 6).sum(1).double() / 4
        return torch.sparse.mm(counts.to_sparse(), model.table.weight)

    made = td.hessian(words(mixed)).dense()
    torch.testing.assert_close(made, dense(words(plainly)), rtol=1e-9, atol=1e-12)


def test_d12_an_embedding_that_writes_its_weights_is_named():
    # kills: torch's own words about views of views
    refused(words(lambda m, t: m.table(t).mean(1), max_norm=1.0), UnsupportedModel, "E-D07")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_d13_every_reduction_has_the_weight_it_declares(reduction):
    # kills: a sum taken for a mean, a mean of means over uneven batches
    torch.manual_seed(7)
    model, loss = Sandwich(nn.Tanh()).double(), nn.CrossEntropyLoss(reduction=reduction)
    objective = td.Objective(model, loss, data(), batch_size=4)
    whole = td.Objective(model, nn.CrossEntropyLoss(), data())
    size = 10 if reduction == "sum" else 1
    torch.testing.assert_close(td.hessian(objective).dense(), size * dense(whole))


@pytest.mark.parametrize(
    "reduction", [lambda o, t: F.cross_entropy(o, t), lambda o, t: (o.exp().sum(1) - o[:, 0])[:3]]
)
def test_d13_a_loss_that_is_not_one_number_an_example_is_named(reduction):
    with pytest.raises(InvalidArgument, match=r"one value an example.*E-O13"):
        through(torch.tanh, reduction).value()


DETACHED = {
    "detach": lambda o, t: F.cross_entropy(o, t, reduction="none").detach(),
    "numpy": lambda o, t: torch.from_numpy(o.detach().numpy()).logsumexp(1),
    "a new leaf": lambda o, t: torch.tensor(
        o.logsumexp(1).tolist(), dtype=torch.float64, requires_grad=True
    ),
}


@pytest.mark.parametrize("make", [td.hessian, td.ggn])
@pytest.mark.parametrize("name", DETACHED)
def test_d14_a_detached_loss_is_named_whatever_it_pretends(name, make):
    # kills: zeros for a graph that ends before the parameters, an IndexError from an empty one
    objective = through(torch.tanh, DETACHED[name])
    for how in ({}, {"verify": False}, {"engine": "differences"}):
        with pytest.raises(UnsupportedModel, match=r"no grad_fn.*\[E-D14\]"):
            make(objective, **how).matvec(torch.ones_like(objective.start))
    with pytest.raises(UnsupportedModel, match=r"E-D14"):
        objective.gradient()


def test_d14_a_python_number_is_no_loss():
    with pytest.raises(InvalidType, match=r"returned float.*E-O31"):
        through(torch.tanh, lambda o, t: o.sum().item()).value()


def test_d15_a_gradient_of_no_loss_is_named_by_its_asymmetry():
    # kills: the comparison of u'Hv with v'Hu, without which products and traces were given
    def scaled(model: Any, t: Tensor) -> Tensor:
        return F.embedding(t, model.table.weight, scale_grad_by_freq=True).mean(1)

    refused(words(scaled), UnsupportedModel, r"not symmetric: u'Hv and v'Hu differ.*E-D15")
    unverified = td.hessian(words(scaled), verify=False).dense()
    assert float((unverified - unverified.T).norm() / unverified.norm()) > 1e-2
