"""One summary, three writers. Oracle: the surveys' own numbers, read back from every format."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from tests.reporting import fixtures, shapes

from theodolite.reporting import write_markdown, write_summary
from theodolite.reporting.contents import Contents, read_trees
from theodolite.reporting.json import summary_json
from theodolite.reporting.markdown import escaped, markdown
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.summary import summarize


def test_the_json_has_the_agreed_shape(bowl: xr.DataTree, tmp_path: Path) -> None:
    written = json.loads(write_summary(bowl, tmp_path / "summary.json").read_text())
    assert written["schema"] == 1
    assert written["target"] == "Fashion-MNIST, residual networks"
    assert written["model"] == "ResNet-20"
    assert written["certificate"]["verdict"] == "certified"
    assert all(isinstance(s, str) for s in written["words"])


def test_headline_numbers_are_kept_to_the_last_bit(bowl: xr.DataTree, tmp_path: Path) -> None:
    # Kills: rounding on the way to the file.
    wanted = json.loads(bowl.attrs["headline"])
    written = json.loads(write_summary(bowl, tmp_path / "summary.json").read_text())["headline"]
    keys = ("name", "label", "value", "error", "exact", "unit", "explain")
    assert [{k: row[k] for k in keys} for row in written] == wanted


def test_several_surveys_are_listed_with_what_they_say_of_each_other(
    both: tuple[Contents, ...],
) -> None:
    written = summary_json(summarize(both))
    assert [m["label"] for m in written["models"]] == ["ResNet-20", "ResNet-20, no skips"]
    assert written["numbers"]["largest_ratio"]["value"] == pytest.approx(310 / 42)
    assert any("times as much" in s for s in written["words"])


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    # Kills: NaN in a file that says it is JSON.
    rows = [{"name": "trace", "label": "Trace", "value": None, "error": 1.0}]
    tree = fixtures.survey("bowl", steps=(5, 5), headline=json.dumps(rows))
    raw = write_summary(tree, tmp_path / "summary.json").read_text()

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    assert json.loads(raw, parse_constant=refuse)["headline"][0]["value"] is None


def test_a_survey_without_headline_gets_the_numbers_its_data_hold() -> None:
    parts = {"plane_0": shapes.plane("bowl", steps=(5, 5))}
    (found,) = read_trees(xr.DataTree.from_dict({"/": xr.Dataset(), **parts}))
    (model,) = summarize([found]).models
    assert [h.name for h in model.headline] == ["loss", "test_loss"]
    middle = parts["plane_0"].sel(alpha=0, beta=0)
    assert model.headline[0].number.value == float(middle["loss"])


def test_draws_stay_with_their_number(both: tuple[Contents, ...], chaos: xr.DataTree) -> None:
    (_, model) = summarize(both).models
    (trace,) = (h for h in model.headline if h.name == "trace")
    assert list(trace.samples) == chaos["trace"]["sample"].values.tolist()


@pytest.mark.parametrize(
    ("target", "title"),
    [
        ("Fashion-MNIST", "Fashion-MNIST"),
        ("file.py:build", "ResNet-20"),  # an address is no title
        ("", "ResNet-20"),
    ],
)
def test_the_title(target: str, title: str) -> None:
    found = read_trees(fixtures.survey("bowl", steps=(5, 5), target=target))
    assert summarize(found).title == title
    assert summarize(found, title="Mine").title == "Mine"


def test_markdown_carries_the_same_numbers(both: tuple[Contents, ...], tmp_path: Path) -> None:
    summary = summarize(both)
    page = markdown(summary)
    for model in summary.models:
        for headline in model.headline:
            assert escaped(text(headline.number)) in page
    for sentence in summary_json(summary)["words"]:
        assert escaped(sentence) in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {4, 5}


def test_markdown_of_one_survey_is_written(bowl: xr.DataTree, tmp_path: Path) -> None:
    page = write_markdown(bowl, tmp_path / "summary.md").read_text()
    assert page.startswith("# Fashion\\-MNIST") or page.startswith("# Fashion-MNIST")
    assert "## Certificate of ResNet-20: certified" in page


def test_outside_text_is_no_markup_in_markdown() -> None:
    # Kills: a model's name that closes a table or opens a tag.
    tree = fixtures.survey("bowl", model="a | b\n# c <script>", steps=(5, 5))
    page = markdown(summarize(read_trees(tree)))
    assert "<script>" not in page
    assert "a \\| b \\# c &lt;script&gt;" in page


def test_nothing_is_invented_without_a_certificate() -> None:
    parts = {"plane_0": shapes.plane("bowl", steps=(5, 5))}
    summary = summarize(read_trees(xr.DataTree.from_dict({"/": xr.Dataset(), **parts})))
    assert summary.models[0].certificate is None
    assert summary.facts[0].text == "not certified"
    assert summary_json(summary)["certificate"] is None


def test_facts_are_said_once_where_models_agree(both: tuple[Contents, ...]) -> None:
    # Kills: a fact of one model shown as a fact of all.
    texts = [f.text for f in summarize(both).facts]
    assert texts.count("BatchNorm frozen") == 1
    assert "2,048 of 60,000 examples" in texts
    assert "ResNet-20, no skips: 6 of 5,178 points diverged" in texts
    assert not any(t.startswith("ResNet-20: ") and "diverged" in t for t in texts)


def test_the_precision_of_the_loss_is_a_fact(bowl: xr.DataTree) -> None:
    rows = [{"name": "loss", "label": "Loss", "value": 2.0, "error": 0.05}]
    tree = fixtures.survey("bowl", steps=(5, 5), headline=json.dumps(rows))
    assert "loss known to ± 2.5 %" in [f.text for f in summarize(read_trees(tree)).facts]


@pytest.mark.parametrize(
    ("verdict", "sign"), [("certified", "good"), ("non-smooth", "warn"), ("uncertified", "bad")]
)
def test_the_verdict_leads_the_facts(verdict: str, sign: str) -> None:
    tree = fixtures.survey("bowl", steps=(5, 5), verdict=verdict)
    first = summarize(read_trees(tree)).facts[0]
    assert (first.text, first.sign) == (verdict, sign)


@pytest.mark.parametrize(("policy", "said"), [("recompute", True), ("none", False)])
def test_normalization_is_a_fact_of_models_that_have_it(policy: str, said: bool) -> None:
    # Kills: "BatchNorm none" of a transformer.
    tree = fixtures.survey("bowl", steps=(5, 5))
    tree.attrs["batch_norm"] = policy
    (found,) = read_trees(tree)
    texts = [f.text for f in summarize((found,)).facts]
    assert (f"BatchNorm {policy}" in texts) == said


def test_what_failed_is_said_beside_the_verdict() -> None:
    # Kills: a measurement that vanishes from the page because every unit of it failed.
    tree = fixtures.survey("bowl", steps=(5, 5))
    tree.attrs["failures"] = json.dumps({"spectrum": {"0": "product 1 is not finite"}})
    fact = summarize(read_trees(tree)).facts[1]
    assert (fact.text, fact.sign) == ("failed: spectrum", "bad")
    assert fact.why == "spectrum: product 1 is not finite"


def test_number_text_and_json_agree(both: tuple[Contents, ...]) -> None:
    for model in summary_json(summarize(both))["models"]:
        for row in model["headline"]:
            number = Number(row["value"], row["error"], row["exact"], row["unit"])
            assert row["text"] == text(number)
            assert math.isfinite(row["value"])
