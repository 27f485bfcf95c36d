"""An adaptive plane's other quantities, fitted through the same points as its loss."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from theodolite.results import DIVERGED, OK
from theodolite.surfaces.fitting import Fit, heights, through
from theodolite.surfaces.scouting import Scout
from theodolite.surfaces.sheet import Sheet

FITTED, MEASURED, HELD_OUT = 0, 1, 2
"""Values of ``sampled``."""


def completed(
    sheet: Sheet,
    scout: Scout | None,
    fit: Fit,
    *,
    log: bool,
    place: Int[np.ndarray, " held_out"],
) -> tuple[dict[str, Float[np.ndarray, "alpha beta"]], dict[str, Float[np.ndarray, " held_out"]]]:
    """Arrays over the grid, and the loss as measured and as fitted at the points held out.

    Measured points keep their values. Points held out keep the fit's, so that the error stated is
    that of the surface shown.
    """
    nodes = np.setdiff1d(np.flatnonzero(sheet.status == OK), place)
    bad = sheet.status == DIVERGED
    shown = np.exp(np.minimum(fit.values, 700.0)) if log else fit.values
    shown = _flat(sheet.values["loss"][nodes], shown)
    values = {"loss": _over(shown, sheet, "loss", nodes, bad)}
    spread = _calibrated(fit, sheet, log, place)
    spread = spread * (values["loss"] if log else 1.0)
    spread[nodes] = 0.0
    values["loss_fit_error"] = np.where(bad, np.nan, spread)
    missed = {}
    for name in ("loss_error", "accuracy", "accuracy_error"):
        if name in sheet.values:
            made = _flat(sheet.values[name][nodes], _other(name, sheet, scout, fit, nodes))
            missed[name] = made[place] - sheet.values[name][place]
            values[name] = _over(made, sheet, name, nodes, bad)
    values["status"] = np.where(bad, DIVERGED, OK).astype(np.float64)
    sampled = np.full(sheet.status.size, FITTED, np.float64)
    sampled[sheet.taken] = MEASURED
    sampled[place] = HELD_OUT
    values["sampled"] = sampled
    rows, columns = np.divmod(place, len(sheet.betas))
    held_out = {
        "alpha": sheet.alphas[rows],
        "beta": sheet.betas[columns],
        "loss": sheet.values["loss"][place],
        "fit": np.asarray(shown[place]),
    }
    if "accuracy" in missed:
        held_out["accuracy_error"] = np.nan_to_num(missed["accuracy"])
    return {n: v.reshape(sheet.shape) for n, v in values.items()}, held_out


def _flat(known: np.ndarray, made: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
    """The fit, or the one value that was measured everywhere, without the fit's rounding."""
    same = known.size > 0 and bool((known == known[0]).all())
    return np.full(made.shape, known[0]) if same else made


def _over(
    made: Float[np.ndarray, " point"],
    sheet: Sheet,
    name: str,
    nodes: np.ndarray,
    bad: np.ndarray,
) -> Float[np.ndarray, " point"]:
    """The fit, with what was measured on top, and nothing where the loss diverged."""
    out = np.array(made, dtype=np.float64)
    out[nodes] = sheet.values[name][nodes]
    out[bad] = np.nan
    return out


def _calibrated(fit: Fit, sheet: Sheet, log: bool, place: np.ndarray) -> np.ndarray:
    """The spread of the fits, scaled to have the root mean square of the errors held out."""
    gaps = heights(sheet.values["loss"][place], log) - fit.values[place]
    gaps = gaps[np.isfinite(gaps)]
    said, found = np.sqrt((fit.spread[place] ** 2).mean()), np.sqrt((gaps**2).mean())
    return np.asarray(fit.spread * (found / said if said > 0 else 1.0))


def _other(
    name: str, sheet: Sheet, scout: Scout | None, fit: Fit, nodes: np.ndarray
) -> Float[np.ndarray, " point"]:
    """One of the other quantities: errors follow the loss, accuracies the scout's."""
    known = sheet.values[name][nodes]
    where = nodes[np.isfinite(known)]
    known = sheet.values[name][where]
    size = sheet.status.size
    if len(where) < 3 * len(sheet.points[0]) + 6:
        return np.full(size, np.nan)
    drifts = {"smooth": np.zeros(size)}
    if name == "loss_error" and (known > 0).all():
        drifts["loss"] = fit.values
        made = through(sheet.points, where.tolist(), np.log(known), drifts).values
        return np.asarray(np.exp(np.minimum(made, 700.0)))
    if name == "accuracy" and scout is not None and scout.accuracy is not None:
        drift = scout.accuracy.reshape(-1)
        drifts["scout"] = np.where(np.isfinite(drift), drift, 0.0)
    made = through(sheet.points, where.tolist(), known, drifts).values
    return np.asarray(np.clip(made, 0.0, 1.0 if name == "accuracy" else np.inf))
