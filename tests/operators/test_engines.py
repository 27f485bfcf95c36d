"""Every engine gives the same products, in one vector or many, kept or made anew.

Oracle: dense autograd (`dense.py`) and the engines against each other.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn

import theodolite as td
from operators.dense import dense_empirical_fisher, dense_ggn, dense_hessian
from theodolite.engines import plans, selection
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective
from theodolite.testing.objectives import CASES

HESSIAN_ENGINES = ("auto", "kept", "recompute", "forward_over_reverse", "linearize", "differences")
GGN_ENGINES = ("auto", "kept", "recompute", "forward", "linearize", "differences")
NETWORKS = ("class weights", "convolution with batch norm", "several outputs")


def vectors(size: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(size, count, dtype=torch.float64, generator=generator)


def tolerance(engine: str) -> float:
    return 1e-6 if engine == "differences" else 1e-10


@pytest.mark.parametrize("engine", HESSIAN_ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_hessian_engines_one_vector_and_many(name, engine):
    # kills: an engine that forgets a batch, a weight or the buffers; rows and columns exchanged
    operator = td.hessian(CASES[name].objective(), engine=engine)
    m = vectors(operator.size)
    expected = dense_hessian(CASES[name]) @ m
    torch.testing.assert_close(operator.matmat(m), expected, rtol=0, atol=tolerance(engine))
    one = torch.stack([operator.matvec(v) for v in m.T], 1)
    torch.testing.assert_close(one, expected, rtol=0, atol=tolerance(engine))
    assert operator.facts["products"] == 6


@pytest.mark.parametrize("engine", GGN_ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_ggn_engines_one_vector_and_many(name, engine):
    # kills: tangents of outputs the loss does not look at; weights left out of its curvature
    operator = td.ggn(CASES[name].objective(), engine=engine)
    m = vectors(operator.size)
    expected = dense_ggn(CASES[name]) @ m
    torch.testing.assert_close(operator.matmat(m), expected, rtol=0, atol=tolerance(engine))
    one = torch.stack([operator.matvec(v) for v in m.T], 1)
    torch.testing.assert_close(one, expected, rtol=0, atol=tolerance(engine))


@pytest.mark.parametrize("engine", GGN_ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_empirical_fisher_engines_one_vector_and_many(name, engine):
    # kills: an engine that forgets a batch or the examples' shares
    operator = td.empirical_fisher(CASES[name].objective(), engine=engine)
    m = vectors(operator.size)
    expected = dense_empirical_fisher(CASES[name]) @ m
    torch.testing.assert_close(operator.matmat(m), expected, rtol=0, atol=tolerance(engine))
    one = torch.stack([operator.matvec(v) for v in m.T], 1)
    torch.testing.assert_close(one, expected, rtol=0, atol=tolerance(engine))


@pytest.mark.parametrize("make", [td.hessian, td.ggn, td.empirical_fisher])
@pytest.mark.parametrize("engine", ["kept", "recompute"])
def test_rows_that_go_through_a_graph_together(make, engine, monkeypatch):
    # kills: chunks put together in another order; a chunk of one row left unbatched wrongly;
    # an engine named by the caller that lets a clock decide how it rounds
    monkeypatch.setattr(selection, "MARGIN", 0.0)  # together is "faster", whatever the clock says
    monkeypatch.setattr(selection, "WORTHWHILE", float("inf"))  # on a slow machine as well
    objective = CASES["layer norm"].objective()
    operator = make(objective, memory_budget=None if engine == "kept" else 0)
    m = vectors(operator.size, 11)
    together = operator.matmat(m)
    assert operator.facts["engine"] == engine
    assert any("together" in k for k in operator.facts["engine_times"])
    assert not any("together" in k for k in operator.facts["engines_dropped"])
    named = make(objective, engine=engine)
    alone = torch.stack([named.matvec(v) for v in m.T], 1)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert torch.equal(named.matmat(m), alone)
    assert not named.facts["engine_times"]


@pytest.mark.parametrize("make", [td.hessian, td.ggn])
@pytest.mark.parametrize("name", ["ignored labels", "convolution with batch norm", "LSTM"])
def test_kept_partly_kept_and_recomputed_graphs_give_the_same_bits(make, name):
    # kills: a batch that is multiplied twice or not at all where only some graphs fit
    objective = CASES[name].objective()
    v = vectors(objective.space.size, 1)[:, 0]
    kept = make(objective, engine="kept")
    expected = kept.matvec(v)
    whole = kept.facts["graph_bytes"]
    assert kept.facts["batches_kept"] == 3
    for budget, count in ((int(0.75 * whole), 2), (int(0.5 * whole), 1), (0, 0)):
        some = make(objective, engine="kept", memory_budget=budget)
        assert torch.equal(some.matvec(v), expected)
        assert some.facts["batches_kept"] == count
        assert some.facts["graph_bytes"] <= max(budget, 0)
    assert some.facts["engine"] == "recompute"
    assert torch.equal(make(objective, engine="recompute").matvec(v), expected)


def test_a_second_product_is_the_same_as_the_first():
    # kills: buffers written by one forward pass while the graph of another still needs them
    objective = CASES["convolution with batch norm"].objective()
    operator = td.hessian(objective, engine="kept")
    v = vectors(operator.size, 1)[:, 0]
    first = operator.matvec(v)
    objective.value(objective.start + 0.1)
    objective.gradient()
    assert torch.equal(operator.matvec(v), first)
    assert torch.equal(operator.matvec(2 * v), 2 * first)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_batch_norm_in_several_batches(mode):
    # kills: running statistics updated in place under a kept graph
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).double()
    data = CASES["cross entropy"].data()
    objective = td.Objective(model, nn.CrossEntropyLoss(), data, mode=mode)
    v = vectors(objective.space.size, 1)[:, 0]
    h = 1e-5
    expected = (
        objective.gradient(objective.start + h * v) - objective.gradient(objective.start - h * v)
    ) / (2 * h)
    for engine in ("kept", "recompute"):
        product = td.hessian(objective, engine=engine).matvec(v)
        torch.testing.assert_close(product, expected, rtol=1e-6, atol=1e-8)


def test_streamed_batches_are_kept_whole_or_not_at_all():
    # kills: graphs of one reading joined to batches of another, differently shuffled one
    x, y = CASES["cross entropy"].inputs(), CASES["cross entropy"].targets()
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=5, shuffle=True
    )
    objective = Objective(
        CASES["cross entropy"].network(), nn.CrossEntropyLoss(), loader, data_budget=0
    )
    assert objective.data.kept is None
    expected = dense_hessian(CASES["cross entropy"])
    m = vectors(objective.space.size)
    whole = td.hessian(objective)
    torch.testing.assert_close(whole.matmat(m), expected @ m, rtol=0, atol=1e-12)
    assert whole.facts["batches_kept"] == 3
    part = td.hessian(objective, memory_budget=whole.facts["graph_bytes"] // 2)
    for _ in range(3):
        torch.testing.assert_close(part.matmat(m), expected @ m, rtol=0, atol=1e-12)
    assert part.facts["batches_kept"] == 0


def test_graphs_are_let_go_with_the_operator():
    # kills: a cycle through the graph that only the garbage collector (or nothing) breaks
    objective = CASES["cross entropy"].objective()
    made: list[weakref.ref[object]] = []
    original = plans.Plan.__init__

    def watched(self: plans.Plan, *args: object, **settings: object) -> None:
        original(self, *args, **settings)
        made.append(weakref.ref(self))

    plans.Plan.__init__ = watched  # type: ignore[method-assign]
    gc.disable()
    try:
        operator = td.hessian(objective)
        operator.matvec(torch.ones_like(objective.start))
        del operator
        assert made
        assert all(reference() is None for reference in made)
    finally:
        gc.enable()
        plans.Plan.__init__ = original  # type: ignore[method-assign]


def test_auto_takes_a_clearly_faster_candidate_and_notes_the_others(monkeypatch):
    # kills: a candidate taken though its product differs; times not recorded; forward mode tried
    # where a linear program, which saves it the forward pass, will be
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    monkeypatch.setattr(selection, "WORTHWHILE", 0.0)
    objective = CASES["cross entropy"].objective()
    operator = td.ggn(objective)
    expected = dense_ggn(CASES["cross entropy"])
    v = vectors(operator.size, 1)[:, 0]
    torch.testing.assert_close(operator.matvec(v), expected @ v, rtol=0, atol=1e-12)
    assert operator.facts["engine"] == "kept"
    assert "repeats the forward pass" in operator.facts["engines_dropped"]["forward"]
    tight = td.ggn(objective, memory_budget=operator.facts["graph_bytes"])
    torch.testing.assert_close(tight.matvec(v), expected @ v, rtol=0, atol=1e-12)
    assert tight.facts["engine"] == "forward"
    assert set(tight.facts["engine_times"]) == {"kept", "forward"}
    recomputed = td.hessian(objective, memory_budget=0)
    recomputed.matvec(v)
    assert recomputed.facts["engine"] == "forward_over_reverse"


def test_auto_drops_a_candidate_that_fails_or_is_wrong(monkeypatch):
    monkeypatch.setattr(selection, "MARGIN", 0.0)
    monkeypatch.setattr(selection, "WORTHWHILE", 0.0)
    checkpointed = td.hessian(CASES["checkpointed"].objective(), memory_budget=0)
    checkpointed.matvec(torch.ones(checkpointed.size, dtype=torch.float64))
    assert checkpointed.facts["engine"] == "recompute"
    assert "hooks" in checkpointed.facts["engines_dropped"]["forward_over_reverse"]
    monkeypatch.setattr(selection, "relative_gap", lambda a, b: 0.1)
    wrong = td.ggn(CASES["cross entropy"].objective(), memory_budget=0)
    wrong.matvec(torch.ones(wrong.size, dtype=torch.float64))
    assert wrong.facts["engine"] == "recompute"
    assert "differs by 1.0e-01" in wrong.facts["engines_dropped"]["forward"]


def test_scipy_finds_the_same_eigenvalues():
    operator = td.hessian(CASES["cross entropy"].objective())
    largest = eigsh(operator.to_scipy(), k=2, which="LA", return_eigenvectors=False)
    dense = torch.linalg.eigvalsh(dense_hessian(CASES["cross entropy"]))[-2:]
    torch.testing.assert_close(torch.as_tensor(sorted(largest)), dense, rtol=1e-9, atol=0)


def test_settings_are_refused_by_name():
    objective = CASES["linear"].objective()
    with pytest.raises(InvalidArgument, match=r"one of 'auto', 'kept'.*'fast'"):
        td.hessian(objective, engine="fast")
    with pytest.raises(InvalidArgument, match="memory_budget"):
        td.hessian(objective, memory_budget=-1)
    with pytest.raises(InvalidArgument, match=r"18 entries.*\(17,|18 entries.*\(17, 1\)"):
        td.hessian(objective).matvec(torch.ones(17, dtype=torch.float64))
    with pytest.raises(InvalidArgument, match="NaN or infinity"):
        td.hessian(objective).matvec(torch.full((18,), torch.nan, dtype=torch.float64))
    hidden = td.Objective.from_batch_loss(
        CASES["linear"].network(),
        lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]),
        CASES["linear"].data(),
    )
    with pytest.raises(UnsupportedModel, match="from_batch_loss"):
        td.ggn(hidden)
    torch.testing.assert_close(
        td.hessian(hidden).dense(), dense_hessian(CASES["linear"]), rtol=0, atol=1e-12
    )


def test_vectors_of_another_dtype_are_cast_to_that_of_theta():
    operator = td.hessian(CASES["cross entropy"].objective())
    v = vectors(operator.size, 1)[:, 0]
    product = operator.matvec(v.float())
    assert product.dtype == torch.float64
    torch.testing.assert_close(product, operator.matvec(v), rtol=1e-5, atol=1e-6)


def test_a_loss_linear_in_the_outputs_has_no_gauss_newton_matrix():
    operator = td.ggn(CASES["negative log likelihood"].objective())
    with pytest.warns(td.errors.TheodoliteWarning, match="linear in the model's outputs"):
        # the log-softmax belongs to the model here, and the loss only picks an entry
        product = operator.matvec(torch.ones(operator.size, dtype=torch.float64))
    assert not bool(product.any())
