"""Parameters that have no place in a vector, and vectors that do not fit, refused by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from theodolite.errors import InvalidArgument, InvalidType, UnsupportedModel
from theodolite.parameters import ParameterSpace


class Two(nn.Module):
    """Two parameters over given tensors, without a copy."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)


BUFFER = torch.arange(12.0)

REFUSED = {
    "lazy": (lambda: nn.LazyLinear(3), r"'weight' is lazy.*run one forward pass"),
    "meta": (lambda: nn.Linear(2, 2, device="meta"), r"'weight' is on the meta device"),
    "complex": (
        lambda: nn.Linear(2, 2, dtype=torch.complex64),
        r"'weight' is complex \(torch.complex64\).*view_as_real",
    ),
    "frozen": (
        lambda: nn.Linear(2, 2).requires_grad_(False),
        r"no trainable parameter \(6 frozen\).*requires_grad_\(True\)",
    ),
    "no parameter": (lambda: nn.ReLU(), r"no trainable parameter \(0 frozen\)"),
    "a transposed view": (
        lambda: Two(BUFFER.view(3, 4), BUFFER.view(3, 4).t()),
        r"'first' and 'second' are different views of the same memory \(12 numbers",
    ),
    "overlapping slices": (
        lambda: Two(BUFFER[:8], BUFFER[6:]),
        r"'first' and 'second' are different views of the same memory \(2 numbers",
    ),
}


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_coordinate_is_refused_by_name(name):
    # kills: shared memory as independent coordinates, one half of a complex number, no refusal
    made, message = REFUSED[name]
    with pytest.raises(UnsupportedModel, match=f"(?s){message}"):
        ParameterSpace.from_model(made())


@pytest.mark.parametrize(
    "pair",
    [(BUFFER[:6], BUFFER[6:]), (BUFFER.view(6, 2)[:, 0], BUFFER.view(6, 2)[:, 1])],
    ids=["neighbors in one buffer", "interleaved"],
)
def test_slices_that_do_not_overlap_are_independent(pair):
    # kills: refusing every pair in one storage, or by range instead of by cell
    space = ParameterSpace.from_model(Two(*pair))
    assert space.names == ("first", "second")


def test_the_same_memory_under_two_parameters_is_one_coordinate():
    space = ParameterSpace.from_model(Two(BUFFER, BUFFER))
    assert space.size == 12
    assert space.entry("second").name == "first"


def test_tensors_that_do_not_fit_are_listed():
    space = ParameterSpace.from_model(nn.Sequential(*(nn.Linear(2, 2) for _ in range(4))))
    with pytest.raises(InvalidArgument, match=r"in 8 places: missing 0.weight; .*; \.\.\.") as e:
        space.flatten({})
    assert e.value.what.count("missing") == 5
    wrong = {n: torch.zeros(2, 2) for n in space.names}
    with pytest.raises(InvalidArgument, match=r"0.bias: \(2, 2\) where the model has \(2,\)"):
        space.flatten(wrong)


def test_vectors_that_do_not_fit_are_refused():
    space = ParameterSpace.from_model(nn.Linear(2, 2))
    with pytest.raises(InvalidArgument, match=r"theta must have shape \(6,\); got \(5,\)"):
        space.views(torch.zeros(5))
    with pytest.raises(InvalidArgument, match=r"shape \(6,\); got \(6, 1\)"):
        space.check(torch.zeros(6, 1))
    with pytest.raises(InvalidType, match=r"theta must hold floats; got torch.int64"):
        space.check(torch.zeros(6, dtype=torch.int64))
    with pytest.raises(
        InvalidArgument, match=r"(?s)no trainable parameter is called 'w'.*weight, bias"
    ):
        space.entry("w")
