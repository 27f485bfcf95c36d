"""``theodolite demo``: two small networks, trained, surveyed and set side by side."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def demo(
    *,
    output: Annotated[str, Parameter(name=["-o", "--output"], help="Where to put it.")] = (
        "runs/demo"
    ),
    fresh: Annotated[bool, Parameter(help="Train and measure anew.")] = False,
    dry_run: Annotated[bool, Parameter(help="Print the plan and do nothing else.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", help="Print JSON instead of a path.")
    ] = False,
) -> int:
    """Survey two residual networks, equal but for their skip connections, side by side.

    Trains on real photographs that ship with the package. Run again, it finishes in seconds.
    """
    from theodolite.cli.demonstrating import demonstrated

    return demonstrated(output, fresh=fresh, dry_run=dry_run, as_json=as_json)
