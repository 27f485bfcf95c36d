"""Killed at any moment, a survey continues to the same bytes and computes no saved unit again.

Oracle: the same survey, undisturbed; processes really killed by the kernel.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from theodolite.surveys.configuration import Configuration
from theodolite.surveys.execution import execute
from theodolite.surveys.folder import opened_run
from theodolite.surveys.journal import read_journal

from .toys import toy_plan

ROWS = 30
CONFIGURATION = Configuration(("toy",), {"toy": {"rows": ROWS}})
SCRIPT = f"""
import importlib.util, sys, time
from pathlib import Path
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.execution import execute
from theodolite.surveys.folder import opened_run

spec = importlib.util.spec_from_file_location("toys", sys.argv[1])
toys = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toys)
configuration = Configuration(("toy",), {{"toy": {{"rows": {ROWS}}}}})
print("ready", flush=True)
with opened_run(Path(sys.argv[2]), configuration, {{"seed": 0}}) as place:
    plan = toys.toy_plan([], rows={ROWS}, hook=lambda *_: time.sleep(0.002))
    print("begun", flush=True)
    execute(plan, None, place.store, place.journal)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    toys = Path(__file__).with_name("toys.py")
    command = [sys.executable, "-c", SCRIPT, str(toys), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def kept(folder: Path) -> dict[str, bytes]:
    root = folder / "results.zarr"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.filterwarnings("ignore:1 incomplete record")
def test_killed_again_and_again_it_ends_with_the_same_bytes_and_no_unit_twice(tmp_path):
    # kills: marks before data, chunks written in place, a lock that outlives its owner
    with opened_run(tmp_path / "whole", CONFIGURATION, {"seed": 0}) as place:
        execute(toy_plan([], rows=ROWS), None, place.store, place.journal)
    moments, killed = random.Random(5), 0
    for _ in range(4):
        with start(tmp_path / "run") as child:
            time.sleep(moments.uniform(0.0, 0.35))
            child.send_signal(signal.SIGKILL)
        killed += child.returncode == -signal.SIGKILL
    assert killed >= 2
    calls = []
    with opened_run(tmp_path / "run", CONFIGURATION, {"seed": 0}) as place:
        execute(toy_plan(calls, rows=ROWS), None, place.store, place.journal)
    assert kept(tmp_path / "run") == kept(tmp_path / "whole")
    log = [(r["group"], r["unit"]) for r in read_journal(tmp_path / "run/log.jsonl") if "unit" in r]
    assert max(Counter(log).values()) == 1
    assert len(log) >= ROWS + 1 - killed  # at most one record lost with each kill
