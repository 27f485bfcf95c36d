"""``theodolite resume``: continue a run where it was left."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.scale import Scale


def resume(
    run: Annotated[str, Parameter(help="The run folder.")],
    /,
    *,
    time_budget: Annotated[
        str | None, Parameter(help="Begin nothing after this time, as 90s or 10m.")
    ] = None,
    retry_failed: Annotated[bool, Parameter(help="Compute failed units again.")] = False,
    repair: Annotated[bool, Parameter(help="Compute damaged units again.")] = False,
    yes: Annotated[
        bool, Parameter(help="Begin a job of over 250,000 grid points or 6 hours as well.")
    ] = False,
    dry_run: Annotated[bool, Parameter(help="Print the plan and do nothing else.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of a path.")
    ] = False,
    scale: Scale = Scale(),  # noqa: B008 (frozen, without state)
) -> int:
    """Continue a run where it was left, from its own config.toml.

    What its shards hold is collected first.
    """
    from theodolite.cli.running import resumed
    from theodolite.cli.scale import engine_of

    return resumed(
        run,
        time_budget=time_budget,
        retry_failed=retry_failed,
        repair=repair,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
        engine=engine_of(scale),
    )
