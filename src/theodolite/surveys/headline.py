"""The few numbers a survey is remembered by, each with its error and one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature.nonconvexity import convexity_facts
from theodolite.curvature.smoothing import mass_error, negative_mass
from theodolite.surveys.headline_barriers import barrier_numbers
from theodolite.surveys.headline_edges import edge_numbers
from theodolite.surveys.width import RISE, widths

DISTANCE = 0.1
"""The rise of the loss is quoted at this distance, in norms of the filters."""


def number(
    name: str, label: str, value: float, error: float | None, unit: str, explain: str
) -> dict[str, Any]:
    """One headline number; values that are not finite become None."""
    kept = None if error is None or not np.isfinite(error) else float(error)
    return {
        "name": name,
        "label": label,
        "value": float(value) if np.isfinite(value) else None,
        "error": kept,
        "exact": False,
        "unit": unit,
        "explain": explain,
    }


def mean_and_error(samples: np.ndarray) -> tuple[float, float | None]:
    """The mean of independent samples and its standard error, None for a single one."""
    count = len(samples)
    size = float(np.abs(samples).max()) or 1.0  # squares of large losses leave float64
    spread = size * float(np.std(samples / size, ddof=1) / np.sqrt(count)) if count > 1 else None
    return float(np.mean(samples)), spread


def start_numbers(start: xr.Dataset) -> list[dict[str, Any]]:
    """Loss and accuracy where the survey stands, for training and test data."""
    found: list[dict[str, Any]] = []
    for quantity, scale, unit in (("loss", 1.0, ""), ("accuracy", 100.0, "%")):
        if quantity not in start:
            continue
        for k, split in enumerate(start["split"].values.tolist()):
            value = scale * float(start[quantity].values[k])
            error = scale * float(start[f"{quantity}_error"].values[k])
            train = split == "train"
            name = quantity if train else f"{split}_{quantity}"
            label = quantity.capitalize() + ("" if train else f", {split}")
            data = "training" if train else split
            explain = f"The {quantity} at the surveyed point, averaged over the {data} examples."
            found.append(number(name, label, value, error, unit, explain))
    return found


def eigenvalue_numbers(pairs: xr.Dataset) -> list[dict[str, Any]]:
    """The ends of the spectrum, each within its residual of a true eigenvalue."""
    values, residuals = pairs["eigenvalue"].values, pairs["residual"].values
    if not len(values):
        return []
    ends = (("largest", int(np.argmax(values))), ("smallest", int(np.argmin(values))))
    explain = "The {} eigenvalue of the Hessian found; a true one lies within the error given."
    return [
        number(
            f"{end}_eigenvalue",
            f"{end.capitalize()} curvature",
            values[k],
            residuals[k],
            "",
            explain.format(end),
        )
        for end, k in ends
    ]


def trace_number(trace: xr.Dataset) -> dict[str, Any]:
    return number(
        "trace",
        "Trace",
        float(trace["trace"]),
        float(trace["standard_error"]),
        "",
        "The sum of all curvatures (the trace of the Hessian), estimated with random probes.",
    )


def sharpness_numbers(sharpness: xr.Dataset) -> list[dict[str, Any]]:
    """Two measures that rescaling layers does not change: a worst case and an average."""
    names = {
        "adaptive_sharpness": (
            "adaptive_sharpness",
            "Adaptive sharpness",
            "How much the loss rises at worst when weights move in proportion to their sizes; "
            "found by search, so at least this.",
        ),
        "average_sharpness, adaptive": (
            "average_sharpness",
            "Mean rise under noise",
            "How much the loss rises on average under Gaussian noise in proportion to the weights.",
        ),
    }
    found = []
    for measure, (name, label, explain) in names.items():
        if measure in sharpness["measure"].values.tolist():
            at = sharpness.sel(measure=measure)
            made = number(name, label, float(at["value"]), float(at["error"]), "", explain)
            found.append(made | {"note": str(at["setting"].values)})
    return found


def noise_numbers(noise: xr.Dataset) -> list[dict[str, Any]]:
    """Both noise scales, with their intervals in the note."""
    told = {
        "simple": (
            "noise_scale",
            "Noise scale, simple",
            "The batch size at which the variance of a batch's gradient is the squared gradient: "
            "tr(Sigma) / |G|².",
        ),
        "hessian_weighted": (
            "hessian_noise_scale",
            "Noise scale, by curvature",
            "The batch size that costs twice the fewest steps and twice the fewest examples, "
            "tr(H Sigma) / G'HG.",
        ),
    }
    level = float(noise.attrs.get("level", 0.95))
    made = []
    for variable, (name, label, explain) in told.items():
        value, low, high = (float(noise[variable + end]) for end in ("", "_low", "_high"))
        if not np.isfinite(value):
            continue
        row = number(name, label, value, None, "examples", explain)
        if low == value == high:
            made.append(row | {"exact": True})
            continue
        ends = [f"{float(f'{v:.3g}'):,.6g}" for v in (low, high)]
        upper = f"to {ends[1]}" if np.isfinite(high) else "without upper end"
        made.append(row | {"note": f"{100 * level:g} % interval {ends[0]} {upper}"})
    return made


def monitor_numbers(history: xr.Dataset, *, spectrum: bool) -> list[dict[str, Any]]:
    """Where a monitored training stood when it was last measured: sharpness, and its limit.

    The sharpness itself is left out where a survey has measured the `spectrum`.
    """
    found = []
    kinds = [("relative_sharpness", "Sharpness over threshold", "relative_residual")]
    if not spectrum:
        kinds.append(("sharpness", "Sharpness, last measured", "sharpness_residual"))
    for name, label, residual in kinds:
        values = history[name].values if name in history else np.empty(0)
        there = np.flatnonzero(np.isfinite(values))
        if not len(there):
            continue
        k = int(there[-1])
        after = f"Measured after {int(history['time'].values[k]):,} optimizer steps: "
        explain = after + (
            "at 1, training is at the edge of stability of its rule."
            if name == "relative_sharpness"
            else "the largest curvature, in the units of the optimizer."
        )
        found.append(number(name, label, values[k], float(history[residual][k]), "", explain))
    return found


def negative_number(spectrum: xr.Dataset) -> dict[str, Any] | None:
    """The share of curvature directions that bend down, averaged over the probes done."""
    done = spectrum[["node", "weight"]].dropna("probe")
    if not done.sizes["probe"]:
        return None
    mass = negative_mass(done.assign_attrs(quantity="spectral_density"))
    low, high = 100 * float(mass["low"]), 100 * float(mass["high"])
    explain = (
        "The share of directions with negative curvature (more than "
        f"{mass.attrs['threshold']:g} of the largest below zero), averaged over random probes; "
        "the error is that of the probes, or what their nodes leave open where that is more."
    )
    ends = (f"{v:.0f}" if v == 0 or v >= 10 else f"{v:.2g}" for v in (low, high))
    note = f"the nodes allow {' to '.join(ends)} %"
    value, error = 100 * float(mass["negative_mass"]), 100 * mass_error(mass)
    return number("negative_weight", "Spectrum below zero", value, error, "%", explain) | {
        "note": note
    }


def convexity_number(convexity: xr.Dataset) -> dict[str, Any] | None:
    """The share of the map's points whose Hessian has a negative direction."""
    facts = convexity_facts(convexity)
    if "nonconvex_share" not in facts:
        return None
    share, high = (100 * facts[f"nonconvex_share{k}"] for k in ("", "_high"))
    explain = (
        f"The share of {facts['points']:,} points of a plane at which the full Hessian has a "
        "negative direction, beyond its residual and the tolerance; the error counts the "
        "undecided points."
    )
    error = high - share if high > share else None
    made = number("nonconvex_share", "Non-convex share", share, error, "%", explain)
    return made | {"exact": error is None}


