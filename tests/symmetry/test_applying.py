"""Permutations applied to what people hold.

Oracles: indexing by hand for a perceptron; a training continued after permuting weights,
optimizer and masks, which must end where the permuted end of the first training is.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.symmetry.architectures import built
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType, UnsupportedModel


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


INPUTS = torch.linspace(-1, 1, 20).reshape(5, 4)


def test_a_perceptron_is_indexed_by_its_permutation() -> None:
    # Kills: the inverse permutation on one side, rows for columns.
    net = perceptron()
    found = td.symmetries(net, INPUTS)
    order = torch.tensor([2, 0, 1, 5, 3, 4])
    moved = found.apply(net.state_dict(), {"0.weight[0]": order})
    assert torch.equal(moved["0.weight"], net[0].weight[order])
    assert torch.equal(moved["0.bias"], net[0].bias[order])
    assert torch.equal(moved["2.weight"], net[2].weight[:, order])
    assert torch.equal(moved["2.bias"], net[2].bias)


def test_units_of_heads_move_within_their_head() -> None:
    # Kills: rows of an inner permutation picked by where a head comes from, not where it goes.
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            heads = self.first(x).unflatten(-1, (2, 3))
            return self.last((heads.softmax(-1) * heads.softmax(-1).sum(-1, True)).flatten(1))

    net = Heads()
    found = td.symmetries(net, INPUTS)
    outer, inner = found.groups
    assert (outer.size, inner.size, inner.within) == (2, 3, (outer.name,))
    permutations = {
        outer.name: torch.tensor([1, 0]),
        inner.name: torch.tensor([[2, 0, 1], [0, 2, 1]]),
    }
    moved = found.apply(net.state_dict(), permutations)
    assert torch.equal(moved["first.bias"], net.first.bias[[5, 3, 4, 0, 2, 1]])


def test_a_vector_is_the_flattened_state() -> None:
    # Kills: pieces of the vector under other names.
    net = perceptron()
    found = td.symmetries(net, INPUTS)
    space = td.ParameterSpace.from_model(net)
    theta = space.flatten(net.state_dict())
    moved = found.apply(theta, found.random(2))
    assert torch.equal(moved, space.flatten(found.apply(net.state_dict(), found.random(2))))
    assert not torch.equal(moved, theta)


def trained(
    net: nn.Module, optimizer: torch.optim.Optimizer, masks: dict[str, Tensor], steps: int
) -> None:
    """A few steps on fixed data, the masks held at zero."""
    data = torch.linspace(-2, 2, 4 * 8, dtype=torch.float64).sin().reshape(8, 4)
    for _ in range(steps):
        optimizer.zero_grad()
        net(data).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.mul_(masks[name])


@pytest.mark.parametrize("kind", ["momentum", "adam", "adam by names"])
def test_a_training_goes_on_from_the_permuted_point(kind: str) -> None:
    # Kills: averages or masks left in place, or permuted under another parameter's name.
    net = perceptron().double()
    found = td.symmetries(net, INPUTS)
    masks = {n: (torch.rand(p.shape) > 0.3).double() for n, p in net.named_parameters()}

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        if kind == "momentum":
            return torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
        by_name = kind.endswith("names")
        given: Any = [*model.named_parameters()][::-1] if by_name else model.parameters()
        return torch.optim.Adam(given, 0.01)

    first = optimizer(net)
    trained(net, first, masks, 3)
    permutations = found.random(4)
    other = copy.deepcopy(net)
    other.load_state_dict(found.apply(net.state_dict(), permutations))
    second = optimizer(other)
    second.load_state_dict(found.apply(first.state_dict(), permutations))
    trained(net, first, masks, 5)
    trained(other, second, found.apply(masks, permutations), 5)
    wanted = found.apply(net.state_dict(), permutations)
    for name, tensor in other.state_dict().items():
        assert torch.allclose(tensor, wanted[name], rtol=1e-9, atol=1e-12), name


def test_wrapped_names_and_counters_are_taken_as_they_are() -> None:
    model, inputs = built("resnet")
    found = td.symmetries(model, inputs)
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    moved = found.apply(state, found.random(0))
    plain = found.apply(model.state_dict(), found.random(0))
    assert all(torch.equal(moved[f"module.{n}"], t) for n, t in plain.items())


def test_the_model_is_left_as_it_was() -> None:
    # Kills: a trace or a check on the caller's own model; a generator that is used.
    model, inputs = built("resnet")
    model.train()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    state, fast = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    td.symmetries(model, inputs).checks()
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_inputs_may_be_keywords() -> None:
    found = td.symmetries(perceptron(), {"input": INPUTS})
    assert [g.size for g in found.groups] == [6]


def wrong_optimizer() -> dict[str, Any]:
    return {"state": {}, "param_groups": [{"params": [0, 1]}]}


def factored() -> dict[str, Any]:
    state = {0: {"row": torch.ones(6)}}
    return {"state": state, "param_groups": [{"params": [0, 1, 2, 3]}]}


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (3, "E-A46"),
        ({"other": torch.ones(2)}, "E-A47"),
        ({"0.weight": torch.ones(2)}, "E-A48"),
        (torch.ones(7), "E-A49"),
        (wrong_optimizer(), "E-A50"),
        (factored(), "E-A51"),
    ],
)
def test_states_that_do_not_fit_are_refused(state: Any, code: str) -> None:
    found = td.symmetries(perceptron(), INPUTS)
    with pytest.raises((InvalidArgument, InvalidType), match=code):
        found.apply(state, found.random(0))


@pytest.mark.parametrize(
    ("permutations", "code"),
    [
        ({"nobody": torch.arange(6)}, "E-A44"),
        ({"0.weight[0]": torch.arange(5)}, "E-A45"),
        ({"0.weight[0]": torch.zeros(6, dtype=torch.long)}, "E-A45"),
        ({"0.weight[0]": torch.arange(6.0)}, "E-A45"),
    ],
)
def test_permutations_that_are_none_are_refused(permutations: Any, code: str) -> None:
    found = td.symmetries(perceptron(), INPUTS)
    with pytest.raises(InvalidArgument, match=code):
        found.apply(perceptron().state_dict(), permutations)


class Silent(nn.Module):
    def forward(self, x: Tensor) -> None:
        return None


class Uncopied(nn.Linear):
    def __deepcopy__(self, memo: Any) -> None:
        raise RuntimeError("no copies")


def test_models_and_inputs_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(InvalidType, match="E-A40"):
        td.symmetries(torch.tanh, INPUTS)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedModel, match="E-A41"):
        td.symmetries(Uncopied(4, 3), INPUTS)
    with pytest.raises(InvalidArgument, match="E-A42"):
        td.symmetries(perceptron(), 3)
    with pytest.raises(UnsupportedModel, match="E-A43"):
        td.symmetries(Silent(), INPUTS)
