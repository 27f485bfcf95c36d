"""TARGET and files of weights, in whichever order they were given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def target_first(target: str | None, files: Sequence[Path]) -> tuple[str | None, tuple[Path, ...]]:
    """The target and the files: ``A B TARGET`` as well as ``TARGET A B``.

    Where the first is a file of weights and exactly one of the others can be a target, they
    change places; else everything stays, and is refused by name where it is wrong.

    >>> target_first("mine.py:build", [Path("a.pt"), Path("b.pt")])[0]
    'mine.py:build'
    """
    given = tuple(files)
    named = [k for k, name in enumerate(given) if _may_be_target(str(name))]
    if target is None or _may_be_target(target) or len(named) != 1:
        return target, given
    (at,) = named
    return str(given[at]), (Path(target), *given[:at], *given[at + 1 :])


def _may_be_target(text: str) -> bool:
    """Whether it names a function, or a file of Python: no weights are called so."""
    return text.endswith(".py") or (":" in text and not Path(text).exists())
