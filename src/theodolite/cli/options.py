"""The options every command that measures has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from theodolite.cli.scale import Scale, Spread
from theodolite.errors import InvalidArgument


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """Shared options, as they were given; None means not given."""

    argument: Annotated[
        tuple[str, ...], Parameter(name=["-a", "--argument"], help="key=value for the factory.")
    ] = ()
    checkpoint: Annotated[Path | None, Parameter(help="Weights to survey (safetensors, .pt).")] = (
        None
    )
    limit: Annotated[int | None, Parameter(help="Use a fixed sample of so many examples.")] = None
    seed: Annotated[int | None, Parameter(help="Decides directions and probes.")] = None
    preset: Annotated[str | None, Parameter(help="quick, standard or thorough.")] = None
    config: Annotated[Path | None, Parameter(help="Take settings from a run's config.toml.")] = None
    device: Annotated[str | None, Parameter(help="Where the factory creates what it makes.")] = None
    output: Annotated[str | None, Parameter(name=["-o", "--output"], help="Run folder.")] = None
    fresh: Annotated[bool, Parameter(help="Remove what the run folder holds first.")] = False
    time_budget: Annotated[
        str | None, Parameter(help="Begin nothing after this time, as 90s or 10m.")
    ] = None
    yes: Annotated[
        bool, Parameter(help="Begin a job of over 250,000 grid points or 6 hours as well.")
    ] = False
    dry_run: Annotated[bool, Parameter(help="Print the plan and do nothing else.")] = False
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON instead of a path.")] = False
    scale: Scale = Scale()  # noqa: RUF009 (frozen, without state)
    spread: Spread = Spread()  # noqa: RUF009


def parse_range(text: str, name: str) -> tuple[list[float], int]:
    """``low:high:steps`` as a span and a number of steps.

    >>> parse_range("-1:1:51", "x")
    ([-1.0, 1.0], 51)
    """
    parts = text.split(":")
    try:
        low, high, steps = float(parts[0]), float(parts[1]), int(parts[2])
    except (ValueError, IndexError) as error:
        raise bad_range(text, name) from error
    if len(parts) != 3:
        raise bad_range(text, name)
    return [low, high], steps


def bad_range(text: str, name: str) -> InvalidArgument:
    return InvalidArgument(
        f"--{name} must be low:high:steps with a whole number of steps; got {text!r}.",
        fix=f"for example --{name}=-1:1:51.",
        code="E-I03",
    )


def parse_span(text: str, name: str = "span") -> list[float]:
    """``low:high``, or one number for a span from minus it to it.

    >>> parse_span("0:2"), parse_span("0.5")
    ([0.0, 2.0], [-0.5, 0.5])
    """
    parts = text.split(":")
    try:
        ends = [float(p) for p in parts]
    except ValueError:
        ends = []
    if len(ends) == 1:
        return [-abs(ends[0]), abs(ends[0])]
    if len(ends) != 2:
        raise InvalidArgument(
            f"--{name} must be low:high, or one number for both sides; got {text!r}.",
            fix=f"for example --{name}=-1:1 or --{name} 0.5.",
            code="E-I03",
        )
    return ends
