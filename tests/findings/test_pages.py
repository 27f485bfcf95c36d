"""The pages in docs/findings are what the script writes from results.

Oracle: the numbers in the verdict and the estimates themselves.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
import xarray as xr

from theodolite import findings, results
from theodolite.findings import catalog
from theodolite.findings.finding import PRESETS, Finding
from theodolite.findings.verdict import INCONCLUSIVE, Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import mean_interval

ROOT = Path(__file__).resolve().parents[2]
NAME = "a_planted_number_is_large"


@dataclass(frozen=True)
class Settings:
    seeds: int = 3


def measure(settings: Settings, seed: int) -> xr.Dataset:
    words = {"long_name": "planted number"}
    return results.dataset("finding", {"planted": ((), 7.125 + seed, words)})


def judge(measured: xr.Dataset) -> Verdict:
    def by(shift: float) -> Verdict:
        estimate = mean_interval(measured.planted.values - shift)
        outcome = at_least(estimate, minimum=1.0)
        return concluded(outcome, estimate, seeds=3, explanation=f"|shift| is {shift:g}.")

    return controlled(by(0), negative=by(90), corrected=controlled(by(1), negative=by(91)))


FINDING = Finding(
    name=NAME,
    claim="It is at least 1.",
    reference="nobody",
    protocol="plant",
    threshold="1",
    negative_control="less 90",
    limits="toy",
    effect="mean",
    settings=dict.fromkeys(PRESETS, Settings()),
    measure=measure,
    judge=judge,
    estimates=lambda d: {"planted | mean": mean_interval(d.planted.values)},
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, on one planted finding, writing to an empty folder."""
    spec = importlib.util.spec_from_file_location(
        "write_findings", ROOT / "scripts" / "write_findings.py"
    )
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(catalog, "_all", lambda: {NAME: FINDING})
    monkeypatch.setattr(made, "PAGES", tmp_path / "findings")
    return made


def cells(page: str, first: str) -> list[str]:
    """The cells of the row that begins with `first`."""
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in row.replace("\\|", "/").strip("|").split("|")]


def test_a_page_holds_the_numbers_of_the_result(script: ModuleType) -> None:
    # Kills: ends of an interval swapped, a control left out, a bar that breaks the table.
    page = script.page(FINDING, findings.run(NAME, preset="quick"), seconds=2.0)
    low, high = findings.verdict_of(findings.run(NAME)).interval
    ends = f"[{low:.4g}, {high:.4g}]"
    assert page.startswith("# A planted number is large\n\n**Verdict: reproduced**")
    assert cells(page, "claim") == ["claim", "reproduced", "8.125", ends, "/shift/ is 0."]
    assert cells(page, "negative control")[1:3] == ["not reproduced", "-81.88"]
    assert cells(page, "corrected statement")[1:3] == ["reproduced", "7.125"]
    assert cells(page, "corrected statement: its negative control")[1] == "not reproduced"
    assert cells(page, "planted \\| mean")[1:3] == ["8.125", ends]
    for word in ("It is at least 1.", "nobody", "less 90", "seeds 0 to 2", "2 s of one core"):
        assert word in page
    assert f"theodolite findings {NAME} --preset quick" in page


def test_the_script_writes_pages_and_a_table(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["write_findings.py", "--preset", "quick", "--seed", "5"])
    script.main()
    assert {p.name for p in script.PAGES.iterdir()} == {
        f"{NAME}.md",
        "index.md",
        "verdicts.json",
    }
    index = (script.PAGES / "index.md").read_text("utf-8")
    row = cells(index, f"[A planted number is large]({NAME}.md)")
    assert row[1:3] == ["reproduced", "mean: 13.12"]
    assert row[4:] == ["not reproduced", "reproduced"]
    assert f"\n{NAME}\n```" in index
    (kept,) = json.loads((script.PAGES / "verdicts.json").read_text("utf-8"))
    assert (kept["seed"], kept["outcome"]) == (5, "reproduced")
    assert f"{NAME}: reproduced" in capsys.readouterr().err


def test_an_outcome_against_expectation_comes_first_with_its_reason(script: ModuleType) -> None:
    # Kills: a disagreement hidden, one shown where there is none, an unexplained one passed over.
    result = findings.run(NAME)
    assert "Against expectation" not in script.page(
        replace(FINDING, disagreement="Because."), result, 1.0
    )
    other = replace(FINDING, expected=INCONCLUSIVE)
    paragraphs = script.page(replace(other, disagreement="Because."), result, 1.0).split("\n\n")
    assert paragraphs[2] == "**Against expectation.** Expected was: inconclusive. Because."
    assert "Why is not known yet." in script.page(other, result, 1.0)
    (row,) = findings.table([result.assign_attrs(expected=INCONCLUSIVE, disagreement="Because.")])
    assert (row["as_expected"], row["disagreement"]) == (False, "Because.")
    assert "| reproduced, against expectation |" in script.index([row])
    (row,) = findings.table([result.assign_attrs(disagreement="Because.")])
    assert (row["as_expected"], row["disagreement"]) == (True, None)


def test_a_reason_is_put_on_a_page_without_a_run(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: a second reason beside the first, a run, a row without the reason.
    def say(why: str) -> str:
        changed = replace(FINDING, expected=INCONCLUSIVE, disagreement=why)
        monkeypatch.setattr(catalog, "_all", lambda: {NAME: changed})
        script.main()
        return (script.PAGES / f"{NAME}.md").read_text("utf-8")

    monkeypatch.setattr(sys, "argv", ["write_findings.py", "--preset", "quick"])
    first = say("")
    assert "Why is not known yet." in first
    monkeypatch.setattr(sys, "argv", ["write_findings.py", "--explain"])
    monkeypatch.setattr(findings, "run", None)
    assert say("Because.") == first.replace("Why is not known yet.", "Because.")
    assert say("For this.") == first.replace("Why is not known yet.", "For this.")
    (row,) = json.loads((script.PAGES / "verdicts.json").read_text("utf-8"))
    assert (row["as_expected"], row["disagreement"]) == (False, "For this.")


def test_numbers_and_intervals_as_read(script: ModuleType) -> None:
    assert script.interval(None, 1.0) == "[-∞, 1]"
    assert script.number(None) == "undefined"
    assert script.number(123456.0) == "1.235e+05"


def test_every_finding_has_its_page_and_its_row() -> None:
    # Kills: a claim added or renamed without `python scripts/write_findings.py`.
    pages = ROOT / "docs" / "findings"
    rows = json.loads((pages / "verdicts.json").read_text("utf-8"))
    assert tuple(row["name"] for row in rows) == findings.names()
    index = (pages / "index.md").read_text("utf-8")
    for row in rows:
        page = (pages / f"{row['name']}.md").read_text("utf-8")
        finding = findings.get(row["name"])
        assert f"**Verdict: {row['outcome']}**" in page
        assert row["as_expected"] == (row["outcome"] == finding.expected)
        explained = finding.disagreement.strip() and finding.disagreement in page
        assert row["as_expected"] or (explained and row["disagreement"] == finding.disagreement)
        assert ("**Against expectation.**" in page) == (not row["as_expected"])
        assert finding.claim in page
        assert finding.threshold in page
        shown = row["outcome"] + ("" if row["as_expected"] else ", against expectation")
        assert f"({row['name']}.md) | {shown} |" in index
