"""Pictures and tables of barriers. Oracle: the numbers handed in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes

from theodolite import results
from theodolite.plots import plot_barrier
from theodolite.reporting.connectivity import connection_panels
from theodolite.reporting.connectivity_values import barrier_words
from theodolite.reporting.contents import read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.pitfalls import PITFALLS

ALPHA = np.linspace(0, 1, 5)


def line(height: float, pair: tuple[int, int] = (0, 1), **attrs: Any) -> xr.Dataset:
    """A line that rises by `height` from one half of it on both sides."""
    loss = 0.5 + height * np.array([0, 0.5, 1, 0.5, 0])
    curves = {"loss": loss, "test_loss": loss + 0.1, "accuracy": 1 - loss / 10}
    curves |= {f"{k}_error": np.full(5, 0.02) for k in tuple(curves)}
    variables: dict[str, Any] = {k: (("alpha",), v, {"long_name": k}) for k, v in curves.items()}
    variables["refined"] = (("alpha",), np.array([0, 0, 0, 1, 0]), {"long_name": "refined"})
    variables["status"] = results.status_variable(("alpha",), np.ones(5))
    for name in ("barrier", "instability", "saddle_excess", "area"):
        for prefix in ("", "test_", "error_"):
            for end, value in (("", height), ("_low", 0.9 * height), ("_high", 1.1 * height)):
                variables[prefix + name + end] = ((), value, {"long_name": name})
    names = ["one", "two", "three"]
    told = {"first": names[pair[0]], "second": names[pair[1]], "points": names, "pair": pair}
    told |= {"statistics": "none", "distance": 3.0, "level": 0.9}
    return results.dataset("barrier", variables, {"alpha": ALPHA}, **{**told, **attrs})


def test_curves_bands_and_chords_are_drawn(ax: Axes) -> None:
    # kills: accuracy for error, a band of one standard error, test drawn as training
    found = line(2.0)
    plot_barrier(found, ax)
    train, test = (c for c in ax.get_lines() if c.get_label() in ("training", "test"))
    np.testing.assert_array_equal(train.get_ydata(), found["loss"].values)
    np.testing.assert_array_equal(test.get_ydata(), found["test_loss"].values)
    assert train.get_linestyle() == "-"
    assert test.get_linestyle() != "-"
    top = ax.collections[0].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(2.5 + 2 * 0.02)
    chords = [c for c in ax.get_lines() if c.get_linestyle() == ":"]
    np.testing.assert_array_equal(chords[0].get_ydata(), [0.5, 0.5])
    assert ax.get_xlabel() == "share of the way from one to two"
    errors = plot_barrier(found, ax.figure.add_subplot(), variable="error")
    np.testing.assert_allclose(errors.get_lines()[0].get_ydata(), 10 * found["loss"].values)


def test_recomputed_statistics_are_drawn_beside_and_gaps_break_lines(ax: Axes) -> None:
    kept, made = line(2.0, statistics="interpolated"), line(1.0, statistics="recomputed")
    made["status"][2] = results.DIVERGED
    plot_barrier(kept, ax, recomputed=made)
    by_label = {c.get_label(): c for c in ax.get_lines()}
    assert by_label["training, averaged statistics"].get_ydata()[2] == 2.5
    again = by_label["training, recomputed"]
    assert np.isnan(again.get_ydata()[2])
    assert again.get_ydata()[1] == 1.0
    assert again.get_color() != by_label["training, averaged statistics"].get_color()


def tree() -> xr.DataTree:
    """Three pairs, of which the first was measured again."""
    parts = {f"barrier_{i}_{j}": line(i + 2.0 * j, (i, j)) for i, j in ((0, 1), (0, 2), (1, 2))}
    parts["barrier_0_1"].attrs["statistics"] = "interpolated"
    parts["barrier_0_1_recomputed"] = line(0.25, statistics="recomputed")
    return xr.DataTree.from_dict(parts)


def test_the_section_tells_the_recomputed_barrier_and_all_pairs() -> None:
    # kills: averaged statistics quoted as the barrier, a matrix that is not symmetric
    contents = read_trees(tree())[0]
    assert len(contents.barriers) == 3
    (panel,) = connection_panels([contents])
    (lines,) = panel.parts
    assert panel.verdicts == ()  # nobody said what counts as none
    said = lines.sentences[0]
    assert "Between one and two, 3 apart" in said
    assert "at most 0.25 (0.225 to 0.275), with BatchNorm statistics recomputed," in said
    assert said.endswith("With averaged ones it would be 2.")
    (_, matrix), (_, heights) = lines.tables
    assert matrix.rows == (
        ("one", "0", "0.25", "4"),
        ("two", "0.25", "0", "5"),
        ("three", "4", "5", "0"),
    )
    assert len(heights.rows) == 4 * 3
    assert heights.head[0] == "90 % intervals"
    assert heights.rows[0] == (
        "one to two, averaged statistics, training loss",
        *["2 (1.8 to 2.2)"] * 4,
    )
    assert heights.rows[2][1] == "200 (180 to 220) pp"
    losses, errors = (view.pictures for view in lines.views)
    assert (len(losses), len(errors)) == (3, 3)
    behind = losses[0].table
    assert behind is not None
    assert behind.head[1:] == (
        "training, averaged statistics",
        "test, averaged statistics",
        "training, recomputed",
        "test, recomputed",
    )
    assert behind.rows[2] == ("0.5", "2.5", "2.6", "0.75", "0.85")
    assert len(behind.rows) == 4  # places added around a maximum are left out


def test_a_diverged_line_has_no_barrier_to_tell() -> None:
    broken = line(1.0)
    broken["barrier"] = np.nan
    (said,) = barrier_words(read_trees(xr.DataTree.from_dict({"barrier": broken}))[0])
    assert "not finite everywhere" in said


def test_the_section_is_explained() -> None:
    assert EXPLANATIONS["connectivity"].pitfall in {p.id for p in PITFALLS}
