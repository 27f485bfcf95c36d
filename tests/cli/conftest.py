"""A target that is surveyed in a moment, and a way to call the command line in this process."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from theodolite.cli import main

TARGET = """
import torch
import theodolite as td

def build(width: int = 2, fail: bool = False):
    torch.manual_seed(0)
    x, y = torch.randn(12, 3), torch.randn(12, width)
    model = torch.nn.Linear(3, width)
    loss = torch.nn.MSELoss()
    data = (x[:8], y[:8]), (x[8:], y[8:])
    return td.Target(td.Objective(model, loss, data[0]), test=td.Objective(model, loss, data[1]))
"""


@dataclass(frozen=True)
class Said:
    """What a command printed and returned."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with a target in it, the state of the process checked afterwards."""
    (tmp_path / "mine.py").write_text(TARGET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    handler, hook, path = signal.getsignal(signal.SIGTERM), sys.excepthook, list(sys.path)
    filters, show = list(warnings.filters), warnings.showwarning
    yield tmp_path
    assert signal.getsignal(signal.SIGTERM) is handler
    assert sys.excepthook is hook
    assert sys.path == path
    assert warnings.filters == filters
    assert warnings.showwarning is show
    sys.modules.pop("mine", None)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run one command in this process."""

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = main([str(a) for a in argv])
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the page, which takes most of the time of a small run."""

    def no_page(tree: object, folder: Path) -> Path:
        (folder / "report.html").write_text("<!doctype html>")
        return folder / "report.html"

    monkeypatch.setattr("theodolite.cli.printing.write_reports", no_page)
