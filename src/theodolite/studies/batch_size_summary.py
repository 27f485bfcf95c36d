"""What a grid of batch sizes and rates says: ranks with intervals, and ratios; numbers only."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from theodolite.intervals.partial_rank_correlation import FEWEST, kendall_interval
from theodolite.intervals.rank_correlation_over_cells import spearman_over_cells
from theodolite.intervals.statistics import Estimate, paired_interval
from theodolite.studies.layouts import grid
from theodolite.studies.names import SHARPNESS

RELATIONS = {
    "temperature": "sharpness and temperature",
    "test_error": "sharpness and test error",
    "batch_size": "sharpness and batch size at equal temperature",
}
"""What is correlated, over the cells that are compared. Where sharpness is a function of the
temperature alone, the last one is zero."""

ENDS = ("", "_low", "_high")


def batch_size_summary(stored: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    r"""The grid of a study with the temperatures of its cells, rank correlations and ratios.

    `stored` is the group ``batch_size_study`` of a run's tree. Added are

    - ``temperature(batch_size, learning_rate)``, :math:`\eta / B`, and ``noise_scale``,
      :math:`\eta N / (B (1 - m))` of Smith and Le;
    - ``spearman`` and ``kendall(relation, measure)`` with the ends of 95 % intervals: within each
      seed, averaged over seeds, resampling cells. The relation ``batch_size`` compares cells of
      one temperature only (Kendall's): it is what batch size adds to the temperature;
    - ``sharpness_ratio(measure)``: the largest batch size over the smallest at equal rates, the
      geometric mean over the rates at which both are compared, paired by seed.

    NaN where fewer than 10 cells (or, for the ratio, no two seeds) can be compared. Cells that
    are not compared are named in ``attrs["left_out"]``. Not checked: that measures which agree in
    rank agree in anything else. Costs a few thousand resamples of the grid.
    """
    made = grid(stored)
    made = made.assign(temperatures(made))
    made = made.assign(correlations(made, seed)).assign(ratios(made))
    made.attrs["left_out"] = json.dumps(left_out(made))
    return made


def temperatures(made: xr.Dataset) -> dict[str, xr.DataArray]:
    """Both names of the strength of noise, cell by cell."""
    rate, size = made["learning_rate"], made["batch_size"]
    factor = float(made.attrs["train_examples"]) / (1 - float(made.attrs["momentum"]))
    ratio = (rate / size).transpose("batch_size", "learning_rate")
    return {
        "temperature": ratio.assign_attrs(long_name="learning rate over batch size"),
        "noise_scale": (factor * ratio).assign_attrs(
            long_name="noise scale of Smith and Le", units="learning rate"
        ),
    }


def correlations(made: xr.Dataset, seed: int) -> dict[str, xr.Variable]:
    """Spearman's and Kendall's rank correlations of every measure in every relation."""
    found = {k: np.full((3, len(RELATIONS), len(SHARPNESS)), np.nan) for k in KINDS}
    heat = np.log2(column(made, "temperature"))
    others = {
        "temperature": heat,
        "test_error": column(made, "test_error"),
        "batch_size": np.log2(column(made, "batch_size")),
    }
    for j, measure in enumerate(SHARPNESS):
        sharp = column(made, measure)
        for i, (relation, other) in enumerate(others.items()):
            if usable(sharp, other) < FEWEST:
                continue
            alike = (np.round(heat, 9),) if relation == "batch_size" else ()
            found["kendall"][:, i, j] = ends(kendall_interval(sharp, other, alike=alike, seed=seed))
            if not alike:
                found["spearman"][:, i, j] = ends(spearman_over_cells(sharp, other, seed=seed))
    dims = ("relation", "measure")
    made_of = {
        name + end: xr.Variable(dims, values[k], {"long_name": KINDS[name] + WORDS_OF_END[end]})
        for name, values in found.items()
        for k, end in enumerate(ENDS)
    }
    names = {"relation": list(RELATIONS), "measure": list(SHARPNESS)}
    return made_of | {k: xr.Variable((k,), v) for k, v in names.items()}


KINDS = {"spearman": "Spearman's rank correlation", "kendall": "Kendall's rank correlation"}
WORDS_OF_END = {"": "", "_low": ", lower end", "_high": ", upper end"}


def ratios(made: xr.Dataset) -> dict[str, xr.Variable]:
    """Sharpness at the largest over that at the smallest batch size."""
    values = np.full((3, len(SHARPNESS)), np.nan)
    for j, measure in enumerate(SHARPNESS):
        kept = made[measure].where((made["compared"] == 1) & (made[measure] > 0))
        logs = np.log(kept.transpose("batch_size", "seed", "learning_rate").values)
        gap = logs[-1] - logs[0]
        rows = [row[np.isfinite(row)].mean() for row in gap if np.isfinite(row).any()]
        if len(rows) > 1 and made.sizes["batch_size"] > 1:
            each = np.exp(rows)
            values[:, j] = ends(paired_interval(each, np.ones(len(each)), ratio=True))
    words = "sharpness at the largest batch size over that at the smallest"
    return {
        f"sharpness_ratio{end}": xr.Variable(
            ("measure",), values[k], {"long_name": words + WORDS_OF_END[end]}
        )
        for k, end in enumerate(ENDS)
    }


def column(made: xr.Dataset, name: str) -> np.ndarray:
    """A variable or coordinate as (seed, cell), NaN in cells that are not compared."""
    full = made[name].broadcast_like(made["compared"]).where(made["compared"] == 1)
    values = full.transpose("seed", "batch_size", "learning_rate").values.astype(np.float64)
    return values.reshape(made.sizes["seed"], -1)


def usable(x: np.ndarray, y: np.ndarray) -> int:
    """Cells with both numbers in some seed."""
    return int((np.isfinite(x) & np.isfinite(y)).any(axis=0).sum())


def ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def left_out(made: xr.Dataset) -> list[str]:
    """The cells that are not compared, with why, in words; several seeds of a cell together."""
    found = []
    for size in made["batch_size"].values.tolist():
        for rate in made["learning_rate"].values.tolist():
            cell = made.sel(batch_size=size, learning_rate=rate)
            lost = [k for k in range(made.sizes["seed"]) if _lost(cell.isel(seed=k))]
            if lost:
                whys = list(dict.fromkeys(_lost(cell.isel(seed=k)) for k in lost))
                seeds = "" if len(lost) == made.sizes["seed"] else _seeds(lost)
                found.append(f"batch size {size} at rate {rate:g}{seeds}: {', '.join(whys)}")
    return found


def _seeds(numbers: Sequence[int]) -> str:
    return f" (seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))})"


def _lost(run: xr.Dataset) -> str:
    """Why a training is not compared; empty for one that is, or was not made yet."""
    status = int(run["status"])
    if status == 0 or int(run["compared"]) == 1:
        return ""
    words = {2: "diverged", 3: "failed"}
    return words.get(status, "did not reach the loss")
