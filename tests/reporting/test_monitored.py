"""A monitored training in a report. Oracle: numbers put into the log by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr
from tests.plots.test_monitored import FACTS, MEASURES, history, row

from theodolite.reporting import report, save_figures
from theodolite.reporting.contents import read_trees
from theodolite.reporting.explanations import EXPLANATIONS
from theodolite.reporting.monitored import monitored_panels
from theodolite.reporting.monitored_words import monitor_sentences
from theodolite.reporting.sentences import plain_text
from theodolite.reporting.summary import summarize
from theodolite.surveys import load_run
from theodolite.surveys.monitored import LOG, Head


def words(rows: list[dict[str, object]]) -> list[str]:
    return [plain_text(s) for s in monitor_sentences(history(rows))]


def test_the_sentences_say_where_training_stands() -> None:
    # Kills: the first measurement for the last; the threshold itself for the ratio; the step of
    # the last measurement for that of the first at the edge.
    found = words([row(10, 3.0), row(20, 4.9), row(30, 5.1)])
    assert found[0] == (
        "After 30 steps the sharpness is 1.020 ± 0.002 times the largest at which gradient "
        "descent is stable: it is at the edge of stability, first seen after 20 steps."
    )
    assert "Batches of 8 have a mean curvature of 2.00 ± 0.25" in found[1]
    assert words([row(10, 3.0)])[0].endswith(": training is not at the edge of stability.")
    assert "may not be the loss trained on" in words([row(10, 50.0)])[0]


def test_what_failed_is_said_with_its_reason() -> None:
    kept = [m for m in MEASURES if m != "threshold"]
    bad = row(20, 3.0, failures={"threshold": "InvalidArgument: no threshold"}, measured=kept)
    found = words([row(10, 3.0), bad])[-1]
    assert found.startswith("Not measured in 1 of 2 measurements: threshold (InvalidArgument")


def test_a_folder_with_nothing_but_a_log_becomes_a_page(tmp_path: Path) -> None:
    # Kills: a section that is not in the template; a page that needs a survey.
    head = Head(FACTS | {"versions": "{}", "created": "2026-01-02"}, {}, MEASURES)
    rows = [row(10, 3.0), row(20, 4.9)]
    records = [head.record(), *({"event": "measured", **r} for r in rows)]
    (tmp_path / LOG).write_text("".join(json.dumps(r) + "\n" for r in records))
    tree = load_run(tmp_path)
    page = report(tree, tmp_path / "report.html").read_text("utf-8")
    assert 'id="monitor"' in page
    assert EXPLANATIONS["monitor"].shows in page
    assert EXPLANATIONS["monitor"].misleads in page.replace("&#39;", "'")
    assert page.count('class="still"') == 4  # sharpness, loss, distance, angle
    assert "2 measurements on 64 examples; update rule gradient descent" in page
    assert "0.98" in page
    assert {p.name for p in save_figures(tree, tmp_path / "figures")} == {
        *("sharpness.png", "monitor_loss.png"),
        *("monitor_distance_from_start.png", "monitor_step_angle.png"),
    }
    (model,) = summarize(read_trees(tree)).models
    assert model.headline[0].number.value == pytest.approx(0.98)
    assert plain_text(model.words[-1]).startswith("After 20 steps")


def test_several_models_are_side_by_side() -> None:
    made = [xr.DataTree.from_dict({"monitor": history()}) for _ in range(2)]
    panels = monitored_panels(read_trees({"a": made[0], "b": made[1]}))
    assert [p.label for p in panels] == ["a", "b"]
    assert panels[0].head[:3] == ("steps", "loss", "sharpness")
    assert panels[0].rows[0][:3] == ("10", "0.10 ± 0.01", "3.00 ± 0.01")


def test_an_empty_history_has_no_section() -> None:
    tree = xr.DataTree.from_dict({"monitor": history().isel(time=slice(0, 0))})
    assert monitored_panels(read_trees(tree)) == ()
