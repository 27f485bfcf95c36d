"""The panel of a grid of batch sizes and learning rates."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import (
    OPTIMIZER_NAMES,
    cell_means,
    plot_collapse,
    plot_sharpness_error,
    plot_study_grid,
)
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
from theodolite.studies.batch_size_summary import batch_size_summary
from theodolite.studies.names import SHARPNESS, SHORT

SHOWN = "largest_eigenvalue"
"""The measure that is drawn; the tables hold the others."""

Ends = tuple[float, float, float]
"""A number and the ends of its interval."""


def batch_size_panel(stored: xr.Dataset, label: str, number: int) -> StudyPanel:
    """Everything the section shows of one study of batch sizes."""
    study = batch_size_summary(stored, seed=int(stored.attrs["study_seed"]))
    known = bool(np.isfinite(study["test_error"].values).any())
    heat = [
        drawn(
            f"Sharpness ({SHORT[SHOWN]}), cell by cell",
            partial(plot_study_grid, study, variable=SHOWN),
            f"stg{number}",
            "Geometric mean over seeds; hatched cells are not compared.",
        ),
        drawn(
            "Sharpness over learning rate / batch size",
            partial(plot_collapse, study, measure=SHOWN),
            f"stc{number}",
            collapse_words(study),
        ),
    ]
    if known:
        heat.insert(
            1,
            drawn(
                "Test error, cell by cell",
                partial(plot_study_grid, study, variable="test_error"),
                f"ste{number}",
                "Mean over seeds; hatched cells are not compared.",
            ),
        )
        heat.append(
            drawn(
                "Test error over sharpness",
                partial(plot_sharpness_error, study, measure=SHOWN),
                f"sts{number}",
                error_words(study),
            )
        )
    return StudyPanel(
        label=label,
        index=number,
        kind="batch_size",
        title="Batch size and learning rate",
        setting=setting_words(study),
        words=words_of(study),
        figures=tuple(heat),
        tables=(
            ("Rank correlations, with 95 % intervals over cells", correlation_table(study)),
            ("Every cell, averaged over the seeds compared", cell_table(study)),
        ),
        notes=left_out_notes(study),
    )


def setting_words(study: xr.Dataset) -> str:
    """What was trained, and what is compared."""
    sizes, rates, seeds = (study.sizes[k] for k in ("batch_size", "learning_rate", "seed"))
    how, optimizer = study.attrs.get("training"), str(study.attrs["optimizer"])
    together = ", all rates and seeds of a batch size at once" if how == "together" else ""
    return (
        f"{sizes} batch sizes by {rates} learning rates by {seeds_words(seeds)}, "
        f"{int(study.attrs['train_examples']):,} examples, "
        f"{OPTIMIZER_NAMES.get(optimizer, optimizer)} at a constant rate{together}; "
        f"compared {loss_words(study)}: "
        f"{int(study['compared'].sum())} of {sizes * rates * seeds} trainings."
    )


def correlation(study: xr.Dataset, relation: str, measure: str = SHOWN) -> Ends:
    """A rank correlation with its interval: Spearman's, of cells at one temperature Kendall's."""
    kind = "kendall" if relation == "batch_size" else "spearman"
    at = study.sel(relation=relation, measure=measure)
    return float(at[kind]), float(at[f"{kind}_low"]), float(at[f"{kind}_high"])


def batch_ratio(study: xr.Dataset, measure: str = SHOWN) -> Ends:
    """Sharpness at the largest batch size over that at the smallest, with its interval."""
    at, name = study.sel(measure=measure), "sharpness_ratio"
    return float(at[name]), float(at[f"{name}_low"]), float(at[f"{name}_high"])


def collapse_words(study: xr.Dataset) -> str:
    """The caption below the collapse."""
    found = correlation(study, "temperature")
    if not math.isfinite(found[0]):
        return "Too few cells are compared for a rank correlation (10 are needed)."
    rest = correlation(study, "batch_size")
    more = (
        " Kendall's rank correlation of sharpness and batch size among cells of equal ratio "
        f"{interval(*rest)}."
        if math.isfinite(rest[0])
        else ""
    )
    return f"Spearman's rank correlation {interval(*found)}.{more}"


def error_words(study: xr.Dataset) -> str:
    """The caption below test error over sharpness."""
    found = correlation(study, "test_error")
    if not math.isfinite(found[0]):
        return "Too few cells are compared for a rank correlation (10 are needed)."
    return (
        f"Spearman's rank correlation {interval(*found)}. A mark tells the batch size as beside, "
        "the color the ratio of learning rate to batch size."
    )


def words_of(study: xr.Dataset) -> tuple[str, ...]:
    """What the study says, each sentence with its interval."""
    said = []
    value, low, high = correlation(study, "temperature")
    if math.isfinite(value):
        said.append(_follows(value, low, high))
    value, low, high = correlation(study, "test_error")
    if math.isfinite(value):
        sense = "higher" if value > 0 else "lower"
        verdict = (
            f"Sharper ends have a {sense} test error here"
            if low * high > 0
            else "Sharpness and test error are not tied in rank here"
        )
        said.append(f"{verdict}: rank correlation {interval(value, low, high)}.")
    ratio = batch_ratio(study)
    if math.isfinite(ratio[0]):
        large, small = (int(study["batch_size"].values[k]) for k in (-1, 0))
        said.append(
            f"At equal rates the {SHORT[SHOWN]} at batch size {large:,} is "
            f"{interval(*ratio, digits=3)} times that at {small:,}."
        )
    return tuple(said)


def _follows(value: float, low: float, high: float) -> str:
    if low * high <= 0:
        head = "Sharpness does not go with learning rate / batch size in rank"
    else:
        more = "falls" if value < 0 else "rises"
        head = f"Sharpness {more} with learning rate / batch size"
    return f"{head}: rank correlation {interval(value, low, high)}."


def correlation_table(study: xr.Dataset) -> Table:
    """Every measure in every relation."""
    heads = {
        "temperature": "with learning rate / batch size",
        "test_error": "with test error",
        "batch_size": "with batch size at equal ratio (Kendall)",
    }
    rows = []
    for measure in SHARPNESS:
        cells = [_cell(correlation(study, relation, measure)) for relation in heads]
        rows.append((SHORT[measure], *cells, _cell(batch_ratio(study, measure))))
    return Table(("measure", *heads.values(), "largest / smallest batch"), tuple(rows))


def _cell(found: Ends) -> str:
    if not math.isfinite(found[0]):
        return "none"
    return f"{short(found[0])} ({short(found[1])} to {short(found[2])})"


def cell_table(study: xr.Dataset) -> Table:
    """Every cell with what was measured there."""
    names = ("updates", "train_loss", *SHARPNESS, "test_error")
    means = {n: cell_means(study, n)[0] for n in names}
    counts = cell_means(study, "updates")[1]
    heat = study["temperature"].transpose("batch_size", "learning_rate").values
    rows = []
    for i, size in enumerate(study["batch_size"].values):
        for j, rate in enumerate(study["learning_rate"].values):
            shown = [short(float(means[n][i, j]), 3) for n in names[:-1]]
            error = float(means["test_error"][i, j])
            rows.append(
                (
                    f"{int(size):,}",
                    short(float(rate), 3),
                    short(float(heat[i, j]), 3),
                    f"{counts[i, j]} of {study.sizes['seed']}",
                    *shown,
                    f"{short(100 * error, 3)} %" if math.isfinite(error) else "none",
                )
            )
    head = ("batch size", "rate", "rate / batch", "seeds", "updates", "training loss")
    return Table((*head, *SHORT.values(), "test error"), tuple(rows))
