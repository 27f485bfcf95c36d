"""``theodolite compare`` with many runs. Oracle: planted headlines; csv and json read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import xarray as xr

from theodolite.surveys import reading

RUNS = {
    "runs/a": {"loss": (1.0, 0.3), "test_accuracy": (90.0, 0.5), "trace": (12345.678, 9.0)},
    "runs/b": {"loss": (1.5, 0.4), "test_accuracy": (92.0, 0.5), "trace": (100.0, None)},
    "runs/c": {"loss": (3.0, 0.4), "test_accuracy": (91.9, 0.5)},
}
LABELS = {"loss": "Loss", "test_accuracy": "Accuracy, test", "trace": "Trace"}


def planted(folder: str | Path) -> xr.DataTree:
    rows = [
        {"name": n, "label": LABELS.get(n, n), "value": v, "error": e, "unit": "%" * ("acc" in n)}
        for n, (v, e) in RUNS[str(folder)].items()
    ]
    return xr.DataTree(xr.Dataset(attrs={"headline": json.dumps(rows)}))


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "load_run", planted)
    monkeypatch.setenv("COLUMNS", "100")


def test_one_row_a_run_with_ties_marked(call) -> None:
    # 1.5 - 1.0 is one combined error, 3.0 - 1.0 is four. Kills: a tie called a difference.
    lines = call("compare", *RUNS).out.splitlines()
    assert lines[0].split() == ["Loss", "Accuracy,", "test", "Trace"]
    assert "1.0 ± 0.3 *" in lines[1]
    assert "1.5 ± 0.4 =" in lines[2]
    assert "91.9 ± 0.5 % =" in lines[3]
    assert "3.0 ± 0.4 " in lines[3]
    assert "92.0 ± 0.5 % *" in lines[2]
    assert "12,346 ± 9 ?" in lines[1]
    assert lines[3].rstrip().endswith("-")
    assert "within 2 combined errors" in lines[-1] + lines[-2]


@pytest.mark.parametrize("columns", ["20", "80", "100", "300"])
def test_the_table_fits_and_loses_no_number(call, columns, monkeypatch) -> None:
    # Kills: a width taken from nowhere; the last block of columns dropped.
    monkeypatch.setenv("COLUMNS", columns)
    many = {f"n{k}": (float(k), 0.1) for k in range(30)}
    monkeypatch.setitem(RUNS, "runs/c", {**RUNS["runs/c"], **many})
    out = call("compare", *RUNS).out
    assert max(map(len, out.splitlines())) <= (80 if int(columns) <= 80 else min(int(columns), 120))
    assert all(f"{k}.0 ± 0.1" in out for k in range(30))


def test_many_runs_with_many_numbers_come_in_blocks(call, monkeypatch) -> None:
    # Kills: one block wider than the terminal; a block without the names of the runs.
    numbers = {f"number_{k}": (float(k), 0.1) for k in range(1, 13)}
    folders = [f"runs/{k}" for k in range(12)]
    for folder in folders:
        monkeypatch.setitem(RUNS, folder, numbers)
    lines = call("compare", *folders).out.splitlines()
    assert max(map(len, lines)) <= 100
    blocks = sum(not line for line in lines[:-2])
    assert blocks > 1
    assert [sum(line.startswith(f"{f} ") for line in lines) for f in folders] == [blocks] * 12
    for k in range(1, 13):
        assert sum(f" {k}.0 ± 0.1 " in f"{line} " for line in lines) == 12


def test_sorted_by_a_number_the_leading_first(call) -> None:
    # Kills: accuracies sorted upward; missing numbers sorted first.
    def order(sort: str) -> list[str]:
        return json.loads(call("compare", *RUNS, "--json", "--sort", sort).out)["runs"]

    assert order("loss") == ["runs/a", "runs/b", "runs/c"]
    assert order("accuracy_test") == ["runs/b", "runs/c", "runs/a"]
    assert order("trace") == ["runs/b", "runs/a", "runs/c"]
    said = call("compare", *RUNS, "--sort", "nothing")
    assert (said.code, "loss, test_accuracy, trace" in said.err) == (2, True)


def test_json_csv_and_markdown_hold_the_same_numbers(call) -> None:
    plain = json.loads(call("compare", *RUNS, "--json").out)
    rows = {
        r["run"]: r
        for r in csv.DictReader(call("compare", *RUNS, "--format", "csv").out.splitlines())
    }
    page = call("compare", *RUNS, "--format", "md").out
    for number in plain["numbers"]:
        for own in number["runs"]:
            row, given = rows[own["run"]], RUNS[own["run"]].get(number["name"], (None, None))
            assert (own["value"], own["error"]) == given
            texts = [row[number["name"]], row[number["name"] + "_error"]]
            assert texts == ["" if g is None else repr(g) for g in given]
            assert row[number["name"] + "_standing"] == own["standing"]
    assert "| runs/a | 1.0 ± 0.3 \\* |" in page
    assert page.splitlines()[1] == "|---|---:|---:|---:|"


def test_conditions_hold_every_further_run_against_the_first(call) -> None:
    # Kills: only the second run checked.
    said = call("compare", *RUNS, "--fail-on", "loss>+100%", "--json")
    assert said.code == 1
    assert json.loads(said.out)["failed"] == {"runs/b": [], "runs/c": ["loss>+100%"]}
    assert "Failed: loss>+100% (runs/c)" in said.err
    assert call("compare", *RUNS, "--fail-on", "loss>+300%").code == 0


def test_two_runs_are_shown_with_their_change_as_before(call) -> None:
    said = call("compare", "runs/a", "runs/b", "--json")
    assert set(json.loads(said.out)) == {"first", "second", "failed", "numbers"}
    head = call("compare", "runs/a", "runs/b").out.splitlines()[0].split()
    assert head == ["runs/a", "runs/b", "change", "in", "errors"]
    sheet = call("compare", "runs/a", "runs/b", "--format", "csv").out
    assert sheet.startswith("run,loss,loss_error,loss_standing,")


def test_a_run_named_twice_is_refused(call) -> None:
    said = call("compare", "runs/a", "runs/b", "runs/a")
    assert (said.code, "E-I21" in said.err) == (2, True)
