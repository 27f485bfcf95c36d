"""Which way norms of single gradients are found. Oracle: multiplications counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from engines.example_models import models
from engines.test_example_gradients import measured
from theodolite.engines import example_gradients, example_parts
from theodolite.engines.example_parts import Outer, Use, Work, work_of


def use(positions: int, fans: tuple[int, int]) -> Use:
    g = torch.Generator().manual_seed(0)
    a, d = (torch.randn(2, 1, positions, f, generator=g).double() for f in fans)
    return Use(lambda i, j: Outer(a[i:j], d[i:j]), positions * sum(fans), positions, fans)


@pytest.mark.parametrize(
    ("positions", "rows", "expected"),
    [
        (1, 0, Work(24, 7, 24)),  # norms are products of norms
        (1, 2, Work(24, 31, 48)),
        (2, 0, Work(48, 28, 36)),  # 2^2 (3 + 4) against 2 * 12 + 12
        (5, 0, Work(120, 175, 72)),
        (2, 3, Work(48, 100, 72)),
    ],
)
def test_multiplications_are_those_counted_by_hand(positions, rows, expected):
    # kills: positions not squared, directions left out, a pass counted once
    assert work_of([use(positions, (3, 4))], 12, rows) == expected


def test_groups_count_once_each():
    # kills: a grouped convolution taken for a whole one
    assert work_of([use(5, (3, 4))], 24, 0) == Work(240, 350, 144)


@pytest.mark.parametrize(("positions", "rows"), [(1, 0), (2, 0), (5, 0), (1, 2), (2, 3)])
def test_gradients_are_formed_where_that_is_less_and_numbers_are_the_same(
    positions, rows, monkeypatch
):
    # kills: the comparison the other way round; a wrong norm or product either way
    made = []
    formed = example_parts.formed
    monkeypatch.setattr(example_parts, "formed", lambda *a: made.append(1) or formed(*a))
    one = use(positions, (3, 4))
    directions = torch.randn(rows, 4, 3, generator=torch.Generator().manual_seed(1)).double()
    squares, along = example_parts.measured([one], 2, directions)
    work = work_of([one], 12, rows)
    assert bool(made) == (work.forming < work.ghost)
    part: Any = one.cut(0, 2)
    gradients = (part.slopes.mT @ part.inputs).reshape(2, 12)
    torch.testing.assert_close(squares, gradients.square().sum(1))
    torch.testing.assert_close(along, gradients @ directions.reshape(rows, 12).T)


def calls(name: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ghost passes batch by batch over three batches of two, two and one examples."""
    torch.manual_seed(0)
    case = models()[name]
    model, x, y = case.build().double().eval(), case.inputs(), case.targets()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y), batch_size=2)
    seen: list[int] = []
    ghosts = example_gradients.by_ghosts

    def counted(*args: Any, **how: Any) -> Any:
        seen.append(args[2].index)
        return ghosts(*args, **how)

    monkeypatch.setattr(example_gradients, "by_ghosts", counted)
    monkeypatch.setitem(example_gradients._WAYS, "ghost", counted)
    measured(objective, torch.zeros(0, objective.space.size).double())
    return seen


def test_once_vmap_is_needed_its_pass_serves_all(monkeypatch):
    # kills: both passes paid in every batch
    assert set(calls("transposed", monkeypatch)) == {0}


def test_ghosts_alone_make_one_pass_a_batch(monkeypatch):
    # kills: tables tried anew in every batch
    assert calls("positions", monkeypatch) == [0, 1, 2]


class Cut(nn.Module):
    """A table that is cut to the length of the input, beside a large vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.free = nn.Embedding(500, 6), nn.Parameter(torch.randn(9, 6))
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.words(x) + self.free[: x.shape[1]]
        return self.out(torch.tanh(h)).mT


def test_a_table_that_is_cut_does_not_take_the_others_with_it():
    # kills: giving up every ghost for a table, or a wrong gradient for it
    torch.manual_seed(0)
    x, y = torch.randint(500, (5, 4)), torch.randint(3, (5, 4))
    objective = td.Objective(Cut().double(), nn.CrossEntropyLoss(), (x, y))
    found = measured(objective, torch.zeros(0, objective.space.size).double())
    assert found.ways == {
        "words.weight": "ghost", "free": "vmap", "out.weight": "ghost", "out.bias": "ghost"
    }  # fmt: skip
    alone = measured(objective, torch.zeros(0, objective.space.size).double(), "loop")
    torch.testing.assert_close(found.squares, alone.squares)
