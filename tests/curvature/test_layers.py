"""Spectra, traces and diagonals by layer. Oracle: the dense Hessian's diagonal blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.curvature import layer_diagonals, layer_spectrum, layer_table
from theodolite.curvature.layer_spectra import Effort
from theodolite.linalg import Operator
from theodolite.parameters import ParameterSpace

EXACT = Effort(steps=40, probes=2, trace_products=64, tolerance=1e-8)


@pytest.fixture(scope="module")
def objective() -> td.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    x, y = torch.randn(20, 4, dtype=torch.float64), torch.randint(2, (20,))
    return td.Objective(model.double(), nn.CrossEntropyLoss(), (x, y))


@pytest.fixture(scope="module")
def dense(objective: td.Objective) -> np.ndarray:
    return td.hessian(objective).dense().numpy()


def spans(objective: td.Objective) -> dict[str, np.ndarray]:
    layers = objective.space.layers()
    return {k: np.concatenate([np.arange(e.offset, e.stop) for e in v]) for k, v in layers.items()}


def test_each_block_has_the_dense_blocks_spectrum(objective, dense):
    # Kills: ends exchanged, another layer's block, weights that do not sum to one after padding,
    # the trace of the whole, products not counted.
    for name, block in td.blocks(objective).items():
        own = spans(objective)[name]
        exact = np.linalg.eigvalsh(dense[np.ix_(own, own)])
        found = layer_spectrum(block, name, EXACT, seed=1).isel(layer=0)
        assert float(found.largest_eigenvalue) == pytest.approx(exact[-1], abs=1e-9)
        assert float(found.smallest_eigenvalue) == pytest.approx(exact[0], abs=1e-9)
        assert float(found.trace) == pytest.approx(exact.sum(), abs=1e-10)
        assert (float(found.trace_error), int(found["size"])) == (0.0, len(own))
        assert found.node.shape == (2, 40)
        np.testing.assert_allclose(found.weight.sum("step"), 1.0)
        used = found.node.values[found.weight.values > 1e-9]
        assert np.abs(used[:, None] - exact).min(1).max() < 1e-8
        assert int(found.products) >= block.size + 2 * min(40, block.size)


def test_traces_add_up_and_ends_interlace(objective, dense):
    # Kills: shares of another sum, shares that do not sum to one.
    made = [layer_spectrum(b, n, EXACT) for n, b in td.blocks(objective).items()]
    layers = joined(made)
    whole = np.linalg.eigvalsh(dense)
    assert float(layers.trace.sum()) == pytest.approx(np.trace(dense), abs=1e-10)
    assert float(layers.largest_eigenvalue.max()) <= whole[-1] + 1e-9
    assert float(layers.smallest_eigenvalue.min()) >= whole[0] - 1e-9
    rows = layer_table(layers)
    assert [r["layer"] for r in rows] == ["0", "2", "4"]
    for row in rows:
        own = spans(objective)[row["layer"]]
        assert row["share"] == pytest.approx(np.trace(dense[np.ix_(own, own)]) / np.trace(dense))
        assert row["share_error"] == 0.0


def joined(made):
    return xr.concat(made, "layer").assign_attrs(made[0].attrs)


def test_errors_of_shares_are_those_of_simulation():
    # Kills: the error of the trace without that of the sum, or as if the two were independent.
    random = np.random.default_rng(0)
    traces, errors = np.array([6.0, 3.0, 1.0]), np.array([0.3, 0.1, 0.02])
    made = one_layer_each(traces, errors)
    drawn = traces + errors * random.normal(size=(20000, 3))
    simulated = (drawn / drawn.sum(1, keepdims=True)).std(0)
    stated = [r["share_error"] for r in layer_table(made)]
    np.testing.assert_allclose(stated, simulated, rtol=0.03)


def one_layer_each(traces, errors):
    diagonal = Operator.from_matrix(torch.eye(2, dtype=torch.float64))
    made = joined([layer_spectrum(diagonal, n, EXACT) for n in "abc"])
    return made.assign(trace=("layer", traces), trace_error=("layer", errors))


def test_no_share_is_told_of_a_sum_that_may_be_zero_or_is_not_whole():
    # Kills: shares of a trace within its error of zero, or of the layers that happen to be done.
    for traces in ([1.0, -1.0, 0.1], [0.0, 0.0, 0.0], [5.0, np.nan, 1.0]):
        rows = layer_table(one_layer_each(np.array(traces), np.full(3, 0.1)))
        assert {r["share"] for r in rows} == {None}
        assert len(rows) == np.isfinite(traces).sum()


def test_the_trace_of_a_large_block_is_estimated_within_its_error():
    # Kills: an estimate called exact, its error of another kind.
    matrix = torch.randn(150, 150, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    matrix = matrix @ matrix.T / 150
    block = Operator.from_matrix(matrix)
    effort = Effort(steps=10, probes=2, trace_products=64, tolerance=1e-2)
    found = layer_spectrum(block, "a", effort).isel(layer=0)
    error = float(found.trace_error)
    assert 0 < error < 0.1 * float(matrix.trace())
    assert abs(float(found.trace) - float(matrix.trace())) <= 4 * error


def space_and_matrix(size: int = 5) -> tuple[ParameterSpace, torch.Tensor]:
    space = ParameterSpace.from_model(nn.Sequential(nn.Linear(size, size), nn.Linear(size, 2)))
    generator = torch.Generator().manual_seed(3)
    a = torch.randn(space.size, space.size, generator=generator, dtype=torch.float64)
    return space, (a + a.T) / 2 + 3 * torch.eye(space.size, dtype=torch.float64)


def test_diagonals_by_layer_are_exact_where_all_unit_vectors_fit():
    # Kills: a layer's entries taken from the next, the largest for the smallest.
    space, matrix = space_and_matrix()
    found = layer_diagonals(Operator.from_matrix(matrix), space, probes=64)
    for k, entries in enumerate(space.layers().values()):
        own = torch.cat([matrix.diagonal()[e.offset : e.stop] for e in entries])
        exact = (float(own.mean()), float(own.min()), float(own.max()), len(own))
        got = tuple(float(found[n][k]) for n in ("mean", "smallest", "largest", "size"))
        assert got == pytest.approx(exact)
    assert not found.mean_error.any()


def test_the_mean_of_a_layer_is_covered_by_its_error():
    # Kills: entries' errors added as if independent, the deviation for the standard error.
    space, matrix = space_and_matrix()
    operator = Operator.from_matrix(matrix)
    exact = [
        float(torch.cat([matrix.diagonal()[e.offset : e.stop] for e in v]).mean())
        for v in space.layers().values()
    ]
    off = []
    for seed in range(150):
        found = layer_diagonals(operator, space, probes=16, seed=seed)
        off.append((found["mean"].values - exact) / found.mean_error.values)
    off = np.abs(np.array(off))
    for limit, share in ((2.131, 0.95), (0.691, 0.5)):  # Student's t, 15 degrees of freedom
        held = (off < limit).mean(0)
        assert (np.abs(held - share) < 4 * (share * (1 - share) / 150) ** 0.5).all()
    assert found.attrs["products"] == 16
