"""``theodolite convexity``: where around the weights the loss is convex."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from theodolite.cli.options import Options, parse_range, parse_span


def convexity(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    maps: Annotated[int | None, Parameter(help="How many maps, each with its own axes.")] = None,
    steps: Annotated[int | None, Parameter(help="Points along each axis.")] = None,
    span: Annotated[str | None, Parameter(help="low:high of both axes, or one number.")] = None,
    x: Annotated[str | None, Parameter(help="low:high:steps of the first axis.")] = None,
    y: Annotated[str | None, Parameter(help="low:high:steps of the second axis.")] = None,
    tolerance: Annotated[float | None, Parameter(help="Residual of an eigenvalue, a share.")] = (
        None
    ),
    normalize: Annotated[str | None, Parameter(help="filter, layer, model or none.")] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure both ends of the Hessian's spectrum over a coarse plane."""
    from theodolite.cli.running import measured

    changes: dict[str, Any] = {"count": maps, "tolerance": tolerance, "normalize": normalize}

    def complete(settings: dict[str, Any]) -> dict[str, Any]:
        """The quick preset of a survey has no map; this command is asked for one."""
        spans, counts = list(settings["span"]), list(settings["steps"])
        if steps is not None:
            counts = [steps, steps]
        if span is not None:
            spans = [parse_span(span)] * 2
        for k, (name, text) in enumerate((("x", x), ("y", y))):
            if text is not None:
                spans[k], counts[k] = parse_range(text, name)
        count = max(1, settings["count"]) if maps is None else maps
        return {**settings, "span": spans, "steps": counts, "count": count}

    return measured(target, options, family="convexity", changes=changes, complete=complete)
