"""``theodolite trajectory``, run as people do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from theodolite.cli import main
from theodolite.surveys import load_run

TARGET = """
import torch
import theodolite as td

def build():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 2)
    x, y = torch.randn(20, 4), torch.arange(20) % 2
    return td.Target(td.Objective(model, torch.nn.CrossEntropyLoss(), (x, y)))

def record(folder, rate):
    model = build().objective.model
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    x, y = torch.randn(20, 4), torch.arange(20) % 2
    with td.training.Recorder(folder, model) as recorder:
        for step in range(6):
            recorder(step, learning_rate=rate)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a target and two recorded runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(TARGET)
    names: dict[str, object] = {}
    exec(TARGET, names)
    for name, rate in (("slow", 0.1), ("fast", 1.0)):
        names["record"](tmp_path / name, rate)
    return tmp_path


def test_two_runs_on_one_plane(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Kills: relative patterns lost when the run is resumed elsewhere; names dropped; a plane
    # through the target's weights, when the coordinates count from the mean.
    runs = ["--run", "slow=slow", "--run", "fast=fast/*.safetensors"]
    assert main(["trajectory", "mine.py", *runs, "--steps", "3", "-o", "out"]) == 0
    assert capsys.readouterr().out.strip().endswith("report.html")
    found = load_run(place / "out")["trajectory"]
    assert found.attrs["runs"] == ["slow", "fast"]
    assert found["learning_rate"].values.tolist() == [0.1] * 6 + [1.0] * 6
    assert found.attrs["null_share"] > 0
    surface = load_run(place / "out")["trajectory_plane"]
    assert surface["loss"].shape == (3, 3)
    assert surface.attrs["theta_norm"] == pytest.approx(found.attrs["origin_norm"])


def test_the_plan_and_what_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = ["--checkpoints", "slow/*.safetensors", "--most-checkpoints", "3", "--dry-run", "--json"]
    assert main(["trajectory", "mine.py", *how]) == 0
    (row,) = [
        r for r in json.loads(capsys.readouterr().out)["measures"] if r["measure"] == "trajectory"
    ]
    assert row["units"] == 1 + 3 + 1
    assert main(["trajectory", "mine.py", "--dry-run"]) == 2
    assert "E-J15" in capsys.readouterr().err
    assert main(["trajectory", "mine.py", "--checkpoints", "slow", "--run", "a=fast"]) == 2
    assert "E-J17" in capsys.readouterr().err
