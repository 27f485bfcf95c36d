"""Sums in the precision they are written in, whatever the caller's autocast says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def without_autocast(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function` with autocast off inside: products of float32 vectors stay float32.

    >>> add = without_autocast(lambda a: (a @ a).dtype)
    >>> with torch.autocast("cpu", dtype=torch.bfloat16):
    ...     add(torch.ones(2, 2))
    torch.float32
    """

    @functools.wraps(function)
    def inside(*args: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        on = [d for d in ("cpu", "cuda") if torch.is_autocast_enabled(d)]
        if not on:
            return function(*args, **keywords)
        with torch.autocast(on[0], enabled=False):
            return inside(*args, **keywords)

    return inside
