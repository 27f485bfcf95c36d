"""``theodolite compare``: the headline numbers of two or more runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import xarray as xr
from cyclopts import Parameter

from theodolite.cli.two_runs import ALIASES, Condition, paired, parse_condition
from theodolite.cli.two_runs import table_json as pair_json
from theodolite.cli.two_runs import table_text as pair_text
from theodolite.errors import InvalidArgument

FORMATS = ("table", "json", "md", "csv")


def compare(
    first: Annotated[str, Parameter(help="A run folder.")],
    second: Annotated[str, Parameter(help="Another run folder.")],
    /,
    *more: Annotated[str, Parameter(help="Further run folders.")],
    format: Annotated[str, Parameter(help="table, json, md or csv.")] = "table",
    sort: Annotated[
        str | None, Parameter(help="Order the runs by this number, for example loss.")
    ] = None,
    fail_on: Annotated[
        tuple[str, ...],
        Parameter(help="Exit with 1 when true, as 'sharpness>+20%' or 'loss>0.5'."),
    ] = (),
    as_json: Annotated[bool, Parameter(name="--json", help="The same as --format json.")] = False,
) -> int:
    """Set the headline numbers of runs side by side.

    Two runs: each number with its change in standard errors. More: one table, with the lowest
    value of each number marked, and those that cannot be told from it. --fail-on holds the second
    and all further runs against the first.
    """
    from theodolite.cli import terminal
    from theodolite.surveys.reading import load_run

    chosen = "json" if as_json else format
    if chosen not in FORMATS:
        raise InvalidArgument(
            f"format must be one of {', '.join(FORMATS)}; got {format!r}.", code="E-I08"
        )
    conditions = [parse_condition(text) for text in fail_on]
    runs = (first, second, *more)
    trees = {run: load_run(run) for run in runs}
    failed = {run: broken(trees[first], trees[run], conditions) for run in (second, *more)}
    if len(runs) == 2 and sort is None and chosen != "csv":
        terminal.result(two(runs, trees, chosen, failed[second]))
    else:
        again = sorted({run for run in runs if runs.count(run) > 1})
        if again:
            raise InvalidArgument(
                f"each run may be named once; {again[0]!r} is there twice.", code="E-I21"
            )
        terminal.result(many(trees, chosen, sort, failed))
    told = [(run, text) for run, texts in failed.items() for text in texts]
    for run, text in told:
        terminal.say(f"Failed: {text}" if len(runs) == 2 else f"Failed: {text} ({run})")
    return 1 if told else 0


def broken(first: xr.DataTree, second: xr.DataTree, conditions: list[Condition]) -> list[str]:
    """The conditions that the second run breaks against the first."""
    rows = paired([json.loads(tree.attrs["headline"]) for tree in (first, second)])
    return [c.text for c in conditions if c.holds(rows)]


def two(
    runs: tuple[str, ...], trees: dict[str, xr.DataTree], chosen: str, failed: list[str]
) -> str:
    """Two runs with the change from the first to the second."""
    first, second = runs
    rows = paired([json.loads(trees[run].attrs["headline"]) for run in runs])
    if chosen == "json":
        plain = {"first": first, "second": second, "failed": failed, "numbers": pair_json(rows)}
        return json.dumps(plain, indent=1)
    return pair_text(rows, (first, second), markdown=chosen == "md")


def many(
    trees: dict[str, xr.DataTree], chosen: str, sort: str | None, failed: dict[str, list[str]]
) -> str:
    """One table of all runs."""
    from theodolite.cli import many_runs
    from theodolite.surveys.comparing import compare as comparison

    table = comparison(trees)
    if sort is not None:
        table = many_runs.sorted_by(table, ALIASES.get(sort, sort))
    if chosen == "json":
        plain = {**many_runs.plain_table(table), "sorted_by": sort, "failed": failed}
        return json.dumps(plain, indent=1)
    write: dict[str, Callable[[xr.Dataset], str]] = {
        "table": many_runs.text_table,
        "md": many_runs.markdown_table,
        "csv": many_runs.csv_table,
    }
    return write[chosen](table)
