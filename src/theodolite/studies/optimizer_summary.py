"""How the ends of the optimizers compare: means over seeds and ratios to SGD; numbers only."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from theodolite.intervals.statistics import Estimate, exponential, mean_interval, paired_interval
from theodolite.studies.layouts import grid
from theodolite.studies.names import SHARPNESS

MEASURES = {**SHARPNESS, "test_error": "share of wrong answers on test data"}
ENDS = {"": "", "_low": ", lower end", "_high": ", upper end"}


def optimizer_summary(stored: xr.Dataset) -> xr.Dataset:
    """The runs of a study over (optimizer, seed), with means and ratios over the seeds compared.

    `stored` is the group ``optimizer_study`` of a run's tree. Added are ``mean(optimizer,
    measure)``, the geometric mean of sharpness and the mean of the test error with the ends of
    95 % intervals, and ``ratio(optimizer, measure)``, over the first optimizer and paired by
    seed (for the test error the difference). Only runs that are compared count; those that are not
    are in ``attrs["left_out"]``. NaN with fewer than two seeds, or where a value is not positive.
    """
    made = grid(stored)
    names = made["optimizer"].values.tolist()
    shape = (len(ENDS), len(names), len(MEASURES))
    means, ratios = np.full(shape, np.nan), np.full(shape, np.nan)
    for j, measure in enumerate(MEASURES):
        kept = made[measure].where(made["compared"] == 1).transpose("optimizer", "seed").values
        logarithm = measure != "test_error"
        for k in range(len(names)):
            means[:, k, j] = ends(mean_of(kept[k], logarithm))
            ratios[:, k, j] = ends(against(kept[k], kept[0], logarithm))
    dims = ("optimizer", "measure")
    words = {"mean": "mean over seeds", "ratio": f"over {names[0]}, paired by seed"}
    added = {
        name + end: xr.Variable(dims, values[i], {"long_name": words[name] + text})
        for name, values in (("mean", means), ("ratio", ratios))
        for i, (end, text) in enumerate(ENDS.items())
    }
    made = made.assign(added).assign_coords(measure=list(MEASURES))
    made.attrs["left_out"] = json.dumps(left_out(made))
    return made


def mean_of(values: np.ndarray, logarithm: bool) -> Estimate | None:
    """The mean over seeds; None where there are not two, or no logarithm."""
    there = values[np.isfinite(values)]
    if len(there) < 2 or (logarithm and there.min() <= 0):
        return None
    return exponential(mean_interval(np.log(there))) if logarithm else mean_interval(there)


def against(values: np.ndarray, first: np.ndarray, logarithm: bool) -> Estimate | None:
    """The ratio to the first optimizer, or the difference from it, over the seeds both have."""
    both = np.isfinite(values) & np.isfinite(first)
    a, b = values[both], first[both]
    if len(a) < 2 or (logarithm and min(a.min(), b.min()) <= 0):
        return None
    return paired_interval(a, b, ratio=logarithm)


def ends(estimate: Estimate | None) -> tuple[float, float, float]:
    if estimate is None:
        return np.nan, np.nan, np.nan
    return estimate.value, estimate.low, estimate.high


def left_out(made: xr.Dataset) -> list[str]:
    """Runs that are not compared, with why, in words."""
    found = []
    for name in made["optimizer"].values.tolist():
        for k in range(made.sizes["seed"]):
            run = made.sel(optimizer=name).isel(seed=k)
            status = int(run["status"])
            if status and int(run["compared"]) != 1:
                why = {2: "diverged", 3: "failed"}.get(status, "did not reach the loss")
                found.append(f"{name}, seed {k}: {why}")
    return found
