"""Planted valleys and escapes, in the layout of `shifted_valley` and `escape_time`."""

from __future__ import annotations

import numpy as np
import xarray as xr

from theodolite import results

ALPHA = np.linspace(-1, 1, 9)
MINIMA = {"train": [0.1, -0.2, np.nan], "test": [0.4, 0.3, np.nan]}
CURVES = {"train": [2.0, 4.0, np.nan], "test": [3.0, 5.0, np.nan]}
ERRORS = {"train": [0.02, 0.03, np.nan], "test": [0.05, 0.06, np.nan]}
LENGTHS = [2.0, 3.0, 0.5]


def valleys() -> xr.Dataset:
    """Three lines: two parabolas a split, and one that falls all the way."""
    dims = ("direction",)

    def by_line(values: object) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
        return dims, np.asarray(values), {"long_name": "x"}

    low, bend, off = (
        {k: np.array(v) for k, v in table.items()} for table in (MINIMA, CURVES, ERRORS)
    )
    shift = low["test"] - low["train"]
    excess = 0.5 * bend["test"] * shift**2
    names = ["eigenvector 1", "random 1", "random 2"]
    variables: dict[str, results.Variable] = {"name": by_line(names)}
    variables["length"] = by_line(LENGTHS)
    for split in ("train", "test"):
        variables |= {
            f"{split}_minimum": by_line(low[split]),
            f"{split}_minimum_error": by_line(off[split]),
            f"{split}_curvature": by_line(bend[split]),
        }
        away = ALPHA - low[split][:, None]
        loss = 1.0 + (split == "test") + 0.5 * bend[split][:, None] * away**2
        loss[2] = 2.0 - ALPHA
        notes = {"long_name": "loss"}
        variables[f"{split}_loss"] = ((*dims, "alpha"), loss, notes)
        spread = np.full(loss.shape, 0.1 + 0.1 * (split == "test"))
        variables[f"{split}_loss_error"] = ((*dims, "alpha"), spread, notes)
    numbers = {
        "shift": (shift, np.hypot(off["train"], off["test"])),
        "gap": (1.0 + excess, np.array([0.2, 0.3, np.nan])),
        "excess": (excess, np.array([0.01, 0.02, np.nan])),
        "predicted_excess": (1.1 * excess, np.array([0.03, 0.04, np.nan])),
    }
    for name, (value, error) in numbers.items():
        variables[name], variables[f"{name}_error"] = by_line(value), by_line(error)
        variables[f"mean_{name}"] = ((), np.nanmean(value), {"long_name": "x"})
        variables[f"mean_{name}_example_error"] = ((), np.nanmean(error) / 2, {"long_name": "x"})
    return results.dataset("shifted_valley", variables, {"direction": np.arange(3), "alpha": ALPHA})


def escape(method: str, *, growth: float = 2.0, stayed: int = 0, curves: bool = True) -> xr.Dataset:
    """Five runs that start at different distances and grow by one factor a step."""
    step = np.arange(9)
    start = 1e-3 * np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    distance = np.minimum(start[:, None] * growth**step, 0.2)
    steps = np.ceil(np.log(0.1 / start) / np.log(growth))
    steps[:stayed] = np.inf
    low, middle, high = np.quantile(steps, [0.25, 0.5, 0.75], method="inverted_cdf")
    known = np.where(np.isfinite(steps), steps, np.nan)
    outcome = np.where(np.isfinite(steps), "escaped", "not escaped").tolist()
    single = {
        "median_steps": middle if np.isfinite(middle) else np.nan,
        "lower_quartile": low if np.isfinite(low) else np.nan,
        "upper_quartile": high if np.isfinite(high) else np.nan,
        "negative_eigenvalue": -2.0,
        "residual": 0.01,
        "noise_along": 0.6,
        "noise_mean": 0.2,
    }
    notes = {"long_name": "x"}
    variables: dict[str, results.Variable] = {k: ((), v, notes) for k, v in single.items()}
    variables["steps"] = (("run",), known, notes)
    variables["outcome"] = (("run",), outcome, notes)
    variables["predicted"] = (("run",), np.log(0.1 / start) / np.log(growth), notes)
    coords = {"run": np.arange(5)}
    if curves:
        coords["step"] = step
        variables["distance"] = (("run", "step"), distance, notes)
        variables["rise"] = (("run", "step"), -(distance**2) + 1e-3, notes)
        variables["theory"] = (("step",), 3e-3 * growth**step, notes)
    return results.dataset(
        "escape_time",
        variables,
        coords,
        method=method,
        rate=0.25,
        radius=0.1,
        displacement=0.01,
        max_steps=1000,
    )


def unescaped(method: str, reason: str) -> xr.Dataset:
    """What a survey stores where there was nothing to leave."""
    notes = {"long_name": "x"}
    return results.dataset(
        "escape_time",
        {"steps": (("run",), np.zeros(0), notes), "median_steps": ((), np.nan, notes)},
        {"run": np.arange(0)},
        method=method,
        reason=reason,
    )
