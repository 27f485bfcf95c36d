"""``theodolite plane``: the loss over planes."""

from __future__ import annotations

from pathlib import Path
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
    axes: Annotated[
        str | None,
        Parameter(help="random, eigenvectors, checkpoints, principal, gradient or adam."),
    ] = None,
    through: Annotated[
        tuple[str, ...], Parameter(help="Files of weights the plane goes through.")
    ] = (),
    method: Annotated[
        str | None, Parameter(help="adaptive, or dense to measure every point.")
    ] = None,
    tolerance: Annotated[
        float | None, Parameter(help="Error of the fit, as a share of the surface's range.")
    ] = None,
    evaluation: Annotated[
        str | None, Parameter(help="auto, plain, or the name a result recorded.")
    ] = None,
    batch_norm: Annotated[
        str | None, Parameter(help="both also measures planes with recomputed statistics.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure loss and accuracy over planes of two directions, random ones by default."""
    from theodolite.cli.running import measured

    files = [str(Path(name).resolve()) for name in through]
    changes: dict[str, Any] = {
        "count": planes,
        "normalize": normalize,
        "axes": axes or ("checkpoints" if files else None),
        "through": files or None,
        "method": method,
        "tolerance": tolerance,
        "evaluation": evaluation,
        "batch_norm": batch_norm,
    }

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
