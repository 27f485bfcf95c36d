"""From the name of a target back to the target, in any process."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from theodolite.errors import InvalidArgument
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.factories import load_target, resolved_name
from theodolite.surveys.target import Target, adjusted


def rebuilt(configuration: Configuration, path: Sequence[str] = ()) -> Target:
    """The target a configuration names, at its checkpoint and on its sample of examples.

    ``path`` holds folders to import from besides this process's own. Raises what `load_target`
    and `adjusted` raise.
    """
    c = configuration
    sys.path.extend(p for p in path if p not in sys.path)
    made = load_target(c.target or "", c.arguments, device=c.device)
    return adjusted(made, checkpoint=c.checkpoint, limit=c.limit)


def name_of(factory: Any) -> str:
    """The name under which any process can find a factory; a text is taken as one.

    Raises `InvalidArgument` for what has no such name: a lambda, a function made inside another,
    a method of an object, a function whose name was given to another one since.

    >>> name_of(len)
    'builtins:len'
    """
    if isinstance(factory, str):
        return resolved_name(factory)
    name = getattr(factory, "__qualname__", "<no name>")
    module = getattr(factory, "__module__", None) or ""
    if "<" in name or not module:
        raise InvalidArgument(
            f"{name} has no name under which another process could find it.",
            why="workers build the target themselves, from file and function.",
            fix="define it at the top of a file, with def.",
            code="E-N08",
        )
    if not leads(module, name, factory):
        raise InvalidArgument(
            f"{name} has no name under which another process could find it.",
            why=f"{name} in {module} leads to something else than what was passed.",
            fix="pass a function of that module under its own name, not a method of an object.",
            code="E-N08",
        )
    if module != "__main__":
        return f"{module}:{name}"
    file = inspect.getsourcefile(factory)
    if file is None or not Path(file).is_file():
        raise InvalidArgument(
            f"{name} was typed in, and no file holds it.",
            why="workers build the target themselves, from file and function.",
            fix="write it to a file and pass 'file.py:function'.",
            code="E-N08",
        )
    return f"{Path(file).resolve()}:{name}"


def leads(module: str, name: str, factory: Any) -> bool:
    """Whether a name leads to a factory, as far as this process knows the module."""
    found = sys.modules.get(module, factory)
    if found is factory:
        return True
    for part in name.split("."):
        found = getattr(found, part, None)
    return bool(found == factory)


def refuse_unnamed(name: str | None, workers: int) -> None:
    """Raise when a target made in Python is to be surveyed by other processes."""
    if name is None:
        raise InvalidArgument(
            f"n_jobs={workers} needs a target that other processes can build; this one was made "
            "in Python and exists in this process only.",
            why="workers get the target's name, not a pickled model.",
            fix="pass its factory, as 'file.py:function' or the function itself, or use n_jobs=1.",
            code="E-N09",
        )
