"""Descent directions.

Oracle: ``torch.optim``: after one of its steps at the full gradient, the weights have moved by the
learning rate times the direction.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument

from .networks import DTYPES, NAMES, network, objective

ADAMS = {
    "Adam": (torch.optim.Adam, {}),
    "AMSGrad": (torch.optim.Adam, {"amsgrad": True}),
    "weight decay": (torch.optim.Adam, {"weight_decay": 0.3}),
    "AdamW": (torch.optim.AdamW, {"weight_decay": 0.3, "betas": (0.8, 0.95), "eps": 1e-3}),
    "maximize": (torch.optim.Adam, {"maximize": True}),
}
RATE = 0.01


def loss_of(model: nn.Module, made: td.Objective) -> Tensor:
    x, y = next(iter(made.data)).raw
    return nn.functional.cross_entropy(model.eval()(x), y)


def stepped(model: nn.Module, made: td.Objective, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss_of(model, made).backward()
    optimizer.step()


def trained(name: str, kind: str, *, dtype: torch.dtype = torch.float64, order: str = "model"):
    """A model, its optimizer after three steps on scaled losses, and its objective afterwards."""
    model = network(name).to(dtype)
    first = objective(name, dtype, model)
    parameters = list(model.parameters())
    if order == "reversed":
        parameters.reverse()
    make, settings = ADAMS[kind]
    optimizer = make(parameters, lr=RATE, **settings)
    for k in range(3):
        optimizer.zero_grad()
        ((k + 1) * loss_of(model, first)).backward()
        optimizer.step()
    return model, optimizer, objective(name, dtype, model)


def moved(model: nn.Module, optimizer: torch.optim.Optimizer, made: td.Objective) -> Tensor:
    """How far one step of the optimizer moves the weights, over the learning rate."""
    start = made.space.flatten(dict(model.named_parameters())).clone()
    stepped(model, made, optimizer)
    return (made.space.flatten(dict(model.named_parameters())) - start) / RATE


@pytest.mark.parametrize("kind", ADAMS)
@pytest.mark.parametrize("order", ["model", "reversed"])
@pytest.mark.parametrize("name", NAMES)
def test_the_step_is_the_one_that_torch_makes(name, order, kind):
    # kills: no bias correction, moments before this gradient, order of parameters by position,
    # eps inside the root, weight decay left out or coupled the other way
    model, optimizer, made = trained(name, kind, order=order)
    direction = td.adam_direction(made, optimizer)
    torch.testing.assert_close(direction, moved(model, optimizer, made), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_gives_single_precision(name):
    model, optimizer, made = trained(name, "Adam", dtype=torch.float32)
    direction = td.adam_direction(made, optimizer)
    assert direction.dtype == torch.float32
    torch.testing.assert_close(direction, moved(model, optimizer, made), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_gives_the_same_step(name):
    # kills: indices of the state taken for entries (tied weights, frozen parameters)
    _, optimizer, made = trained(name, "Adam")
    expected = td.adam_direction(made, optimizer)
    assert torch.equal(td.adam_direction(made, optimizer.state_dict()), expected)


def test_a_saved_state_in_another_order_needs_its_names():
    model, optimizer, made = trained(NAMES[0], "Adam", order="reversed")
    names = [n for n, _ in model.named_parameters()][::-1]
    expected = td.adam_direction(made, optimizer)
    assert torch.equal(td.adam_direction(made, optimizer.state_dict(), names=names), expected)
    with pytest.raises(InvalidArgument, match=r"(?s)where the model has.*names="):
        td.adam_direction(made, optimizer.state_dict())


def test_a_state_that_holds_names_needs_none():
    model = network(NAMES[0]).double()
    optimizer = torch.optim.Adam(list(model.named_parameters())[::-1], lr=RATE)
    stepped(model, objective(NAMES[0], model=model), optimizer)
    made = objective(NAMES[0], model=model)
    saved = td.adam_direction(made, optimizer.state_dict())
    assert torch.equal(saved, td.adam_direction(made, optimizer))


def test_moments_given_as_vectors_give_the_same_step():
    model, optimizer, made = trained(NAMES[1], "Adam")
    states = {n: optimizer.state[p] for n, p in model.named_parameters()}
    mean, square = ({n: s[k] for n, s in states.items()} for k in ("exp_avg", "exp_avg_sq"))
    expected = td.adam_direction(made, optimizer)
    assert torch.equal(td.adam_direction(made, (mean, square, 3)), expected)
    flat = made.space.flatten(mean), made.space.flatten(square), 3
    assert torch.equal(td.adam_direction(made, flat), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_first_step_is_close_to_the_sign_of_the_gradient(dtype):
    # kills: a first step without bias correction: a tenth over a thirtieth in place of one
    made = objective(NAMES[1], dtype)
    direction, gradient = td.adam_direction(made), made.gradient()
    large = gradient.abs() > 1e-4
    assert large.any()
    torch.testing.assert_close(direction[large], -gradient[large].sign(), rtol=1e-3, atol=0)
    model = network(NAMES[1]).to(dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    made = objective(NAMES[1], dtype, model)
    torch.testing.assert_close(
        direction, moved(model, optimizer, made), rtol=1e-3, atol=1e-3 if dtype.itemsize == 4 else 0
    )


def test_frozen_parameters_are_not_in_the_step():
    model = network(NAMES[1]).double()
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    stepped(model, objective(NAMES[1], model=model), optimizer)
    made = objective(NAMES[1], model=model)
    every = td.adam_direction(made, optimizer)
    assert torch.equal(td.adam_direction(made, optimizer.state_dict()), every)
    torch.testing.assert_close(every, moved(model, optimizer, made), rtol=1e-9, atol=1e-9)


def test_an_optimizer_of_what_trains_alone_is_read_in_that_order():
    # kills: names guessed among all parameters, or in another order
    model = network(NAMES[1]).double()
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=RATE)
    stepped(model, objective(NAMES[1], model=model), optimizer)
    made = objective(NAMES[1], model=model)
    saved = td.adam_direction(made, optimizer.state_dict())
    assert torch.equal(saved, td.adam_direction(made, optimizer))


def test_groups_with_other_learning_rates_step_by_their_share():
    # kills: one rate for all groups, names guessed across groups
    model = network(NAMES[1]).double()
    named = dict(model.named_parameters())
    heads = [p for n, p in named.items() if n.startswith("5")]
    rest = [p for n, p in named.items() if not n.startswith("5")]
    optimizer = torch.optim.Adam([{"params": heads, "lr": RATE / 4}, {"params": rest}], lr=RATE)
    stepped(model, objective(NAMES[1], model=model), optimizer)
    made = objective(NAMES[1], model=model)
    direction = td.adam_direction(made, optimizer)
    with pytest.raises(InvalidArgument, match="in 2 groups, in an order that nothing tells"):
        td.adam_direction(made, optimizer.state_dict())
    torch.testing.assert_close(direction, moved(model, optimizer, made), rtol=1e-9, atol=1e-9)


def test_neither_model_nor_optimizer_is_stepped():
    model, optimizer, made = trained(NAMES[0], "Adam")
    weights = copy.deepcopy(model.state_dict())
    state = copy.deepcopy(optimizer.state_dict())
    gradients = [p.grad.clone() for p in model.parameters()]
    td.adam_direction(made, optimizer).zero_()
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())
    after = optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    for k, held in state["state"].items():
        assert all(torch.equal(v, after["state"][k][n]) for n, v in held.items())
    for p, before in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(p.grad, before)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_direction_is_a_step_of_gradient_descent(name):
    # kills: a direction uphill
    model = network(name).double()
    made = objective(name, model=model)
    direction = td.gradient_direction(made)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    torch.testing.assert_close(direction, moved(model, optimizer, made), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("normalize", ["filter", "layer", "model"])
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_along_it_however_it_is_normalized(name, normalize):
    # kills: norms of the start in place of theta's, a sign lost on the way
    made = objective(name)
    theta = 1.5 * made.start
    direction = td.gradient_direction(made, theta=theta, normalize=normalize)
    assert float(direction @ made.gradient(theta)) < 0
    assert float(made.value(theta + 1e-4 * direction)) < float(made.value(theta))
    if normalize == "model":
        assert float(direction.norm()) == pytest.approx(float(theta.norm()), rel=1e-12)


def flat() -> td.Objective:
    data = torch.zeros(2, 2), torch.zeros(2, 1)
    return td.Objective(nn.Linear(2, 1, bias=False), nn.MSELoss(), data)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: td.gradient_direction(flat()), "the gradient is zero at theta"),
        (lambda m: td.adam_direction(flat()), "Adam's step is zero at theta"),
        (lambda m: td.adam_direction(m, 3), "None; got int"),
        (lambda m: td.adam_direction(m, (1, 2)), "got 2 parts"),
        (
            lambda m: td.adam_direction(m, torch.optim.SGD(m.model.parameters(), lr=1)),
            "is not Adam or AdamW",
        ),
        (
            lambda m: td.adam_direction(m, torch.optim.RAdam(m.model.parameters())),
            "is not Adam or AdamW",
        ),
        (
            lambda m: td.adam_direction(m, torch.optim.Adam(nn.Linear(2, 2).parameters())),
            "none of the parameters of the objective's model",
        ),
        (
            lambda m: td.adam_direction(
                m, torch.optim.Adam(m.model.parameters()).state_dict(), names=["weight"]
            ),
            "names must hold one name",
        ),
    ],
    ids=range(8),
)
def test_what_gives_no_step_is_refused(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call(objective(NAMES[1]))
