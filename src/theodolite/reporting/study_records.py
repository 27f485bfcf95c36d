"""The comparisons of studies as plain values, for programs."""

from __future__ import annotations

import json
import math
from typing import Any

import xarray as xr

from theodolite.reporting.contents import Contents
from theodolite.studies.batch_size_summary import batch_size_summary
from theodolite.studies.optimizer_summary import optimizer_summary

KEPT = {
    "batch_size_study": ("spearman", "kendall", "sharpness_ratio"),
    "optimizer_study": ("mean", "ratio"),
}
"""What is compared in each study; single trainings are in results.zarr."""


def study_records(contents: Contents) -> dict[str, Any] | None:
    """Every comparison with its interval, by study; None without a study."""
    found: dict[str, Any] = {}
    for quantity, stored in contents.studies.items():
        seed = int(stored.attrs["study_seed"])
        batches = quantity == "batch_size_study"
        study = batch_size_summary(stored, seed=seed) if batches else optimizer_summary(stored)
        found[quantity] = {
            "stop_loss": study.attrs["stop_loss"],
            "trainings": int(study["compared"].size),
            "compared": int(study["compared"].sum()),
            "left_out": json.loads(study.attrs["left_out"]),
            **{name: _rows(study, name) for name in KEPT[quantity]},
        }
    return found or None


def _rows(study: xr.Dataset, name: str) -> list[dict[str, Any]]:
    """One row an entry of a compared number, with its coordinates."""
    table = study[[name, f"{name}_low", f"{name}_high"]].to_dataframe().reset_index()
    table.columns = [str(c).replace(name, "value") for c in table.columns]
    return [{k: _plain(v) for k, v in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)
