"""Gradient descent at several rates in a report. Oracle: numbers put into the result by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from theodolite import results
from theodolite.curvature.sharpening_facts import NUMBERS
from theodolite.plots import plot_descent_losses, plot_sharpness_paths
from theodolite.reporting import report
from theodolite.reporting.contents import read_trees
from theodolite.reporting.edge_words import edge_record, edge_sentences
from theodolite.reporting.edges import edge_table
from theodolite.reporting.sentences import plain_text

STEPS = 1000


def study(**changes: list[float]) -> xr.Dataset:
    """Three runs: one at the edge, one that left it, one that never came near."""
    number = {
        "rate": [0.5, 0.25, 0.1],
        "threshold": [4.0, 8.0, 20.0],
        "start_eigenvalue": [1.0, 1.0, 1.0],
        "first_crossing": [120.0, np.nan, np.nan],
        "rise_factor": [4.0, 7.5, 3.0],
        "peak": [1.1, 0.95, 0.15],
        "late_mean": [1.02, 0.2, 0.14],
        "late_error": [0.01, 0.02, 0.01],
        "late_low": [1.0, 0.15, 0.12],
        "late_high": [1.04, 0.25, 0.16],
        "rising_before": [0.0, np.nan, np.nan],
        "rising_after": [0.42, np.nan, np.nan],
        "falling_windows": [0.8, np.nan, np.nan],
        "diverged": [np.nan] * 3,
        "products": [100.0] * 3,
        "unsettled": [0.0] * 3,
        "fresh_start": [np.nan] * 3,
        "rise_slope": [1.0] * 3,
        "rise_explained": [1.0] * 3,
    } | changes
    times = np.arange(0, STEPS + 1, 100)
    largest = np.stack([np.linspace(1, 4, 11), [1, 7, *[2] * 9], np.linspace(1, 3, 11)])
    words = {**NUMBERS, "rate": "rate", "fresh_start": "start"}
    return results.dataset(
        "edge_of_stability",
        {
            "eigenvalue": (("run", "time", "pair"), largest[:, :, None], {"long_name": "e"}),
            "residual": (("run", "time", "pair"), 0 * largest[:, :, None], {"long_name": "r"}),
            "loss": (
                ("run", "step"),
                np.stack([0.5 ** (np.arange(STEPS + 1) / 100)] * 3),
                {"long_name": "loss"},
            ),
            **{n: (("run",), v, {"long_name": words[n]}) for n, v in number.items()},
        },
        {"run": np.arange(3), "time": times, "step": np.arange(STEPS + 1), "pair": [0]},
        momentum=0.0,
        nesterov=False,
        examples=64,
        every=100,
        late=250,
        loss_function="half_square",
        model="Net",
    )


def test_the_sentences_say_where_every_run_ended() -> None:
    # Kills: one standing for all; cross-entropy called by its name and not by what was measured.
    said = [plain_text(s) for s in edge_sentences(study())]
    assert said[0] == (
        "Rate 0.5: over the last 250 of 1,000 steps the sharpness is 1.02 ± 0.01 of the "
        "threshold: it stays at the edge of stability, first reached after 120 steps."
    )
    assert "it came to 0.95 of it, and fell again while the loss went from 0.5 to " in said[1]
    assert said[2].endswith("training ended before the edge of stability.")
    assert said[3] == (
        "The loss rises in 42 % of single steps after the crossing (0 % before), and still falls "
        "from one fortieth of that time to the next in 80 % of cases."
    )
    lost = edge_sentences(study(diverged=[7.0, np.nan, np.nan]))
    assert "no longer finite after 7 steps" in plain_text(lost[0])


def test_the_table_and_the_record_hold_every_run_made() -> None:
    table = edge_table(study())
    assert [row[0] for row in table.rows] == ["rate 0.5", "rate 0.25", "rate 0.1"]
    assert [row[-1] for row in table.rows] == ["at the edge", "left the edge", "below the edge"]
    assert table.rows[0][2] == "120"
    assert table.rows[1][2] == "never"
    part = study(rate=[0.5, np.nan, np.nan])
    assert len(edge_table(part).rows) == 1
    record = edge_record(part)
    assert [r["standing"] for r in record] == ["at the edge", "not made", "not made"]
    assert record[0]["late_mean"] == pytest.approx(1.02)
    assert record[1]["rate"] is None


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def test_curves_and_thresholds_are_drawn_for_every_rate(ax: Axes) -> None:
    # Kills: a threshold of another rate; the second eigenvalue in place of the first.
    plot_sharpness_paths(study(), ax)
    drawn = [list(np.asarray(line.get_ydata(), float)) for line in ax.get_lines()]
    assert [4.0, 4.0] in drawn
    assert [20.0, 20.0] in drawn
    assert list(np.linspace(1, 4, 11)) in drawn
    assert {t.get_text() for t in ax.texts} == {
        f"threshold at rate {r}" for r in ("0.5", "0.25", "0.1")
    }


def test_long_losses_keep_their_extremes(ax: Axes) -> None:
    plot_descent_losses(study(), ax)
    first = np.asarray(ax.get_lines()[0].get_ydata(), float)
    assert len(first) <= 800
    assert first.max() == 1
    assert first.min() == pytest.approx(0.5**10)
    assert ax.get_yscale() == "log"


def test_the_page_has_the_section(tmp_path: Path) -> None:
    tree = xr.DataTree(children={"edge_of_stability": xr.DataTree(study())})
    page = report(tree, tmp_path / "report.html").read_text("utf-8")
    assert 'id="edge"' in page
    assert "without momentum over all 64 examples" in page
    assert read_trees(tree)[0].edge is not None
