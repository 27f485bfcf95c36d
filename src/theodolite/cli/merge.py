"""``theodolite merge``: collect what the shards of a run hold, and compute nothing."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def merge(
    run: Annotated[str, Parameter(help="The run folder.")],
    /,
    *,
    repair: Annotated[bool, Parameter(help="Leave damaged units out.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of a path.")
    ] = False,
) -> int:
    """Collect what the shards of a run hold and write the report; computes no unit.

    The target is built once, to know its plan. Shards may still be at work.
    """
    from theodolite.cli.running import resumed
    from theodolite.surveys.pools import Engine

    return resumed(run, repair=repair, as_json=as_json, engine=Engine(workers=0), yes=True)
