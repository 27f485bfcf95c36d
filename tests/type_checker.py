"""The run-time type checker of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import beartype

Function = Callable[..., Any]
_seen: dict[tuple[str, str, str], Function] = {}


def checked(function: Function) -> Function:
    """`beartype`, made once for a function that is defined anew at every call of another.

    What is decorated is a stub with nothing but the annotations, so stubs of one name and the
    same annotations are the same. Making one takes a millisecond, more than many such a function.
    """
    if "<locals>" not in function.__qualname__:
        return beartype(function)
    key = (function.__module__, function.__qualname__, str(function.__annotations__))
    if key not in _seen:
        _seen[key] = beartype(function)
    return _seen[key]
