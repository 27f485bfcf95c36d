"""The command line: each command parses, calls the library, and says where the result is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but its result goes to stdout.

    0 done, 1 failed, 2 wrong usage, 3 incomplete but resumable, 130 interrupted, 143 terminated.
    ``argv`` is ``sys.argv[1:]`` by default.
    """
    from theodolite.cli.app import run

    if argv is None:
        from theodolite.cli.failures import explain_crash

        if "--debug" not in sys.argv:
            sys.excepthook = explain_crash
        argv = sys.argv[1:]
    return run(list(argv))
