"""``theodolite survey``: everything, on one target, into a run folder and a report."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.options import Options


def survey(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    measures: Annotated[
        str | None, Parameter(help="Comma-separated names (theodolite list); all by default.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure the landscape around a target's weights and write a report.

    The same command continues a run that was stopped and computes nothing twice.
    """
    from theodolite.cli.running import measured

    names = None if measures is None else [m.strip() for m in measures.split(",") if m.strip()]
    return measured(target, options, measures=names)
