"""Rows K07, K09, K10 and K11 of the fault catalogue, through the command line and Python.

Oracle: an undisturbed run, byte for byte, and devices that are really full. Every single write and
lock is in ``tests/surveys/test_storage_faults.py``, ``test_identity.py`` and ``test_lock.py``.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import zarr.storage._local
from torch import nn

import theodolite as td
from theodolite.cli import main
from theodolite.errors import RunMismatch, StorageError

TARGET = """
import time
import torch
import theodolite as td

def build(shift: float = 0.0, wait: float = 0.0):
    torch.manual_seed(0)
    x, y = torch.randn(8, 3) + shift, torch.randn(8, 2)
    class Slow(torch.nn.Linear):
        def forward(self, x):
            time.sleep(wait)
            return super().forward(x)
    return td.Target(td.Objective(Slow(3, 2), torch.nn.MSELoss(), (x, y)), name="mine")
"""

LINES = ("line", "mine.py", "--lines", "2", "--steps", "3", "-o", "run")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(TARGET)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("mine", None)


@pytest.fixture
def told(capsys):
    """Run a command; its code, and the lines of its error."""

    def run(*argv: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(list(argv))
        text = capsys.readouterr().err
        return code, text[text.find("Error:") :].splitlines() if "Error:" in text else []

    return run


def objective(shift: float = 0.0, steps: int = 0) -> td.Objective:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(8, k, generator=generator) for k in (3, 2))
    torch.manual_seed(steps)
    return td.Objective(nn.Linear(3, 2), nn.MSELoss(), (x + shift, y))


def small(**changes: object) -> dict[str, object]:
    lines = {"count": 1, "steps": 3, **changes}
    return {"measures": ["lines"], "settings": {"lines": lines}}


def test_k07_a_full_disk_is_named_in_python_with_what_is_safe(place, monkeypatch):
    # kills: a bare OSError, a run that cannot be continued after space was freed
    put, seen = zarr.storage._local._put, []

    def full(*args, **kw):
        seen.append(args)
        if len(seen) == 25:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return put(*args, **kw)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.storage._local, "_put", full)
        with pytest.raises(StorageError, match=r"No space left while writing.*E-K02") as caught:
            td.survey(objective(), out=place / "run", **small())
    assert "units are safe" in str(caught.value)
    assert "run the same command again" in caught.value.fix
    again = td.survey(objective(), out=place / "run", **small())
    whole = td.survey(objective(), **small())
    assert (
        again["line_0"]
        .to_dataset()
        .drop_attrs()
        .identical(whole["line_0"].to_dataset().drop_attrs())
    )


def test_k07_a_result_that_cannot_be_printed_is_named():
    # kills: a traceback, or the interpreter's own words on exit, where stdout leads to a full disk
    command = "import sys; from theodolite.cli import main; sys.exit(main(['list']))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", command], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Error", "Where", "Why", "Fix"]
    assert lines[0].endswith("No space left on device. [E-I12]")


def test_k09_a_folder_nobody_may_write_is_named_before_the_target_is_built(told, monkeypatch):
    # kills: finding out after the first hour of work
    monkeypatch.setattr("theodolite.cli.running.built", lambda c: pytest.fail("built"))
    Path("file").write_text("")
    for folder in ("file", "file/below", "/proc/theodolite"):
        code, lines = told(*LINES[:-1], folder)
        assert code == 1, folder
        assert "[E-K01]" in lines[0]
        assert lines[-1].startswith("Fix: pass -o")
    assert Path("file").read_text() == ""


def test_k09_a_folder_without_permission_is_named(place, monkeypatch):
    # as root every folder may be written, so the refusal of the system is put in by hand
    (place / "run").mkdir(mode=0o500)
    write = Path.write_bytes

    def refuse(self, content):
        if self.parent == place / "run":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageError, match=r"cannot be written: Permission denied.*E-K01"):
        td.survey(objective(), out=place / "run", **small())
    assert list((place / "run").iterdir()) == []


def test_k09_a_folder_below_one_that_may_not_be_entered_is_named(place, monkeypatch):
    # kills: PermissionError from the first look at a path in somebody else's folder
    def refuse(self, **how):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "lstat", refuse)
    with pytest.raises(StorageError, match=r"run may not be written.*E-K01") as caught:
        td.survey(objective(), out=place / "run", **small())
    assert "pass -o" in caught.value.fix


CHANGES = {
    "seed": ({"seed": 1}, {}, "seed: 0 -> 1"),
    "grid": ({}, {"steps": 5}, "lines.steps: 3 -> 5"),
    "directions": ({}, {"count": 2}, "lines.count: 1 -> 2"),
    "span": ({}, {"span": [-2.0, 1.0]}, r"lines.span: [-1.0, 1.0] -> [-2.0, 1.0]"),
    "limit": ({"limit": 4}, {}, "limit: none -> 4"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_k10_results_of_another_configuration_are_never_mixed(name, place):
    # kills: a file reused as a cache by its name (the stale directions of other tools)
    how, settings, words = CHANGES[name]
    td.survey(objective(), out=place / "run", **small())
    before = {p: p.read_bytes() for p in (place / "run/results.zarr").rglob("*") if p.is_file()}
    with pytest.raises(RunMismatch) as caught:
        td.survey(objective(), out=place / "run", **{**small(**settings), **how})
    assert words in caught.value.where
    assert "--fresh" in caught.value.fix
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize("changed", [{"shift": 1e-7}, {"steps": 1}])
def test_k10_other_data_and_other_weights_are_another_run(changed, place):
    # kills: a fingerprint that leaves out the data or the weights
    td.survey(objective(), out=place / "run", **small())
    with pytest.raises(RunMismatch, match=r"training objective \(model, weights, data, loss\)"):
        td.survey(objective(**changed), out=place / "run", **small())


def test_k10_the_command_line_says_old_and_new(told):
    assert told(*LINES) == (0, [])
    code, lines = told(*LINES, "-a", "shift=1.0")
    assert code == 2
    assert "made with another configuration" in lines[0]
    assert any("argument shift: none -> 1.0" in line for line in lines)


def test_k11_a_second_process_is_refused_by_the_number_of_the_first(told, place):
    # kills: two writers in one folder, a lock that outlives its owner
    first = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from theodolite.cli import main; sys.exit(main())",
            *LINES,
            "-a",
            "wait=0.2",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (place / "run/log.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        code, lines = told(*LINES, "-a", "wait=0.2")
        assert code == 1
        assert f"is being written by process {first.pid} on" in lines[0]
        assert lines[0].endswith("[E-K04]")
    finally:
        first.kill()
        first.wait()
    assert told(*LINES, "-a", "wait=0.2") == (0, [])  # the lock of the killed one is taken over
