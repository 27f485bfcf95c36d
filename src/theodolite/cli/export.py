"""``theodolite export``: a run's results in formats that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def export(
    run: Annotated[str, Parameter(help="A run folder.")],
    /,
    *,
    to: Annotated[str | None, Parameter(help="nc, csv, vtu, glb, ply, png or pdf.")] = None,
    output: Annotated[
        Path | None,
        Parameter(
            name=["-o", "--output"],
            help="A file for one result, else a folder; RUN/export/FORMAT by default.",
        ),
    ] = None,
    what: Annotated[
        tuple[str, ...],
        Parameter(help="Only these results, as plane_0,spectrum; plane means every plane."),
    ] = (),
    variable: Annotated[str, Parameter(help="What surfaces and figures show.")] = "loss",
    scale: Annotated[
        str | None, Parameter(help="log or linear; by default what the report chooses.")
    ] = None,
    distances: Annotated[
        bool, Parameter(help="Axes of meshes as distances in weight space, not as steps.")
    ] = False,
    force: Annotated[bool, Parameter(help="Replace files that are there already.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of a path.")
    ] = False,
) -> int:
    """Write a run's results as netCDF, tables, meshes or figures."""
    from theodolite import exporting
    from theodolite.cli import terminal
    from theodolite.exporting.formats import format_of

    form = format_of(output or Path(), to)
    place = output or Path(run) / "export" / ("results.nc" if form == "nc" else form)
    written = exporting.export(
        run,
        place,
        to=form,
        what=[name.strip() for text in what for name in text.split(",") if name.strip()],
        variable=variable,
        scale=scale,
        distances=distances,
        overwrite=force,
    )
    shown = str(written[0] if len(written) == 1 else place)
    if as_json:
        plain = {"path": shown, "format": form, "files": [str(f) for f in written]}
        terminal.result(json.dumps(plain))
    else:
        terminal.result(shown)
        if len(written) > 1:
            terminal.say(f"{len(written)} files: {', '.join(f.name for f in written)}")
    return 0
