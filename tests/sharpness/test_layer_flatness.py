"""Relative flatness against closed forms and the sum over dense blocks."""

from __future__ import annotations

import pytest
import torch

import theodolite as td
from sharpness.bowls import classifier, form, regression
from theodolite.errors import InvalidArgument
from theodolite.sharpness import relative_flatness


def by_definition(objective: td.Objective, weight: str) -> float:
    """The double sum over rows, from the dense Hessian."""
    entry = objective.space.entry(weight)
    w = objective.start[entry.offset : entry.stop].view(entry.shape)
    h = td.hessian(objective.restricted(weight)).dense().view(*entry.shape, *entry.shape)
    rows = range(entry.shape[0])
    return sum(float(w[s] @ w[t]) * float(h[s, :, t, :].trace()) for s in rows for t in rows)


def test_for_squared_error_it_is_the_norm_times_the_trace() -> None:
    # kills: the mean over outputs left out. Oracle: H_st = delta_st 2 X'X / (N outputs).
    objective, x, _ = regression(outputs=3)
    exact = float(objective.start.square().sum()) * 2 * float(x.square().sum()) / (12 * 3)
    found = relative_flatness(objective)
    assert float(found.relative_flatness) == pytest.approx(exact, rel=1e-9)
    assert float(found.standard_error) == 0
    assert found.attrs["method"] == "exact"


@pytest.mark.parametrize("layer", ["0", "2", "0.weight"])
def test_it_is_the_double_sum_of_its_definition(layer: str) -> None:
    # kills: blocks off the diagonal left out, columns in place of rows.
    objective = classifier(activation=torch.nn.Tanh)
    exact = by_definition(objective, layer if "." in layer else f"{layer}.weight")
    found = relative_flatness(objective, layer=layer)
    assert float(found.relative_flatness) == pytest.approx(exact, rel=1e-9)


def test_the_last_linear_layer_is_the_default() -> None:
    # kills: the first layer, the bias as the last.
    objective = classifier()
    found = relative_flatness(objective)
    assert found.attrs["layer"] == "2"
    exact = by_definition(objective, "2.weight")
    assert float(found.relative_flatness) == pytest.approx(exact, rel=1e-9)


def test_random_signs_estimate_it_without_bias() -> None:
    # kills: Z W in place of W Z, signs that are not centered, a deviation for an error.
    objective = classifier(activation=torch.nn.Tanh, hidden=8)
    exact = by_definition(objective, "0.weight")
    found = relative_flatness(objective, layer="0", products=15)
    assert found.attrs["method"] == "random signs"
    assert found.sizes["probe"] == found.attrs["products"] == 15
    values = found["sample"].values
    assert float(found.relative_flatness) == pytest.approx(values.mean(), rel=1e-12)
    assert float(found.standard_error) == pytest.approx(values.std(ddof=1) / 15**0.5, rel=1e-9)
    many = [
        float(relative_flatness(objective, layer="0", products=15, seed=s).relative_flatness)
        for s in range(25)
    ]
    mean, error = torch.tensor(many).mean(), torch.tensor(many).std() / 25**0.5
    assert abs(float(mean) - exact) < 4 * float(error) < 0.5 * abs(exact)


def test_a_weight_of_low_rank_needs_fewer_products() -> None:
    # kills: the number of rows in place of the rank.
    objective, _, _ = regression(outputs=3)
    flat = torch.outer(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, -1.0, 0.5, 2.0])).double()
    found = relative_flatness(objective, theta=flat.reshape(-1), products=4)
    assert (found.attrs["method"], found.attrs["products"]) == ("exact", 4)


def test_bad_arguments_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match=r"layer must name a linear layer .* got '1'"):
        relative_flatness(classifier(), layer="1")
    with pytest.raises(InvalidArgument, match="layer must name a linear layer"):
        relative_flatness(form(lambda w: w @ w, [1.0]))
    with pytest.raises(InvalidArgument, match="products must be a whole number, 2 or more"):
        relative_flatness(classifier(), products=1)
