"""What a run says it will hold. Oracle: Linux's own record of the fullest moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from theodolite.cli import memory

LARGE = """
import torch
import theodolite as td

def build():
    torch.manual_seed(0)
    first, last = torch.nn.Linear(4000, 4000), torch.nn.Linear(4000, 2)
    model = torch.nn.Sequential(first, torch.nn.Tanh(), last)
    data = torch.randn(128, 4000), torch.randint(2, (128,))
    return td.Target(td.Objective(model, torch.nn.CrossEntropyLoss(), data), name="wide")
"""
RUN = """
import sys
from theodolite.cli import main
from theodolite.cli.memory import most_used
try:
    main()
finally:
    print(most_used(), file=sys.stderr)
"""


def test_what_was_let_go_counts():
    # kills: what is held now in place of the most that ever was
    before = memory.most_used()
    torch.ones(100_000_000, dtype=torch.float64).sum()
    assert memory.most_used() > before + 500_000_000


def test_a_survey_holds_no_more_than_it_said(tmp_path: Path) -> None:
    # kills: vectors that a plane holds and its plan leaves out; the peak of a pass left out
    (tmp_path / "wide.py").write_text(LARGE)
    options = ["--preset", "quick", "--measures", "planes", "-o", "run"]
    said = json.loads(_ran(tmp_path, *options, "--dry-run", "--json").stdout)["memory_bytes"]
    held = int(_ran(tmp_path, *options).stderr.splitlines()[-1])
    assert 0.5 * said < held < said


def _ran(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "survey", "wide.py:build", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    return subprocess.run(
        command, cwd=folder, env=environment, text=True, capture_output=True, check=True
    )