def rise(position: np.ndarray, loss: np.ndarray) -> float | None:
    """How much the loss rises at the quoted distance, averaged over both senses of a line."""
    finite = np.isfinite(loss)
    x, y = position[finite], loss[finite]
    if not len(x) or x.min() > -DISTANCE + 1e-12 or x.max() < DISTANCE - 1e-12:
        return None
    middle, *sides = np.interp([0.0, -DISTANCE, DISTANCE], x, y)
    return float(np.mean(sides) - middle)


def rises(tree: xr.DataTree) -> np.ndarray:
    """One rise for every filter-normalized line, or for both axes of every plane without lines."""
    lines, axes = [], []
    for name, child in tree.children.items():
        if name.endswith("_recomputed"):  # the same directions under another BatchNorm policy
            continue
        data = child.to_dataset()
        if data.attrs.get("normalize") != "filter" or "loss" not in data:
            continue
        if data.attrs.get("quantity") == "line":
            lines.append(rise(data["alpha"].values, data["loss"].values))
        elif data.attrs.get("quantity") == "plane":
            for axis, other in (("alpha", "beta"), ("beta", "alpha")):
                cut = data["loss"].isel({other: int(np.argmin(np.abs(data[other].values)))})
                axes.append(rise(data[axis].values, cut.values))
    return np.array([r for r in (lines or axes) if r is not None])


