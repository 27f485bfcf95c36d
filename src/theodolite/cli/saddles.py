"""``theodolite saddles``: which way the loss curves down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from theodolite.cli.options import Options
from theodolite.errors import InvalidArgument

USUAL = {"count": 4}
"""What the command measures where neither the preset nor a file nor an option says it."""

RUNS = 5
"""Runs of each kind of descent, unless asked otherwise."""


def saddles(
    target: Annotated[
        str | None, Parameter(help="file.py:function or package.module:function.")
    ] = (None),
    /,
    *,
    count: Annotated[
        int | None,
        Parameter(help=f"Lowest eigenvalues to find and certify; by default {USUAL['count']}."),
    ] = None,
    probes: Annotated[int | None, Parameter(help="Random probes of the spectrum.")] = None,
    steps: Annotated[int | None, Parameter(help="Lanczos steps a probe.")] = None,
    search: Annotated[
        Literal["none", "newton-mr", "gradient-norm", "saddle-free"] | None,
        Parameter(help="Look for a critical point from here, and certify it."),
    ] = None,
    max_products: Annotated[
        int | None, Parameter(help="Hessian products the search may take.")
    ] = None,
    escape: Annotated[
        bool, Parameter(help="Leave the saddle found by four kinds of descent, and time them.")
    ] = False,
    escape_runs: Annotated[int | None, Parameter(help=f"Runs of each; by default {RUNS}.")] = None,
    escape_rate: Annotated[
        float | None, Parameter(help="Learning rate; by default 1 / the largest eigenvalue.")
    ] = None,
    escape_steps: Annotated[int | None, Parameter(help="Steps after which a run ends.")] = None,
    escape_batch: Annotated[int | None, Parameter(help="Examples a batch of SGD.")] = None,
    displacement: Annotated[float | None, Parameter(help="Distance runs start at.")] = None,
    jump: Annotated[
        float | None, Parameter(help="Radius of the perturbed descent's jumps.")
    ] = None,
    radius: Annotated[
        float | None, Parameter(help="Distance along the saddle's direction that counts as left.")
    ] = None,
    options: Options = Options(),  # noqa: B008 (frozen, without state)
) -> int:
    """Measure how many directions curve down, as a curve over thresholds.

    Small networks get their whole spectrum, others a sample of it with bounds and their lowest
    eigenvalues, each with its residual. With --search a critical point is looked for as well,
    and with --escape how many steps descent takes to leave it.
    """
    from theodolite.cli.running import measured

    leaving = {
        "escape_runs": escape_runs,
        "escape_rate": escape_rate,
        "escape_steps": escape_steps,
        "escape_batch": escape_batch,
        "displacement": displacement,
        "jump": jump,
        "radius": radius,
    }
    if not escape and options.config is None:
        refuse_unused(leaving)
    if escape:
        leaving["escape_runs"] = runs_of(escape_runs)
    changes = {
        "count": count,
        "probes": probes,
        "steps": steps,
        "search": search or ("newton-mr" if escape else None),
        "max_products": max_products,
        **leaving,
    }
    return measured(
        target, options, family="saddles", changes=changes, usual=USUAL, complete=with_index
    )


def with_index(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, refused where they leave nothing to measure."""
    if settings["count"] == 0:
        raise InvalidArgument(
            "--count must be at least 1: with 0 nothing is measured.",
            why="the index comes with the lowest eigenvalues, and a search begins from both.",
            fix=f"pass --count {USUAL['count']}, or none for the usual number.",
            code="E-S45",
        )
    return settings


def refuse_unused(leaving: Mapping[str, float | int | None]) -> None:
    """Raise for options of an escape that nobody asked for: they would be silently ignored."""
    given = [f"--{name.replace('_', '-')}" for name, value in leaving.items() if value is not None]
    if given:
        raise InvalidArgument(
            f"{given[0]} is a setting of escapes and needs --escape, which is missing.",
            fix=f"add --escape, or leave {given[0]} out.",
            code="E-H71",
        )


def runs_of(given: int | None) -> int:
    """Runs of each kind of descent, at least one where escapes were asked for."""
    if given is not None and given < 1:
        raise InvalidArgument(
            f"--escape-runs must be at least 1 with --escape; got {given}.",
            fix="leave --escape out to leave no saddle, or --escape-runs for 5 runs.",
            code="E-H72",
        )
    return RUNS if given is None else given
