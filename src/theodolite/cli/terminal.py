"""stdout for the result, stderr for everything else, and nothing that could steer a terminal."""

from __future__ import annotations

import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from theodolite.errors import StorageError, TheodoliteWarning

PLAIN = {
    "✓": "ok",
    "✗": "no",
    "·": "-",
    "±": "+-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
}
"""Stand-ins where a terminal cannot show the sign."""


def clean(text: str) -> str:
    """`text` with control characters made visible, line ends apart.

    Escape sequences in the name of a model or a file could otherwise move the cursor, recolor or
    retitle the terminal, or hide what was printed before; so could marks that reverse the
    direction of writing.

    >>> clean("a\\x1b[31mb\\u202ec")
    'a\\\\x1b[31mb\\\\u202ec'
    """
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else ascii(c)[1:-1]
        for c in text
    )


def fitting(text: str, stream: Any) -> str:
    """`text` with signs the stream's encoding lacks replaced."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        for sign, plain in PLAIN.items():
            text = text.replace(sign, plain)
        text = text.encode("ascii", "backslashreplace").decode()
    return text


def write(text: str, stream: Any) -> None:
    if stream is not None:
        stream.write(fitting(clean(text), stream) + "\n")
        stream.flush()


def say(text: str) -> None:
    """Print to stderr; a reader that has gone away is no error."""
    try:
        write(text, sys.stderr)
    except (BrokenPipeError, ValueError):
        return


@contextmanager
def printing() -> Iterator[None]:
    """Name what stops stdout, a full disk say; a reader that has gone away is the caller's."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise StorageError(
            f"the result could not be printed: {error.strerror or error}.",
            where="standard output",
            why="what it leads to takes no more; everything computed is saved all the same.",
            fix="free space there, or send the output elsewhere, and run the same command again.",
            code="E-I12",
        ) from error


def abandon_stdout() -> None:
    """Let go of a stdout that takes nothing any more, so that nothing is tried again on exit."""
    try:
        sys.stdout.close()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (the interpreter closes it on exit)


def result(text: str) -> None:
    """Print the result to stdout."""
    with printing():
        write(text, sys.stdout)


def flush() -> None:
    """Give what was printed to its reader now, while a closed pipe can still be noticed."""
    with printing():
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()


def units_left(count: int) -> str:
    """So many units, as a sentence.

    >>> units_left(1), units_left(3)
    ('1 unit is left.', '3 units are left.')
    """
    return f"{count} unit is left." if count == 1 else f"{count} units are left."


def console() -> Console:
    """A console on stderr that takes text as it is."""
    return Console(
        file=sys.stderr, markup=False, highlight=False, emoji=False, soft_wrap=True, stderr=True
    )


def interactive() -> bool:
    """Whether somebody watches stderr on a terminal that can redraw a line."""
    return sys.stderr is not None and console().is_terminal and not console().is_dumb_terminal


@contextmanager
def notes() -> Iterator[None]:
    """Show warnings meant for people as one line on stderr, while a command runs."""

    def show(message: Any, category: Any, *rest: Any, **more: Any) -> None:
        if issubclass(category, TheodoliteWarning):
            say(f"Note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", TheodoliteWarning)
        warnings.showwarning = show
        yield
