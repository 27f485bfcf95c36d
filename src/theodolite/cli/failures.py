"""Errors as people read them: what, where, why, fix; and the code the shell gets."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from cyclopts import CycloptsError

from theodolite.cli import terminal
from theodolite.errors import InvalidArgument, RunMismatch, TheodoliteError

FAILED, USAGE, INCOMPLETE, PIPE = 1, 2, 3, 141

TARGETS_OWN = ("E-S23",)
"""Errors raised by the code of the user's target: the command itself was right."""

NOT_THERE = ("E-K07", "E-T60")
"""A folder or a file that was named and does not exist: the command was wrong."""


def told(error: TheodoliteError, *, debug: bool = False) -> int:
    """Print an error of ours; returns 2 where the command was wrong, else 1."""
    if debug:
        traceback.print_exception(error)
    terminal.say("Error: " + "\n".join(error.lines()))
    wrong = isinstance(error, InvalidArgument | RunMismatch) and error.code not in TARGETS_OWN
    return USAGE if wrong or error.code in NOT_THERE else FAILED


def usage(error: CycloptsError, *, debug: bool = False) -> int:
    """Print what is wrong with a command line."""
    if debug:
        traceback.print_exception(error)
    text = " ".join(str(error).split()) or type(error).__name__
    command = " ".join(["theodolite", *(error.command_chain or ())])
    terminal.say(f"Error: {text} [E-I01]\nFix: {command} --help shows what it takes.")
    return USAGE


def pipe_closed() -> int:
    """The reader of stdout has gone: be quiet, as other programs are."""
    terminal.abandon_stdout()
    return PIPE


def too_long(error: OSError, *, debug: bool = False) -> int:
    """A path no system can hold, whichever command was given it."""
    named = InvalidArgument(
        f"a path is too long for this system: {str(error.filename)[:60]!r}...",
        why=error.strerror or "",
        fix="pass a shorter one.",
        code="E-I13",
    )
    return told(named, debug=debug)


def explain_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> Any:
    """An error nobody foresaw, in the same four lines; for ``sys.excepthook``."""
    frames = traceback.extract_tb(trace)
    where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "unknown"
    text = (str(error).strip() or "no message").splitlines()[0]
    terminal.say(
        f"Error: {kind.__name__}: {text} [E-I00]\nWhere: {where}\n"
        "Why: the target's own code raised it, or this is a defect of theodolite.\n"
        "Fix: run the command again with --debug and read the traceback."
    )