def width_number(tree: xr.DataTree) -> dict[str, Any] | None:
    """How far the loss stays within one of the start's, averaged over planes; None without any."""
    samples, cut = widths(tree)
    if not len(samples):
        return None
    value, error = mean_and_error(samples)
    explain = (
        f"How far the weights move in a random plane until the loss has risen by {RISE:g}, "
        f"averaged over all directions in the plane and {len(samples)} "
        f"plane{'s' if len(samples) > 1 else ''}."
    )
    note = {"note": "at least: some ways leave the plane first"} if cut else {}
    return number("width", "Width at loss + 1", value, error, "filter norms", explain) | note


def headline(tree: xr.DataTree) -> list[dict[str, Any]]:
    """The headline numbers that the measures in `tree` allow, in a fixed order.

    Errors are standard errors over examples, probes or directions, except for eigenvalues, where
    the residual bounds the distance to a true eigenvalue.
    """
    found: list[dict[str, Any] | None] = []
    parts = {k: c.to_dataset() for k, c in tree.children.items()}
    if "start" in parts:
        found += start_numbers(parts["start"])
    samples = rises(tree)
    if len(samples):
        value, error = mean_and_error(samples)
        explain = (
            f"How much the loss rises {DISTANCE:.0%} of every filter's norm away, averaged over "
            f"{len(samples)} random directions."
        )
        found.append(number("rise", "Rise of loss at 10 %", value, error, "", explain))
    found.append(width_number(tree))
    if "residual" in parts.get("eigenvalues", ()):
        found += eigenvalue_numbers(parts["eigenvalues"])
    if "trace" in parts.get("trace", ()):
        found.append(trace_number(parts["trace"]))
    if "value" in parts.get("sharpness", ()):
        found += sharpness_numbers(parts["sharpness"])
    if "simple" in parts.get("noise_scale", ()):
        found += noise_numbers(parts["noise_scale"])
    if "smallest_eigenvalue" in parts.get("convexity", ()):
        found.append(convexity_number(parts["convexity"]))
    if "node" in parts.get("spectrum", ()):
        found.append(negative_number(parts["spectrum"]))
    found += barrier_numbers(parts, number)
    if "late_mean" in parts.get("edge_of_stability", ()):
        found += edge_numbers(parts["edge_of_stability"], number)
    if "status" in parts.get("monitor", ()):
        found += monitor_numbers(
            parts["monitor"], spectrum="residual" in parts.get("eigenvalues", ())
        )
    return [n for n in found if n is not None]
