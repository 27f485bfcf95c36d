"""``theodolite plane``: the loss over random planes."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options, parse_range, parse_span


def plane(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    planes: Annotated[
        int | None, Parameter(help="How many planes, each with its own axes.")
    ] = None,
    steps: Annotated[int | None, Parameter(help="Points along each axis.")] = None,
    span: Annotated[str | None, Parameter(help="low:high of both axes, or one number.")] = None,
    x: Annotated[str | None, Parameter(help="low:high:steps of the first axis.")] = None,
    y: Annotated[str | None, Parameter(help="low:high:steps of the second axis.")] = None,
    normalize: Annotated[str | None, Parameter(help="filter, layer, model or none.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure loss and accuracy over planes of two random directions."""
    from theodolite.cli.running import measured

    changes: dict[str, Any] = {"count": planes, "normalize": normalize}

    def complete(settings: dict[str, Any]) -> dict[str, Any]:
        spans, counts = list(settings["span"]), list(settings["steps"])
        if steps is not None:
            counts = [steps, steps]
        if span is not None:
            spans = [parse_span(span)] * 2
        for k, (name, text) in enumerate((("x", x), ("y", y))):
            if text is not None:
                spans[k], counts[k] = parse_range(text, name)
        return {**settings, "span": spans, "steps": counts}

    return measured(target, options, family="planes", changes=changes, complete=complete)
