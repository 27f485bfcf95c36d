"""Planes and lines of two formulas: a smooth bowl and a chaotic pit, with every kind of gap.

The shapes follow what filter-normalized planes of real networks look like; no network is
involved, so that every number on a page can be computed again from the formula.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from theodolite import results

EXAMPLES, AVAILABLE = 2048, 60000
FACTS = {
    "examples": EXAMPLES,
    "examples_available": AVAILABLE,
    "batch_norm": "frozen",
    "mode": "eval",
    "dtype": "float32",
    "device": "cpu",
    "fingerprint": "9f2c41d07be5a318",
}


def bowl(a: np.ndarray, b: np.ndarray, plane: int = 0) -> np.ndarray:
    """A wide basin: quadratic near the start, linear far away, slightly off center."""
    x, y = a - 0.06 + 0.02 * plane, 1.25 * b + 0.05
    r = np.sqrt(x**2 + y**2 + 0.3 * x * y)
    return 0.031 + 2.4 * r**2 / (1 + 0.45 * r) * (1 + 0.08 * np.cos(3 * np.arctan2(y, x)))


def chaos(a: np.ndarray, b: np.ndarray, plane: int = 0) -> np.ndarray:
    """A narrow pit among ridges; the range spans four decades and the corners blow up."""
    p = 0.7 * plane
    r = np.sqrt(a**2 + b**2)
    ridges = np.sin(5.1 * a + 2.2 * b + p) * np.cos(4.3 * b - 1.7 * a + p) + 0.55 * np.sin(
        9.7 * a - 6.1 * b + 2 * p
    ) * np.cos(8.3 * b + 3.9 * a)
    well = np.log(0.028) + 5.6 * (1 - np.exp(-((r / 0.34) ** 2)))
    return np.exp(well + 1.15 * ridges * (1 - np.exp(-((r / 0.3) ** 2))) + 1.9 * r**3)


SHAPES = {"bowl": bowl, "chaos": chaos}


def plane(
    kind: str,
    *,
    index: int = 0,
    steps: tuple[int, int] = (51, 51),
    gaps: bool = True,
    seed: int = 0,
) -> xr.Dataset:
    """A plane of 51 x 51 points with train and test loss, accuracy, errors, and gaps."""
    alpha, beta = (np.linspace(-1, 1, n) for n in steps)
    a, b = np.meshgrid(alpha, beta, indexing="ij")
    loss = SHAPES[kind](a, b, index)
    status = np.full(loss.shape, results.OK, dtype=np.uint8)
    if kind == "chaos" and gaps:
        status[loss > 1400] = results.DIVERGED
        status[3 % steps[0], 4 * steps[1] // 5] = results.FAILED
        status[-4:, :3] = results.TODO
    test = 1.12 * SHAPES[kind](a + 0.03, b - 0.02, index) + 0.06
    fields = {"loss": loss, "test_loss": test}
    fields |= {f"{k}_error": 0.9 * v / np.sqrt(EXAMPLES) + 2e-4 for k, v in list(fields.items())}
    for prefix in ("", "test_"):
        accuracy = 0.1 + 0.89 * np.exp(-fields[f"{prefix}loss"] / 1.9)
        fields[f"{prefix}accuracy"] = accuracy
        fields[f"{prefix}accuracy_error"] = np.sqrt(accuracy * (1 - accuracy) / EXAMPLES)
    dims = ("alpha", "beta")
    variables = {
        k: (dims, np.where(status == results.OK, v, np.nan), {"long_name": label(k)})
        for k, v in fields.items()
    }
    variables["status"] = results.status_variable(dims, status)
    start = float(SHAPES[kind](np.array(0.0), np.array(0.0), index))
    return results.dataset(
        "plane",
        variables,
        {"alpha": alpha, "beta": beta},
        normalize="filter",
        seed=seed,
        plane=index,
        axis_cosine=0.0043 - 0.009 * index,
        direction_norm_alpha=17.31,
        direction_norm_beta=17.28,
        theta_norm=23.9,
        method="dense",
        span=[-1.0, 1.0, -1.0, 1.0],
        steps=list(steps),
        start_loss=start,
        start_loss_error=0.9 * start / np.sqrt(EXAMPLES) + 2e-4,
        **FACTS,
    )


def label(name: str) -> str:
    """The long name of a metric: ``test_loss_error`` is "standard error of the test loss"."""
    plain = name.removesuffix("_error").replace("_", " ")
    return f"standard error of the {plain}" if name.endswith("_error") else plain


def line(kind: str, index: int, steps: int = 61) -> xr.Dataset:
    """One random line through the start, at its own angle through the formula's plane."""
    alpha = np.linspace(-1, 1, steps)
    angle = 0.4 + 1.1 * index
    loss = SHAPES[kind](alpha * np.cos(angle), alpha * np.sin(angle), index)
    status = np.where(loss > 1400, results.DIVERGED, results.OK).astype(np.uint8)
    error = 0.9 * loss / np.sqrt(EXAMPLES) + 2e-4
    variables = {
        k: (("alpha",), np.where(status == results.OK, v, np.nan), {"long_name": label(k)})
        for k, v in {"loss": loss, "loss_error": error}.items()
    }
    variables["status"] = results.status_variable(("alpha",), status)
    return results.dataset(
        "line",
        variables,
        {"alpha": alpha},
        normalize="filter",
        seed=index,
        direction_norm_alpha=17.3,
        theta_norm=23.9,
        start_loss=float(loss[steps // 2]),
        **FACTS,
    )
