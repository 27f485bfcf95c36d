"""Products by linear programs once there have been some: the same matrix, whatever the data.

Oracle: dense autograd (`dense.py`).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from operators.dense import dense_ggn, dense_hessian
from theodolite.engines import hessian_parts, selection
from theodolite.errors import UnsupportedModel
from theodolite.objective import Objective
from theodolite.operators import products
from theodolite.testing.objectives import CASES


def vector(size: int) -> Tensor:
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", ["class weights", "ignored labels", "LSTM"])
def test_after_some_work_linear_programs_take_over(name, monkeypatch):
    # kills: a switch that changes the products, or that happens without being faster; the first
    # batch's program in the place of another's
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    for make, dense in ((td.hessian, dense_hessian), (td.ggn, dense_ggn)):
        operator = make(CASES[name].objective())
        v = vector(operator.size)
        before = operator.matvec(v)
        assert operator.facts["engine"] == "linearize"
        torch.testing.assert_close(operator.matvec(v), before, rtol=0, atol=1e-12)
        expected = dense(CASES[name]) @ v
        torch.testing.assert_close(before, expected, rtol=0, atol=1e-12)
        # kills: rows that went together through a graph sent so through a program that cannot
        torch.testing.assert_close(
            operator.matmat(torch.stack([v, v], 1)),
            expected[:, None].expand(-1, 2),
            rtol=0,
            atol=1e-12,
        )


def test_programs_of_streamed_batches_are_of_one_reading(monkeypatch):
    # kills: the program of one reading's first batch joined to the others of another reading
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    case = CASES["cross entropy"]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(case.inputs(), case.targets()), batch_size=5, shuffle=True
    )
    objective = Objective(case.network(), nn.CrossEntropyLoss(), loader, data_budget=0)
    operator = td.hessian(objective)
    v = vector(operator.size)
    expected = dense_hessian(case) @ v
    for _ in range(3):
        torch.testing.assert_close(operator.matvec(v), expected, rtol=0, atol=1e-12)
    assert operator.facts["engine"] == "linearize"


def test_programs_are_recorded_once_and_where_they_fit(monkeypatch):
    # kills: a candidate tried again at every product; programs kept beyond the budget
    tried = []
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(products, "recorded", lambda kind, plan, *_: tried.append(plan) or plan)
    objective = CASES["class weights"].objective()
    operator = td.hessian(objective)
    v = vector(operator.size)
    operator.matvec(v)
    operator.matvec(v)
    assert len(tried) == 1
    for budget, engine in ((3, "kept"), (2.9, "kept"), (0, "recompute")):
        tried.clear()
        small = td.hessian(objective, memory_budget=int(budget * operator.facts["graph_bytes"]))
        small.matvec(v)
        assert small.facts["engine"] == engine
        assert len(tried) == (budget >= 3)
    td.hessian(objective, engine="kept").matvec(v)
    assert not tried


def test_products_that_left_the_guard_before(monkeypatch):
    # kills: a linear program taken for a graph walked outside the guard, which has no products
    count = 3
    monkeypatch.setattr(products, "worth_recording", lambda kind, made, *_: made >= count)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    operator = td.hessian(CASES["class weights"].objective())
    v = vector(operator.size)
    made = [operator.matvec(v) for _ in range(count + 2)]
    assert operator.facts["engine"] == "linearize"
    for product in made:
        torch.testing.assert_close(product, made[0], rtol=0, atol=1e-12)


def test_rows_that_went_together_are_tried_together_again(monkeypatch):
    # kills: programs that take one row at a time because the graphs before them did not
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    operator = td.hessian(CASES["class weights"].objective())
    rows = torch.stack([vector(operator.size)] * 2, 1)
    operator.matmat(rows)
    operator.matmat(rows)
    assert {"kept, 2 vectors", "linearize, 2 vectors"} <= set(operator.facts["engine_times"])


def test_candidates_are_compared_in_a_random_direction(monkeypatch):
    # kills: programs called wrong because the caller's vector is one the matrix does not see
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    operator = td.hessian(CASES["linear"].objective())  # softmax does not see equal logits
    product = operator.matvec(torch.ones(operator.size, dtype=torch.float64))
    assert float(product.norm()) < 1e-14
    assert operator.facts["engine"] == "linearize"


def test_differences_stay_differences(monkeypatch):
    # kills: programs recorded for a matrix whose second derivatives are missing
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Hardsigmoid(), nn.Linear(4, 3)).double()
    objective = Objective(model, nn.CrossEntropyLoss(), CASES["cross entropy"].data())
    operator = td.hessian(objective)
    with pytest.warns(td.errors.TheodoliteWarning, match="differences"):
        operator.matvec(vector(operator.size))
    assert operator.facts["engine"] == "differences"
    assert "linearize" not in operator.facts["engines_dropped"]


def test_a_linear_program_counts_twice_its_graph():
    # kills: programs and the graphs beside them kept where only the graphs fit
    objective = CASES["cross entropy"].objective()
    kept = td.ggn(objective, engine="kept")
    v = vector(kept.size)
    expected = kept.matvec(v)
    graphs = kept.facts["graph_bytes"]  # as if the two shorter batches were as long as the first
    for times, whole in ((1.7, True), (1.5, False)):
        operator = td.ggn(objective, engine="linearize", memory_budget=int(times * graphs))
        torch.testing.assert_close(operator.matvec(v), expected, rtol=0, atol=1e-12)
        assert (operator.facts["batches_kept"] == kept.facts["batches_kept"]) == whole


@pytest.mark.parametrize("how", ["refused", "wrong"])
def test_a_later_batch_without_a_program_leaves_all_as_it_is(how, monkeypatch):
    # kills: a product that fails because a faster way was looked for; another batch's program
    # taken unseen
    monkeypatch.setattr(products, "worth_recording", lambda *_: True)
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    original, count = hessian_parts.linear_program, 0

    def faulty(function, theta):
        nonlocal count
        count += 1
        program = original(function, theta)
        if count == 1:
            return program
        if how == "refused":
            raise UnsupportedModel("no program.", code="E-D55")
        return lambda v: tuple(2 * made for made in program(v))

    monkeypatch.setattr(hessian_parts, "linear_program", faulty)
    case = CASES["class weights"]
    operator = td.hessian(case.objective())
    v = vector(operator.size)
    expected = dense_hessian(case) @ v
    for _ in range(3):
        torch.testing.assert_close(operator.matvec(v), expected, rtol=0, atol=1e-12)
    assert count > 1
    assert operator.facts["engine"] == "kept"
    reason = {"refused": "no program", "wrong": "differs by"}[how]
    assert reason in operator.facts["engines_dropped"]["linearize"]
