"""Barriers of several points. Oracle: `barrier` of every pair."""

from __future__ import annotations

import numpy as np
import pytest

import theodolite as td
from connectivity.paths import at, double_well, normalized
from theodolite.errors import InvalidArgument, InvalidType

POINTS = [at(-1.0), at(0.5), at(1.0)]


def test_every_pair_has_its_own_barrier():
    # kills: a transposed or shifted pair; ends of another point; a curve from second to first
    well = double_well()
    found = td.barrier_matrix(well, POINTS, names=["left", "slope", "right"], test=well)
    assert found.sizes["first"] == 3
    for i, a in enumerate(POINTS):
        for j, b in enumerate(POINTS):
            cell = found.isel(first=i, second=j)
            if i == j:
                assert float(cell.barrier) == 0.0
                assert np.all(cell.loss == float(well.value(a)))
                continue
            alone = td.barrier(well, a, b)
            grid = alone.loss[alone.refined == 0]
            assert np.allclose(cell.loss, grid, rtol=0, atol=1e-14)
            for name in ("barrier", "instability", "saddle_excess", "area", "test_barrier"):
                one = float(alone[name.removeprefix("test_")])
                assert float(cell[name]) == pytest.approx(one, abs=1e-6)
            assert float(cell.distance) == abs(float(a - b))
    assert found.attrs["passes"] < 2 * (3 + 3 * (23 + 16)) + 1
    assert np.all(found.status == 1)


def test_statistics_of_all_ends_are_kept_apart():
    from torch import nn

    from connectivity.paths import classes

    objective = td.Objective(normalized(), nn.CrossEntropyLoss(), classes())
    states = [normalized(k).state_dict() for k in range(3)]
    for k, state in enumerate(states):
        state["1.running_mean"] += k
    found = td.barrier_matrix(objective, states, steps=3, refine=0, resamples=9)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        alone = td.barrier(objective, states[i], states[j], steps=3, refine=0)
        assert np.allclose(found.loss[i, j], alone.loss, rtol=0, atol=1e-14)
    assert found.attrs["statistics"] == "interpolated"


def test_too_few_points_and_names_are_refused():
    well = double_well()
    with pytest.raises(InvalidArgument, match="two or more points; got 1"):
        td.barrier_matrix(well, POINTS[:1])
    with pytest.raises(InvalidType, match="single Tensor"):
        td.barrier_matrix(well, POINTS[0])
    with pytest.raises(InvalidArgument, match="3 different names"):
        td.barrier_matrix(well, POINTS, names=["a", "b", "a"])
