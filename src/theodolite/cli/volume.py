"""``theodolite volume``: the loss over grids of three or more axes."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options, parse_span


def volume(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    axes: Annotated[int | None, Parameter(help="How many random directions at once.")] = None,
    steps: Annotated[int | None, Parameter(help="Points along each axis.")] = None,
    span: Annotated[str | None, Parameter(help="low:high of all axes, or one number.")] = None,
    volumes: Annotated[int, Parameter(help="How many grids, each with its own axes.")] = 1,
    normalize: Annotated[str | None, Parameter(help="filter, layer, model or none.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure loss and accuracy over grids of several random directions.

    The points are steps to the power of axes: 1,331 for 11 steps and 3 axes. theodolite shape RUN
    then shows the minima, the saddles between them and the merge tree.
    """
    from theodolite.cli.running import measured

    changes: dict[str, Any] = {
        "count": volumes,
        "axes": axes,
        "steps": steps,
        "normalize": normalize,
    }
    if span is not None:
        changes["span"] = parse_span(span)
    return measured(target, options, family="volumes", changes=changes)
