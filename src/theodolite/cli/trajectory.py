"""``theodolite trajectory``: the path of a training."""

from __future__ import annotations

import os
from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options
from theodolite.errors import InvalidArgument


def trajectory(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    checkpoints: Annotated[
        str | None, Parameter(help="A folder or 'pattern' of weights; default: the target's own.")
    ] = None,
    run: Annotated[
        tuple[str, ...], Parameter(help="name='pattern' of one of several runs on one plane.")
    ] = (),
    axes: Annotated[str | None, Parameter(help="principal or random.")] = None,
    steps: Annotated[int | None, Parameter(help="Points along each axis of the plane.")] = None,
    most_checkpoints: Annotated[
        int | None, Parameter(help="Use an even subsample of so many of each run.")
    ] = None,
    null_walks: Annotated[int | None, Parameter(help="Random walks to compare with.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure the path of the training: loss, distance from its plane, and a random walk's share.

    Patterns are quoted, so that the shell leaves them as they are.
    """
    from theodolite.cli.running import measured

    runs = [_absolute(text) for text in run]
    if checkpoints is not None:
        if runs:
            raise InvalidArgument(
                "--checkpoints and --run were both given.",
                fix="name every run: --run first='...' --run second='...'.",
                code="E-J17",
            )
        runs = [_absolute(f"={checkpoints}")]
    changes: dict[str, Any] = {
        "axes": axes,
        "steps": steps,
        "most_checkpoints": most_checkpoints,
        "null_walks": null_walks,
        "runs": runs or None,
        "required": True,
    }
    return measured(target, options, family="trajectory", changes=changes)


def _absolute(text: str) -> str:
    """``name=pattern`` with a pattern that works from any folder."""
    name, equals, pattern = text.partition("=")
    return f"{name}={os.path.abspath(pattern)}" if equals and pattern else text
