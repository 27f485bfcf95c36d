"""The panel of optimizers side by side."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import OPTIMIZER_NAMES, plot_optimizers
from theodolite.reporting.study_panels import (
    StudyPanel,
    drawn,
    interval,
    left_out_notes,
    loss_words,
    seeds_words,
    short,
)
from theodolite.reporting.tables import Table
from theodolite.studies.names import SHORT
from theodolite.studies.optimizer_summary import optimizer_summary

SHOWN = "largest_eigenvalue"
LEFT = 1.95
"""Inches for the names of the rows."""


def optimizer_panel(stored: xr.Dataset, label: str, number: int) -> StudyPanel:
    """Everything the section shows of one study of optimizers."""
    study = optimizer_summary(stored)
    drawn_measures = dict(SHORT)
    if np.isfinite(study["test_error"].values).any():
        drawn_measures["test_error"] = "test error"
    caption = "Diamonds are means over seeds with 95 % intervals, rings single seeds."
    return StudyPanel(
        label=label,
        index=number,
        kind="optimizers",
        title="Optimizers at one loss",
        setting=setting_words(study),
        words=words_of(study),
        figures=tuple(
            drawn(
                name[0].upper() + name[1:],
                partial(plot_optimizers, study, measure=measure),
                f"sto{number}{k}",
                caption if k == 0 else "",
                left=LEFT,
            )
            for k, (measure, name) in enumerate(drawn_measures.items())
        ),
        tables=(("Optimizers, means over the seeds compared", optimizer_table(study)),),
        notes=left_out_notes(study),
    )


def setting_words(study: xr.Dataset) -> str:
    """What was trained, and what is compared."""
    runs = study.sizes["optimizer"] * study.sizes["seed"]
    return (
        f"{study.sizes['optimizer']} optimizers by {seeds_words(study.sizes['seed'])}, batch size "
        f"{int(study.attrs['batch_size']):,} of {int(study.attrs['train_examples']):,} examples; "
        f"each at the best of the rates tried; compared {loss_words(study)}: "
        f"{int(study['compared'].sum())} of {runs} trainings."
    )


def words_of(study: xr.Dataset) -> tuple[str, ...]:
    """Each optimizer's sharpness over that of the first, with its interval."""
    names = study["optimizer"].values.tolist()
    first, said = OPTIMIZER_NAMES.get(names[0], names[0]), []
    for name in names[1:]:
        found = ratio(study, name, SHOWN)
        if math.isfinite(found[0]):
            said.append(
                f"{_capital(OPTIMIZER_NAMES.get(name, name))}: {SHORT[SHOWN]} "
                f"{interval(*found, digits=3)} times that of {first}."
            )
    return tuple(said)


def ratio(study: xr.Dataset, name: str, measure: str) -> tuple[float, float, float]:
    """A measure over the first optimizer's, with the ends of its interval."""
    at = study.sel(optimizer=name, measure=measure)
    return float(at["ratio"]), float(at["ratio_low"]), float(at["ratio_high"])


def optimizer_table(study: xr.Dataset) -> Table:
    """Every optimizer with rate, cost, ends and ratios."""
    rows = []
    for name in study["optimizer"].values.tolist():
        run = study.sel(optimizer=name)
        keep = run["compared"].values == 1
        plain_mean = [_mean(run[n].values[keep]) for n in ("updates", "example_gradients")]
        rates = sorted({f"{r:.3g}" for r in run["rate"].values[keep]}, key=float)
        ends = [_means(run.sel(measure=m), run[m].values[keep]) for m in SHORT]
        error = _mean(run["test_error"].values[keep])
        rows.append(
            (
                OPTIMIZER_NAMES.get(name, name),
                f"{int(keep.sum())} of {study.sizes['seed']}",
                ", ".join(rates) or "none",
                *(short(v, 3) for v in plain_mean),
                *ends,
                f"{short(100 * error, 3)} %" if math.isfinite(error) else "none",
            )
        )
    head = ("optimizer", "seeds", "rate", "updates", "example gradients")
    return Table((*head, *SHORT.values(), "test error"), tuple(rows))


def _means(at: xr.Dataset, values: np.ndarray) -> str:
    """A mean with its interval, or the only value there is."""
    value, low, high = (float(at["mean" + end]) for end in ("", "_low", "_high"))
    if math.isfinite(value):
        return f"{short(value)} ({short(low)} to {short(high)})"
    return short(float(values[0])) if len(values) == 1 else "none"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
