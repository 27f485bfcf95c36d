"""``theodolite line``: the loss along random lines."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options, parse_range, parse_span


def line(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    lines: Annotated[int | None, Parameter(help="How many lines, each its own direction.")] = None,
    steps: Annotated[int | None, Parameter(help="Points along a line.")] = None,
    span: Annotated[str | None, Parameter(help="low:high, or one number for both sides.")] = None,
    x: Annotated[str | None, Parameter(help="low:high:steps.")] = None,
    normalize: Annotated[str | None, Parameter(help="filter, layer, model or none.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure loss and accuracy along random directions."""
    from theodolite.cli.running import measured

    changes: dict[str, Any] = {"count": lines, "steps": steps, "normalize": normalize}
    if span is not None:
        changes["span"] = parse_span(span)
    if x is not None:
        changes["span"], changes["steps"] = parse_range(x, "x")
    return measured(target, options, family="lines", changes=changes)
