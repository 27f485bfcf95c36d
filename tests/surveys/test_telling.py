"""Long units say how far they are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.surveys import surveying
from theodolite.surveys.measures.hessians import told_products
from theodolite.surveys.units import Progress


def target() -> td.Target:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    data = torch.randn(30, 3), torch.randint(2, (30,))
    return td.Target(td.Objective(model, nn.CrossEntropyLoss(), data))


@pytest.mark.parametrize(
    ("measure", "settings", "words"),
    [
        ("eigenvalues", {}, "products of about"),
        ("spectrum", {}, "9 products of about 26"),
        ("spectrum", {"norms": True}, "products of about 32"),
        ("saddles", {"count": 2}, "products of about"),
        ("sharpness", {}, "largest curvature, "),
    ],
)
def test_a_unit_tells_its_products_or_its_measures(measure, settings, words):
    """Kills: minutes of silence; a count that begins anew with every product."""
    told: list[str] = []

    def watch(state: Progress) -> None:
        told.append(state.within)

    made = target()
    how = surveying.configured(measures=[measure], settings={measure: settings})
    surveying.conduct(made, surveying.settled(made, how), watch=watch)
    assert any(words in one for one in told), told


def test_products_are_counted_and_unchanged():
    operator = td.Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0])))
    told: list[str] = []
    counted = told_products(operator, told.append, 2)
    for _ in range(3):
        assert counted.matvec(torch.ones(2)).tolist() == [1.0, 2.0]
    assert told == ["1 products of about 2", "2 products of about 2", "3 products"]
    assert told_products(operator, None, 2) is operator
