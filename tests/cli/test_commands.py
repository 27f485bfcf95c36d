"""What each command prints where, and the code it returns.

Oracle: the table of exit codes, and the files on disk before and after.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from theodolite.cli.app import GROUPS

LINES = ("--measures", "lines", "-o", "runs/a")


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }


def test_help_fits_a_screen_and_begins_with_what_people_need(call, monkeypatch):
    # kills: a list of commands in alphabetical order, lines that wrap
    monkeypatch.setenv("COLUMNS", "80")
    said = call("--help")
    lines = said.out.splitlines()
    assert said.code == 0
    assert len(lines) <= 48  # a window of fifty lines, with the prompt
    assert max(map(len, lines)) <= 80
    names = [line.split()[1] for line in lines if len(line.split()) > 2]
    order = [n for n in names if n in {"demo", "init", "survey", "plane", "report", "doctor"}]
    assert order == ["demo", "init", "survey", "plane", "report", "doctor"]


@pytest.mark.parametrize("name", [n for commands in GROUPS.values() for n in commands])
def test_every_command_has_help(call, name):
    said = call(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: theodolite {name}")


def test_help_and_version_load_neither_torch_nor_a_plotting_library():
    # kills: an import at the top of a command's module
    code = (
        "import sys\n"
        "from theodolite.cli import main\n"
        "codes = [main(['--help']), main(['survey', '--help']), main(['--version'])]\n"
        "heavy = {'torch', 'xarray', 'zarr', 'matplotlib', 'plotly', 'scipy'} & set(sys.modules)\n"
        "print(codes, heavy, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().endswith("[0, 0, 0] set()")


@pytest.mark.usefixtures("quick")
def test_a_survey_prints_its_page_on_stdout_and_the_rest_on_stderr(call):
    # kills: progress on stdout, a path that does not exist
    said = call("survey", "mine.py:build", *LINES)
    assert (said.code, said.out) == (0, "runs/a/report.html\n")
    order = ["Theodolite", "\nPlan", "\nStore    runs/a", "\nstart", "\nlines", "\nLoss"]
    places = [said.err.index(word) for word in order]
    assert places == sorted(places)
    assert "mine · 8 parameters · 8 examples · cpu float32" in said.err
    assert "\x1b" not in said.err
    names = {p.name for p in Path("runs/a").iterdir()}
    assert names >= {"config.toml", "provenance.json", "results.zarr", "summary.json", "log.jsonl"}
    assert "lock" not in names


def test_the_report_of_a_real_run_and_its_json(call):
    said = call("survey", "mine.py:build", *LINES, "--json")
    found = json.loads(said.out)
    assert said.code == 0
    assert {n["name"] for n in found["headline"]} == {"loss", "test_loss", "rise"}
    assert (found["run"], found["report"]) == ("runs/a", "runs/a/report.html")
    page = Path("runs/a/report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html")
    assert "mine" in page
    again = call("report", "runs/a", "-o", "page.html", "--markdown", "--json")
    assert again.code == 0
    assert all(Path(f).exists() for f in json.loads(again.out)["files"])
    assert json.loads(Path("runs/a/summary.json").read_text())["words"]


@pytest.mark.usefixtures("quick")
def test_a_second_time_nothing_is_computed(call):
    call("survey", "mine.py:build", *LINES)
    before = files(Path("runs/a/results.zarr"))
    said = call("survey", "mine.py:build", *LINES)
    assert said.code == 0
    assert "saved before" in said.err
    assert "all saved" in said.err
    assert files(Path("runs/a/results.zarr")) == before


def test_a_dry_run_touches_nothing_and_says_what_it_would_do(call, place):
    # kills: a run folder made for a plan
    before = files(place)
    said = call("survey", "mine.py:build", "--dry-run", "--json")
    plan = json.loads(said.out)
    assert said.code == 0
    assert files(place) == before
    assert [m["measure"] for m in plan["measures"]][:3] == ["start", "certificate", "planes"]
    assert plan["measures"][2]["to_compute"] == 1  # a plane from few evaluations
    assert plan["measures"][2]["passes"] == 125 * 1.5  # 4 test examples beside 8
    assert "nothing was written" in said.err
    assert plan["run"] == "runs/mine"


@pytest.mark.usefixtures("quick")
def test_a_dry_run_says_what_is_left_of_a_stopped_one(call):
    stopped = call("survey", "mine.py:build", *LINES, "--time-budget", "0s")
    assert stopped.code == 3
    assert "theodolite resume runs/a" in stopped.err
    plan = json.loads(call("survey", "mine.py:build", *LINES, "--dry-run", "--json").out)
    left = {m["measure"]: (m["to_compute"], m["reason"]) for m in plan["measures"]}
    assert left == {"start": (0, "all saved"), "lines": (5, "nothing saved yet")}
    status = json.loads(call("status", "runs/a", "--json").out)
    assert (status["complete"], status["left"], status["writer"]) == (False, 5, None)
    assert "5 units are left. To go on: theodolite resume runs/a" in call("status", "runs/a").out
    assert call("resume", "runs/a").code == 0
    assert json.loads(call("status", "runs/a", "--json").out)["complete"]
    assert "Complete." in call("status", "runs/a").out


@pytest.mark.usefixtures("quick")
def test_another_configuration_is_refused_with_the_difference(call):
    # kills: results of two runs in one folder
    call("survey", "mine.py:build", *LINES)
    for flags, line in (
        (["--seed", "1"], "seed: 0 -> 1"),
        (["--limit", "4"], "limit: none -> 4"),
        (["-a", "width=3"], "argument width: none -> 3"),
        (["--preset", "standard"], "lines.count: 5 -> 10"),
    ):
        for extra in ([], ["--dry-run"]):
            said = call("survey", "mine.py:build", *LINES, *flags, *extra)
            assert (said.code, said.out) == (2, "")
            assert line in said.err
            assert "--fresh" in said.err
    assert call("survey", "mine.py:build", *LINES, "--seed", "1", "--fresh").code == 0


@pytest.mark.usefixtures("quick")
def test_a_config_repeats_a_run_and_options_go_before_it(call):
    # kills: settings of the file ignored, or winning over the command line
    call("line", "mine.py:build", "--lines", "2", "--x=-1:1:5", "--seed", "4", "-o", "runs/a")
    call("survey", "--config", "runs/a/config.toml", "-o", "runs/b")
    assert Path("runs/a/config.toml").read_text() == Path("runs/b/config.toml").read_text()
    assert files(Path("runs/a/results.zarr")) == files(Path("runs/b/results.zarr"))
    call("survey", "--config", "runs/a/config.toml", "--seed", "5", "-o", "runs/c")
    assert "seed = 5" in Path("runs/c/config.toml").read_text()
    Path("f.toml").write_text("[setings]\n")
    said = call("survey", "mine.py", "--config", "f.toml")
    assert said.code == 2
    assert "did you mean 'settings'" in said.err


@pytest.mark.usefixtures("quick")
def test_one_family_takes_its_own_options(call):
    plane = (
        "plane",
        "mine.py",
        "--planes",
        "2",
        "--x=-1:1:3",
        "--y",
        "0:2:2",
        "--normalize",
        "layer",
    )
    assert call(*plane).out == "runs/mine-planes/report.html\n"
    text = Path("runs/mine-planes/config.toml").read_text()
    assert "steps = [3, 2]" in text
    assert "span = [[-1.0, 1.0], [0.0, 2.0]]" in text
    assert 'normalize = "layer"' in text
    assert call("spectrum", "mine.py", "--steps", "4", "--probes", "2").code == 0
    assert "steps = 4" in Path("runs/mine-spectrum/config.toml").read_text()


def test_compare_and_its_threshold(call, quick):
    short = ("line", "mine.py", "--lines", "1", "--x=-0.1:0.1:3")
    call(*short, "-o", "runs/a")
    call(*short, "-a", "width=3", "-o", "runs/b")
    rows = json.loads(call("compare", "runs/a", "runs/b", "--json").out)["numbers"]
    loss = next(r for r in rows if r["name"] == "loss")
    change = loss["second"]["value"] - loss["first"]["value"]
    assert loss["change"] == pytest.approx(change)
    assert loss["change_percent"] == pytest.approx(100 * change / loss["first"]["value"])
    assert call("compare", "runs/a", "runs/a", "--fail-on", "loss>+1%").code == 0
    assert call("compare", "runs/a", "runs/a", "--fail-on", "loss>0").code == 1
    assert call("compare", "runs/a", "runs/a", "--fail-on", "sharpness>1").code == 2
    assert call("compare", "runs/a", "runs/a", "--fail-on", "loss >> 1").code == 2
    assert call("compare", "runs/a", "runs/a", "--format", "xml").code == 2
    assert call("compare", "runs/a", "runs/b", "--format", "md").out.startswith("|  | runs/a |")
    assert "Loss" in call("compare", "runs/a", "runs/b").out


def test_init_writes_a_target_that_runs_as_it_is_and_never_overwrites(call, quick):
    # kills: a template that went stale, a file of the user's lost
    said = call("init", "new.py")
    assert (said.code, said.out) == (0, "new.py\n")
    plan = json.loads(call("survey", "new.py", "-a", "epochs=1", "--dry-run", "--json").out)
    assert plan["seconds"] > 0
    Path("new.py").write_text("mine")
    again = call("init", "new.py")
    assert (again.code, Path("new.py").read_text()) == (2, "mine")
    assert call("init", "new.txt").code == 2
    assert call("init", "no/such/folder/new.py").code == 1


def test_doctor_and_lists(call):
    found = json.loads(call("doctor", "--json").out)
    assert set(found) >= {"versions", "machine", "devices", "disk_free_bytes", "browser"}
    assert "cpu" in call("doctor").out
    measures = json.loads(call("list", "--json").out)
    assert measures["planes"]["presets"]["quick"]["steps"] == [41, 41]
    assert call("list", "measures").out.startswith("certificate")
    assert json.loads(call("list", "findings", "--json").out)


def test_doctor_certifies_a_target(call):
    said = call("doctor", "mine.py:build", "--json")
    target = json.loads(said.out)["target"]
    assert (said.code, target["verdict"], target["params"]) == (0, "certified", 8)
    assert all(c["passed"] for c in target["checks"])
    assert "Verdict   certified" in call("doctor", "mine.py").out


@pytest.mark.parametrize(("verdict", "code"), [("non-smooth", 0), ("uncertified", 1)])
def test_doctor_fails_where_derivatives_are_not_right(call, monkeypatch, verdict, code):
    # kills: kinks, where every derivative is right, taken for a failure; a failure that exits 0
    from theodolite.cli import doctor

    monkeypatch.setattr(doctor, "examined", lambda *_: {"verdict": verdict})
    assert call("doctor", "mine.py", "--json").code == code


def test_findings_print_the_verdicts(call):
    name = "the_residual_gradient_is_at_least_one"
    said = call("findings", name, "--json")
    (row,) = json.loads(said.out)
    assert (said.code, row["outcome"]) == (0, "not reproduced")
    assert "NOT REPRODUCED (as expected)" in call("findings", name).out
    assert call("findings", "no_such_claim").code == 2


def test_findings_say_why_a_verdict_is_not_the_expected_one(call):
    # kills: a disagreement that is not printed, one where there is none
    from theodolite.cli.findings import table_text

    name = "the_residual_gradient_is_at_least_one"
    (row,) = json.loads(call("findings", name, "--json").out)
    assert "why not as expected" not in table_text([row])
    row |= {"as_expected": False, "disagreement": "Because."}
    assert table_text([row]).endswith("\n    why not as expected: Because.")


@pytest.mark.usefixtures("quick")
def test_failed_units_are_told_and_tried_again(call, monkeypatch):
    # kills: exit 0 with numbers missing
    from theodolite.surveys.measures import lines

    real = lines.line_values

    def sometimes(*args, **kw):
        if kw.get("alphas") is not None and not fine:
            raise RuntimeError("the moon was full")
        return real(*args, **kw)

    fine: list[bool] = []
    monkeypatch.setattr(lines, "line_values", sometimes)
    said = call("survey", "mine.py:build", *LINES)
    assert said.code == 1
    assert "line_0: 1 failed: RuntimeError: the moon was full" in said.err
    assert "5 units failed" in call("status", "runs/a").out
    fine.append(True)
    assert call("resume", "runs/a").code == 1
    assert call("resume", "runs/a", "--retry-failed").code == 0
    monkeypatch.chdir("runs/a")
    assert call("resume", ".").code == 0
    monkeypatch.chdir("../..")
    assert os.listdir("runs") == ["a"]
