"""Arrays and settings as the page carries them: base64 of little-endian float32, and JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps

from theodolite.plots import (
    Heights,
    density_floor,
    distance_label,
    heights,
    kernel_words,
    palette,
    scale_bar,
    smooth_together,
    status_counts,
    status_of,
    wide_spread,
)
from theodolite.reporting.contents import Contents
from theodolite.reporting.overlays import pack_overlays, pack_samples
from theodolite.reporting.variants import shared_note

METRICS = ("loss", "accuracy")
SPLITS = ("train", "test")


def page_data(surveys: Sequence[Contents], title: str) -> dict[str, Any]:
    """Everything the page draws, as plain JSON values."""
    return {
        "title": title,
        "labels": [c.label for c in surveys],
        "colormap": [_hex(rgb) for rgb in colormaps[palette.SURFACE](np.linspace(0, 1, 64))],
        "planes": [[pack_variants(c, k) for k in range(len(c.planes))] for c in surveys],
        "variants": shared_note(surveys),
        "scales": scales(surveys),
        "lines": [[pack_line(x) for x in c.lines] for c in surveys],
        **_spectra(surveys),
        "eigenvalues": [
            None if c.eigenvalues is None else pack_eigenvalues(c.eigenvalues) for c in surveys
        ],
        "training": [None if c.training is None else pack_training(c.training) for c in surveys],
    }


def variable_of(metric: str, split: str) -> str:
    """The variable that holds `metric` on `split`.

    >>> variable_of("loss", "train"), variable_of("accuracy", "test")
    ('loss', 'test_accuracy')
    """
    return metric if split == "train" else f"test_{metric}"


def pack_array(values: np.ndarray) -> dict[str, Any]:
    """An array as base64 float32; NaN and infinity stay what they are.

    >>> pack_array(np.array([1.0, 2.0]))
    {'shape': [2], 'f32': 'AACAPwAAAEA='}
    """
    with np.errstate(over="ignore"):  # beyond float32 a loss is as good as infinite
        data = np.ascontiguousarray(values, dtype="<f4")
    return {"shape": list(data.shape), "f32": base64.b64encode(data.tobytes()).decode("ascii")}


def pack_variants(contents: Contents, number: int) -> dict[str, Any]:
    """A plane and, where it was measured again with recomputed statistics, that one in it."""
    again = contents.recomputed.get(number)
    plane = contents.planes[number]
    return pack_plane(plane) | {
        "recomputed": None if again is None else pack_plane(again),
        "normed": str(plane.attrs.get("batch_norm", "none")) == "frozen",
    }


def pack_plane(plane: xr.Dataset) -> dict[str, Any]:
    """A plane with every metric it has, in (alpha, beta) order."""
    ordered = plane.transpose("alpha", "beta", ...).sortby(["alpha", "beta"])
    names = [f"{v}{e}" for m in METRICS for s in SPLITS for v in [variable_of(m, s)] for e in _ENDS]
    bar = scale_bar(plane)
    return {
        "alpha": pack_array(ordered["alpha"].values),
        "beta": pack_array(ordered["beta"].values),
        "fields": {n: pack_array(ordered[n].values) for n in names if n in plane},
        "status": {s: _pack_status(ordered, variable_of("loss", s)) for s in SPLITS},
        "counts": status_counts(plane) if "status" in plane else {},
        "labels": [distance_label(plane, 1), distance_label(plane, 2)],
        "bar": None if bar is None else {"length": bar[0], "percent": bar[1]},
        "overlays": pack_overlays(plane),
        "samples": pack_samples(plane),
        "start": _covers_zero(plane["alpha"].values) and _covers_zero(plane["beta"].values),
    }


def _pack_status(plane: xr.Dataset, variable: str) -> str:
    known = status_of(plane, variable)
    if known is None:
        known = np.isfinite(plane["loss"].values)
    return base64.b64encode(known.astype(np.uint8).tobytes()).decode("ascii")


def scales(surveys: Sequence[Contents]) -> list[dict[str, Any]]:
    """For each plane number and variable the scale all models and variants share.

    A log scale is missing where a value is zero or negative, and for accuracies.
    """
    most = max((len(c.planes) for c in surveys), default=0)
    out = []
    for number in range(most):
        planes = [c.planes[number] for c in surveys if number < len(c.planes)]
        planes += [c.recomputed[number] for c in surveys if number in c.recomputed]
        found = {}
        for variable in (variable_of(m, s) for m in METRICS for s in SPLITS):
            having = [p for p in planes if variable in p]
            if having:
                found[variable] = _both_scales(having, variable)
        out.append(found)
    return out


def pack_line(line: xr.Dataset) -> dict[str, Any]:
    """A random line with its errors."""
    names = [f"{v}{e}" for v in ("loss", "test_loss") for e in _ENDS]
    return {
        "alpha": pack_array(line["alpha"].values),
        "fields": {n: pack_array(_measured(line, n)) for n in names if n in line},
        "label": distance_label(line, 1).replace("direction 1", "the random direction"),
    }


def pack_curve(curve: xr.Dataset) -> dict[str, Any]:
    """A smoothed density: mean, smallest and largest over probes."""
    each = curve["density"].values
    return {
        "value": pack_array(curve["eigenvalue"].values),
        "mean": pack_array(each.mean(axis=0)),
        "low": pack_array(each.min(axis=0)),
        "high": pack_array(each.max(axis=0)),
        "floor": density_floor(curve),
        "kernel": kernel_words(curve),
    }


def pack_eigenvalues(pairs: xr.Dataset) -> dict[str, Any]:
    """Eigenvalues with their residuals."""
    return {
        "value": pack_array(pairs["eigenvalue"].values),
        "residual": pack_array(pairs["residual"].values),
    }


def pack_training(history: xr.Dataset) -> dict[str, Any]:
    """The history, every metric that was recorded."""
    names = [f"{v}{e}" for m in METRICS for s in SPLITS for v in [variable_of(m, s)] for e in _ENDS]
    return {
        "epoch": pack_array(history["epoch"].values),
        "fields": {n: pack_array(history[n].values) for n in names if n in history},
    }


def json_for_script(value: Any) -> str:
    r"""`value` as JSON that no HTML parser can leave early.

    ``<``, ``>``, ``&`` and the two line separators are written as escapes, so that no text in
    the data can close the element, open a comment or end a JavaScript line.

    >>> json_for_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(_without_nan(value), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


_ENDS = ("", "_error")


def _spectra(surveys: Sequence[Contents]) -> dict[str, Any]:
    """Every spectrum on a linear axis and, where that hides the bulk, on a wide one."""
    found = [c.spectrum for c in surveys if c.spectrum is not None]
    curves = {"linear": smooth_together(found)}
    if wide_spread(found):
        curves["wide"] = smooth_together(found, scale="log")
    each = iter([{k: pack_curve(v[n]) for k, v in curves.items()} for n in range(len(found))])
    wide = curves.get("wide")
    return {
        "wide_within": 2 * float(wide[0].attrs["floor"]) if wide else None,
        "spectra": [None if c.spectrum is None else next(each) for c in surveys],
    }


def _both_scales(planes: Sequence[xr.Dataset], variable: str) -> dict[str, Any]:
    chosen = heights(planes, variable)
    linear = heights(planes, variable, log=False)
    positive = linear.low > 0 and variable.endswith("loss")
    log = heights(planes, variable, log=True) if positive else None
    return {
        "log": None if log is None else _scale(log),
        "linear": _scale(linear),
        "default": "log" if chosen.log and log is not None else "linear",
        "decades": None if math.isnan(linear.decades) else linear.decades,
    }


def _scale(found: Heights) -> dict[str, Any]:
    return {
        "low": found.low,
        "high": found.high,
        "top": found.top,
        "clipped": found.clipped,
        "levels": list(found.levels),
    }


def _measured(line: xr.Dataset, name: str) -> np.ndarray:
    values = line[name].values
    return np.where(line["status"].values == 1, values, np.nan) if "status" in line else values


def _covers_zero(values: np.ndarray) -> bool:
    return bool(values.size and values.min() <= 0 <= values.max())


def _hex(rgb: np.ndarray) -> str:
    return "#" + "".join(f"{round(255 * float(c)):02x}" for c in rgb[:3])


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return value
