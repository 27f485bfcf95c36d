"""Random directions: isotropic before normalization, and the same numbers everywhere.

Oracles: moments of the Gaussian within four standard errors; bits of a second draw.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.directions import normalized
from theodolite.errors import InvalidArgument


class Net(nn.Module):
    """A tied encoder and decoder, whose layers can be registered in another order."""

    def __init__(self, order: tuple[str, ...] = ("encode", "middle", "decode")) -> None:
        super().__init__()
        made = {"encode": nn.Linear(4, 4), "middle": nn.Linear(4, 4), "decode": nn.Linear(4, 4)}
        for name in order:
            self.add_module(name, made[name])
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(torch.tanh(self.middle(torch.tanh(self.encode(x)))))


def objective(model: nn.Module | None = None, **settings: object) -> td.Objective:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 4, generator=generator)
    return td.Objective(model or Net(), nn.CrossEntropyLoss(), (x, torch.arange(6) % 4), **settings)


@pytest.fixture(scope="module")
def many() -> Tensor:
    return td.random_directions(objective(), count=400, normalize=None).double()


def test_raw_directions_point_everywhere_alike(many):
    # kills: torch.rand in place of torch.randn (mean cosine 0.75), one direction repeated
    unit = many / many.norm(dim=1, keepdim=True)
    pairs = unit[0::2] * unit[1::2]
    cosines = pairs.sum(1)
    error = float(cosines.std()) / len(cosines) ** 0.5
    assert abs(float(cosines.mean())) < 4 * error
    assert float(cosines.std()) == pytest.approx(many.shape[1] ** -0.5, rel=0.25)
    ones = unit.sum(1) / many.shape[1] ** 0.5
    assert abs(float(ones.mean())) < 4 * float(ones.std()) / len(ones) ** 0.5


def test_raw_directions_have_the_moments_of_a_gaussian(many):
    # kills: uniform or sign vectors in place of normal ones
    values = many.flatten()
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        mean = float((values**power).mean())
        assert abs(mean - expected) < 4 * (variance / len(values)) ** 0.5, power
    assert float(many.var(0).min()) > 0.5


def test_every_direction_is_another_one(many):
    # kills: the same directions for every repeat
    gram = (many @ many.T) / many.shape[1]
    assert float((gram - torch.diag(gram.diag())).abs().max()) < 0.9
    again = td.random_directions(objective(), count=2, normalize=None, seed=1).double()
    assert not torch.isin(again, many).any()


def test_the_same_seed_gives_the_same_bits():
    made = objective()
    assert torch.equal(td.random_directions(made, seed=3), td.random_directions(made, seed=3))
    assert not torch.equal(td.random_directions(made, seed=3), td.random_directions(made, seed=4))


def test_a_direction_does_not_depend_on_how_many_are_drawn():
    made = objective()
    assert torch.equal(td.random_directions(made, count=5)[:2], td.random_directions(made, count=2))


def test_the_callers_generator_neither_matters_nor_moves():
    made = objective()
    torch.manual_seed(1)
    first, state = td.random_directions(made), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(td.random_directions(made), first)
    assert torch.equal(state, torch.Generator().manual_seed(1).get_state())


@pytest.mark.parametrize(
    "order", [("decode", "middle", "encode"), ("middle", "encode", "decode")], ids=str
)
def test_the_order_of_parameters_does_not_change_a_direction(order):
    # kills: one stream over the flat vector; the name that a tied tensor has first
    torch.manual_seed(0)
    model = Net()
    other = Net(order)
    other.load_state_dict(model.state_dict())
    one, two = objective(model), objective(other)
    first = one.space.views(td.random_directions(one, count=1)[0])
    second = two.space.views(td.random_directions(two, count=1)[0])
    for name, value in second.items():
        assert torch.equal(value, first[one.space.entry(name).name]), name


def test_a_frozen_layer_does_not_change_the_directions_of_the_others():
    torch.manual_seed(0)
    whole = Net()
    part = copy.deepcopy(whole)
    part.middle.requires_grad_(False)
    one, two = objective(whole), objective(part)
    first = one.space.views(td.random_directions(one, count=1)[0])
    second = two.space.views(td.random_directions(two, count=1)[0])
    assert set(second) == set(first) - {"middle.weight", "middle.bias"}
    assert all(torch.equal(v, first[n]) for n, v in second.items())


def test_numbers_are_drawn_in_single_precision_whatever_the_model_holds():
    # kills: another stream in double precision
    torch.manual_seed(0)
    model = Net()
    single = td.random_directions(objective(model), normalize=None)
    double = td.random_directions(objective(model, dtype=torch.float64), normalize=None)
    half = td.random_directions(objective(model, dtype=torch.bfloat16), normalize=None)
    assert (single.dtype, double.dtype, half.dtype) == (
        torch.float32,
        torch.float64,
        torch.float32,
    )
    assert torch.equal(single.double(), double)
    assert torch.equal(single, half)


PROGRAM = """
import hashlib, torch, theodolite as td

def digest():
    model = torch.nn.Linear(300, 200).float()
    torch.nn.init.constant_(model.weight, 0.1)
    torch.nn.init.zeros_(model.bias)
    data = torch.ones(2, 300, dtype=torch.float32), torch.ones(2, 200, dtype=torch.float32)
    made = td.Objective(model, torch.nn.MSELoss(), data)
    norms = ("filter", "layer", "model", None)
    drawn = torch.stack([td.random_directions(made, normalize=n, seed=5) for n in norms])
    return hashlib.sha256(drawn.numpy().tobytes()).hexdigest()
"""


def test_another_process_with_other_threads_draws_the_same_bits():
    # kills: hash() in seeds, draws that are split over threads, the default dtype
    changed = "torch.set_num_threads(2); torch.set_default_dtype(torch.float64); print(digest())"
    other = subprocess.run(
        [sys.executable, "-c", PROGRAM + changed], capture_output=True, text=True, check=True
    )
    names: dict[str, Any] = {}
    exec(PROGRAM, names)
    assert other.stdout.strip() == names["digest"]()


def test_theta_says_whose_norms_count():
    # kills: norms of the start for a slice through another point
    made = objective()
    theta = made.start * torch.linspace(0.1, 3, made.space.size)
    at = td.random_directions(made, theta=theta, count=1)[0]
    raw = td.random_directions(made, count=1, normalize=None)[0]
    assert torch.equal(at, normalized(raw, theta, made.space))
    assert not torch.equal(at, td.random_directions(made, count=1)[0])


@pytest.mark.parametrize("count", [0, -1])
def test_no_direction_at_all_is_refused(count):
    with pytest.raises(InvalidArgument, match=f"count must be at least 1; got {count}"):
        td.random_directions(objective(), count=count)


def test_a_model_of_norms_alone_has_no_filter_normalized_direction():
    model = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.BatchNorm1d(4))
    made = objective(model)
    with pytest.raises(InvalidArgument, match="direction is zero"):
        td.random_directions(made)
    assert td.random_directions(made, normalize="model").any()
