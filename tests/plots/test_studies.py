"""Plots of studies. Oracle: the planted numbers, read back from the artists."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tests.studies.planted import RATES, SIZES, batch_sizes, following, optimizers

from theodolite.errors import InvalidArgument
from theodolite.plots import (
    cell_means,
    plot_collapse,
    plot_optimizers,
    plot_sharpness_error,
    plot_study_grid,
)
from theodolite.studies.batch_size_summary import batch_size_summary
from theodolite.studies.optimizer_summary import optimizer_summary


def row(cell):
    lost = cell["batch_size"] == 4 and (cell["learning_rate"] == 0.4 or cell["seed"] == 0)
    return {**following(cell), "compared": 0.0 if lost else 1.0}


STUDY = batch_size_summary(batch_sizes(row))


def axes():
    return Figure().add_subplot()


def test_cells_are_geometric_means_of_the_seeds_compared():
    # kills: seeds that are not compared, arithmetic means, axes exchanged
    means, counts = cell_means(STUDY, "trace")
    one = STUDY.trace.sel(batch_size=4, learning_rate=0.05, seed=[1, 2]).values
    assert means[0, 0] == pytest.approx(np.sqrt(one.prod()))
    assert counts[0].tolist() == [2, 2, 2, 0]
    assert np.isnan(means[0, 3])
    errors, _ = cell_means(STUDY, "test_error")
    assert errors[2, 1] == pytest.approx(float(STUDY.test_error[2, :, 1].mean()))


def test_the_grid_writes_every_number_and_hatches_what_is_missing():
    ax = plot_study_grid(STUDY, axes(), variable="test_error")
    cells = [p for p in ax.patches if isinstance(p, Rectangle)]
    assert len(cells) == len(SIZES) * len(RATES)
    assert sum(p.get_hatch() is not None for p in cells) == 1
    texts = [t.get_text() for t in ax.texts]
    assert len(texts) == 15
    assert sum("2 of 3" in t for t in texts) == 3
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.05", "0.1", "0.2", "0.4"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["4", "16", "64", "256"]


def test_the_collapse_has_a_curve_a_batch_size_over_the_ratio():
    # kills: the rate for the ratio
    ax = plot_collapse(STUDY, axes())
    named = {a.get_label(): a for a in ax.get_lines() if not a.get_label().startswith("_")}
    assert list(named) == ["4", "16", "64", "256"]
    x, y = named["16"].get_data()
    np.testing.assert_allclose(x, np.array(RATES) / 16)
    np.testing.assert_allclose(y, cell_means(STUDY, "largest_eigenvalue")[0][1])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert len({a.get_marker() for a in named.values()}) == 4


def test_points_are_trainings_colored_by_temperature():
    # kills: points that are not compared, colors of another cell
    ax = plot_sharpness_error(STUDY, axes())
    drawn = np.concatenate([c.get_offsets() for c in ax.collections[:4]])
    assert len(drawn) == int(STUDY.compared.sum())
    wanted = STUDY.largest_eigenvalue.values[STUDY.compared.values == 1]
    np.testing.assert_allclose(np.sort(drawn[:, 0]), np.sort(wanted))
    colors = np.concatenate([c.get_facecolors() for c in ax.collections[:4]])
    assert len(np.unique(colors.round(6), axis=0)) == len(np.unique(STUDY.temperature)) - 1


def test_optimizers_are_rows_with_intervals_and_seeds():
    def run(cell):
        return {"trace": 1.0 + cell["seed"], "compared": float(cell["optimizer"] != "sam")}

    study = optimizer_summary(optimizers(run))
    ax = plot_optimizers(study, axes(), measure="trace")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["SAM", "full batch", "SGD"]
    rings = [a for a in ax.get_lines() if a.get_markerfacecolor() == "none"]
    assert [a.get_xdata().tolist() for a in rings] == [[1.0, 2.0, 3.0, 4.0]] * 2
    mean = next(a for a in ax.get_lines() if a.get_marker() == "D")
    assert mean.get_xdata()[0] == pytest.approx(24**0.25)
    assert [t.get_text() for t in ax.texts] == ["not at the loss"]


def test_other_results_are_refused():
    for plot in (plot_study_grid, plot_collapse, plot_sharpness_error):
        with pytest.raises(InvalidArgument):
            plot(optimizers(lambda cell: {}), axes())
    with pytest.raises(InvalidArgument):
        plot_optimizers(STUDY, axes())
