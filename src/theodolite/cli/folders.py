"""Run folders as they are named on a command line."""

from __future__ import annotations

import shlex
from pathlib import Path


def default_folder(target: str, family: str | None) -> str:
    """``runs/NAME``, with the family's name for a single one; only plain letters are kept.

    >>> default_folder("models/mine.py:build", None), default_folder("a.b:net", "planes")
    ('runs/mine', 'runs/b-net-planes')
    """
    home, _, function = target.rpartition(":")
    stem = Path(home).stem if home.endswith(".py") else home.rpartition(".")[2]
    parts = [stem, *([] if function == "build" else [function]), *([family] if family else [])]
    plain = ["".join(c if c.isalnum() and c.isascii() else "-" for c in p)[:60] for p in parts]
    return str(Path("runs", "-".join(p.strip("-") or "run" for p in plain)))


def merge_command(path: Path) -> str:
    """The command that collects the shards of a run."""
    return f"theodolite merge {shlex.quote(str(path))}"


def resume_command(path: Path) -> str:
    """The command that continues a run, ready to be pasted into a shell."""
    return f"theodolite resume {shlex.quote(str(path))}"
