"""The section on studies. Oracle: planted numbers, and the text and JSON of the page."""

from __future__ import annotations

import json

import pytest
import xarray as xr
from tests.studies.planted import batch_sizes, following, noisy, optimizers

from theodolite.reporting import report, write_summary
from theodolite.reporting.contents import read_trees
from theodolite.reporting.studies import study_panels
from theodolite.reporting.study_explanations import STUDY_EXPLANATIONS, STUDY_PITFALLS


def cell(place):
    lost = place["batch_size"] == 4 and place["learning_rate"] == 0.4
    return {**following(place), "compared": 0.0 if lost else 1.0}


def run(place):
    size = {"sgd": 1.0, "gd": 3.0, "sam": 0.5}[place["optimizer"]]
    sharp = size * 2.718 ** (0.01 * noisy(place))
    return {"largest_eigenvalue": sharp, "trace": sharp, "rate": 0.1, "example_gradients": 7.0}


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    parts = {"batch_size_study": batch_sizes(cell), "optimizer_study": optimizers(run)}
    return xr.DataTree.from_dict(parts)


def test_the_panel_says_what_the_numbers_say(tree):
    # kills: another measure's interval, a left out cell that is not named
    batch, rules = study_panels(read_trees(tree))
    assert batch.words[0].startswith("Sharpness falls with learning rate / batch size: rank")
    assert "times that at 4." in batch.words[2]
    assert batch.notes == ("Left out: batch size 4 at rate 0.4: did not reach the loss.",)
    assert "45 of 48 trainings" in batch.setting
    assert len(batch.figures) == 4
    correlations, cells = (table for _, table in batch.tables)
    assert correlations.rows[0][0] == "largest eigenvalue"
    assert len(cells.rows) == 16
    assert cells.rows[3][3] == "0 of 3"
    assert rules.words[0].startswith("Full batch: largest eigenvalue ")
    assert len(rules.figures) == 3  # no test error was measured


def test_one_seed_gives_values_without_intervals():
    # kills: "none" for a number that was measured
    alone = xr.DataTree.from_dict({"optimizer_study": optimizers(run, seeds=1)})
    (panel,) = study_panels(read_trees(alone))
    (_, table), *_ = panel.tables
    assert "1 seed (no interval)" in panel.setting
    sharp = [float(row[5]) for row in table.rows]
    assert sharp[1] > 2 * sharp[0] > 2 * sharp[2]
    assert not panel.words  # no ratio without a spread


def test_the_page_has_the_section_with_its_caveats(tree, tmp_path):
    text = report(tree, tmp_path / "page.html").read_text().replace("&#39;", "'")
    assert 'id="studies"' in text
    for explanation in STUDY_EXPLANATIONS.values():
        assert explanation.shows in text
        assert explanation.misleads in text
    assert {e.pitfall for e in STUDY_EXPLANATIONS.values()} <= {p.id for p in STUDY_PITFALLS}
    assert 'id="pitfall-matched-loss"' in text


def test_the_summary_holds_every_comparison(tree, tmp_path):
    found = json.loads(write_summary(tree, tmp_path / "summary.json").read_text())["studies"]
    batch = found["batch_size_study"]
    assert (batch["compared"], batch["trainings"]) == (45, 48)
    ratio = {r["measure"]: r for r in batch["sharpness_ratio"]}
    assert ratio["largest_eigenvalue"]["value_low"] < 8 < ratio["largest_eigenvalue"]["value_high"]
    rules = [r for r in found["optimizer_study"]["ratio"] if r["measure"] == "largest_eigenvalue"]
    assert {r["optimizer"] for r in rules} == {"sgd", "gd", "sam"}
    assert next(r["value"] for r in rules if r["optimizer"] == "gd") == pytest.approx(3, rel=0.05)


def test_too_few_cells_are_said_to_be_too_few(tmp_path):
    few = batch_sizes(cell, sizes=[4, 16])
    (panel,) = study_panels(read_trees(xr.DataTree.from_dict({"batch_size_study": few})))
    assert any("Too few cells" in figure.caption for figure in panel.figures)
