"""What all measures have in common: the caller's things untouched, results that keep on disk.

Oracles: copies made before, and the file read back.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from sharpness.bowls import classifier
from theodolite import sharpness

MEASURES: dict[str, Callable[[td.Objective], xr.Dataset]] = {
    "adaptive_sharpness": lambda o: td.adaptive_sharpness(o, steps=2, restarts=2),
    "average_sharpness": lambda o: td.average_sharpness(o, draws=3),
    "directional_curvature": lambda o: td.directional_curvature(o, o.start),
    "fisher_rao_norm": td.fisher_rao_norm,
    "keskar_sharpness": lambda o: td.keskar_sharpness(o, subspace=3, draws=2),
    "largest_curvature": lambda o: td.largest_curvature(o, learning_rate=0.1),
    "pac_bayes_sharpness": lambda o: td.pac_bayes_sharpness(o, draws=3, origin=0 * o.start),
    "predicted_rise": lambda o: td.predicted_rise(o, count=2),
    "relative_flatness": lambda o: td.relative_flatness(o, products=4),
    "shifted_valley": lambda o: td.shifted_valley(o, o, count=2, steps=7),
    "worst_case_sharpness": lambda o: td.worst_case_sharpness(o, steps=2, batch_size=5),
}
"""Every measure with settings that use its randomness."""

SHOWN = {"predicted_rise": "measured", "shifted_valley": "train_minimum"}
"""The variable to look at, where it is not called as the measure."""


def test_every_measure_is_here() -> None:
    others = {"invariance_table", "layer_rescaling"}
    assert set(sharpness.__all__) == {*MEASURES, *others}


@pytest.mark.parametrize("name", MEASURES)
def test_nothing_of_the_callers_is_touched(name: str) -> None:
    # kills: a generator of the process drawn from, a mode or a weight left changed.
    objective = classifier()
    objective.model.train()
    before = {k: v.clone() for k, v in objective.model.state_dict().items()}
    start, state = objective.start.clone(), torch.get_rng_state()
    MEASURES[name](objective)
    after = objective.model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert torch.equal(objective.start, start)
    assert torch.equal(torch.get_rng_state(), state)
    assert objective.model.training
    assert all(p.grad is None for p in objective.model.parameters())


@pytest.mark.parametrize("name", MEASURES)
def test_a_result_survives_the_disk_and_repeats(name: str, tmp_path: Path) -> None:
    # kills: an attribute no file can hold, a random number that is not seeded.
    found = MEASURES[name](classifier())
    found.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    read = xr.load_dataset(tmp_path / "result.nc", engine="h5netcdf")
    xr.testing.assert_identical(found.drop_attrs(), read.drop_attrs())
    assert set(read.attrs) == set(found.attrs)
    assert found.attrs["quantity"] == name
    assert found.attrs["fingerprint"] == classifier().fingerprint
    again = MEASURES[name](classifier())
    for variable in found.data_vars:
        a, b = found[variable].values, again[variable].values
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=str(variable))


@pytest.mark.parametrize("name", MEASURES)
def test_single_precision_gives_nearly_the_same(name: str) -> None:
    # kills: a float64 vector given to a float32 network.
    wide = classifier()
    narrow = td.Objective(
        classifier().model.float(),
        nn.CrossEntropyLoss(),
        [(b.raw[0].float(), b.raw[1]) for b in wide.data],
    )
    assert narrow.start.dtype == torch.float32
    shown = SHOWN.get(name, name)
    a, b = (float(MEASURES[name](o)[shown].values.reshape(-1)[-1]) for o in (wide, narrow))
    assert b == pytest.approx(a, rel=2e-2)


def test_uneven_batches_are_one_objective() -> None:
    # kills: batches with equal weights. Oracle: the same data in one batch.
    whole = classifier()
    (batch,) = whole.data
    x, y = batch.raw[0], batch.raw[1]
    split = td.Objective(whole.model, nn.CrossEntropyLoss(), [(x[:17], y[:17]), (x[17:], y[17:])])
    for name, measure in MEASURES.items():
        shown = SHOWN.get(name, name)
        a, b = (measure(o)[shown].values.reshape(-1) for o in (whole, split))
        np.testing.assert_allclose(a, b, rtol=1e-6, err_msg=name)
