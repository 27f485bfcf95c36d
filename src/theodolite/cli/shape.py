"""``theodolite shape``: the shape and the topology of the surfaces in a run."""

from __future__ import annotations

import json
from typing import Annotated, Any

from cyclopts import Parameter


def shape(
    run: Annotated[str, Parameter(help="A run folder with planes or volumes.")],
    /,
    *,
    level: Annotated[
        tuple[float, ...],
        Parameter(help="A loss at which areas and widths are taken; may be given again."),
    ] = (),
    variable: Annotated[str, Parameter(help="loss or test_loss.")] = "loss",
    neighbors: Annotated[
        str, Parameter(help="auto, triangulated, axes or all: what is next to what.")
    ] = "auto",
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of tables.")
    ] = False,
) -> int:
    """Print areas, widths, roughness, minima and saddles of a run's planes and volumes.

    Nothing is measured: all is computed from the points that the run holds.
    """
    from theodolite.cli import shape_lines, terminal
    from theodolite.surveys.reading import load_run

    found = shape_lines.surfaces(load_run(run), list(level) or None, variable, neighbors)
    if as_json:
        plain: dict[str, Any] = shape_lines.plain(found)
        terminal.result(json.dumps({"run": run, **plain}, indent=1))
    else:
        terminal.result(shape_lines.lines(found))
    return 0
