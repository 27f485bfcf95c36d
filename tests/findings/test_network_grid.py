"""The grid of networks: its order, its networks, and what is measured of them.

Oracles: training alone, the dense Hessian, and columns planted by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.findings import network_grid
from theodolite.findings.matched_training import error_share
from theodolite.findings.network_grid import ALIKE, GIVEN, Grid, cells, exchanged, partial_tau
from theodolite.findings.networks import cross_entropy
from theodolite.operators import hessian

SMALL = Grid(
    widths=(6, 10),
    batch_sizes=(10, 25),
    rates=(0.05, 0.1),
    decays=(0.0,),
    examples=50,
    target=0.3,
    steps=800,
)


@pytest.fixture(scope="module")
def trained() -> list:
    return network_grid.trained(SMALL, 3)


def test_networks_come_in_the_order_of_their_cells(trained: list) -> None:
    # kills: a factor that varies in another order, labels of the other share of noise.
    order = cells(SMALL)
    assert len(order) == len(trained) == 16
    for (width, _, _, _, noise), (network, (x, y), loss, reached) in zip(
        order, trained, strict=True
    ):
        assert network[1].weight.shape == (width, 64)
        objective = cross_entropy(network, (x, y))
        assert float(objective.value()) == pytest.approx(loss, rel=1e-4)
        assert reached == (loss <= 0.3)
        true = trained[0][1][1]
        assert int((y != true).sum()) == (10 if noise else 0)
    steps = {(b, r): [] for _, b, r, _, _ in order}
    assert len(steps) == 4
    assert len({round(loss, 6) for _, _, loss, _ in trained}) == 16


def test_measures_of_a_network(trained: list) -> None:
    # kills: another measure under a name, the smallest eigenvalue, an estimate of few draws.
    network, data, _, _ = trained[0]
    objective = cross_entropy(network, data)
    found = network_grid.sharpness(SMALL, objective, 0)
    dense = hessian(objective).dense()
    assert found["largest_eigenvalue"] == pytest.approx(
        float(torch.linalg.eigvalsh(dense)[-1]), rel=0.02
    )
    assert found["trace"] == pytest.approx(float(dense.trace()), rel=0.5)
    assert found["rise"] > 0
    assert found["adaptive"] > 0
    assert tuple(found) == tuple(network_grid.MEASURES)


def test_a_network_that_did_not_get_there_is_missing() -> None:
    grid = Grid(widths=(4,), batch_sizes=(25,), rates=(0.05,), decays=(0.0,), examples=50, steps=10)
    made = network_grid.measured(grid, 0, lambda network: {"error": 0.5}, {"error": "error"})
    assert made.reached.values.tolist() == [0.0, 0.0]
    assert made.loss.notnull().all()
    assert made.rise.isnull().all()
    assert made.error.isnull().all()
    assert made.rate_over_batch.values.tolist() == [0.002, 0.002]


def test_a_common_cause_held_equal_is_taken_out_and_a_partial_tau_takes_only_part() -> None:
    # kills: widths or label noise left out of what is equal in a pair, rates left out.
    generator, shape = np.random.default_rng(0), (6, 48)
    columns = {
        "width": np.tile([1.0, 2.0, 3.0], 16),
        "noise": np.repeat([0.0, 0.2], 24),
        "rate_over_batch": np.tile(np.repeat([0.1, 0.2, 0.3, 0.4], 3), 4),
    }
    planted = xr.Dataset(
        {"x": (("seed", "cell"), np.zeros(shape))},
        {k: ("cell", v) for k, v in columns.items()},
    )
    for causes, weights in ((("width", "noise"), (4.0, 40.0)), (("rate_over_batch",), (9.0,))):
        cause = sum(w * columns[k] for k, w in zip(causes, weights, strict=True))
        x, y = (cause + generator.normal(size=shape) for _ in range(2))
        found = partial_tau(planted, x, y, ALIKE)
        assert found.low < 0.1
        assert abs(found.value) < 0.2
        if causes == ("width", "noise"):
            assert partial_tau(planted, x, y, GIVEN).low > 0.2


def test_exchanged_values_stay_in_their_seed() -> None:
    # kills: values that move between seeds, missing ones that move, one order for all.
    values = np.arange(40.0).reshape(2, 20)
    values[0, 4] = np.nan
    found = exchanged(values).reshape(network_grid.SHUFFLES, 2, 20)
    for made in found:
        assert np.array_equal(np.sort(made[0]), np.sort(values[0]), equal_nan=True)
        assert np.isnan(made[0, 4])
        assert not np.array_equal(made[1] - 20, made[0])
        assert np.array_equal(np.sort(made[1]), values[1])
    assert len({made.tobytes() for made in found}) == network_grid.SHUFFLES
    assert np.array_equal(exchanged(values), exchanged(values), equal_nan=True)
    assert np.array_equal(network_grid.repeated(values)[2], values[0], equal_nan=True)


def test_a_perceptron_has_the_weights_it_is_given() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 5), (1, 5), (5, 2), (1, 2))
    weights = [torch.randn(s, generator=generator) for s in shapes]
    x = torch.randn(7, 3, generator=generator)
    wanted = (x @ weights[0] + weights[1]).relu() @ weights[2] + weights[3]
    made = network_grid.perceptron(weights)
    assert torch.allclose(made(x.double()), wanted.double(), atol=1e-6)
    assert error_share(made, (x.double(), wanted.argmax(1))) == 0.0
