"""What the commands of studies that train share: options, and lists as they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from theodolite.errors import InvalidArgument

Figure = TypeVar("Figure", int, float)


@Parameter(name="*")
@dataclass(frozen=True)
class Trainings:
    """How long trainings go, from where and to which loss; None means not given."""

    seeds: Annotated[int | None, Parameter(help="Starts; runs of one seed share theirs.")] = None
    budget: Annotated[str | None, Parameter(help="Equal updates or equal epochs.")] = None
    length: Annotated[
        int | None, Parameter(help="How many; by default by the recipe, or ten times that.")
    ] = None
    stop_loss: Annotated[
        str | None,
        Parameter(help="Training loss at which ends are compared, or auto (start / 20), or none."),
    ] = None
    start: Annotated[
        str | None, Parameter(help="own (the recipe's) or target (its present weights).")
    ] = None
    products: Annotated[int | None, Parameter(help="Hessian products for the trace.")] = None

    def changes(self) -> dict[str, Any]:
        """The settings given, by name."""
        return {**vars(self), "stop_loss": stop_of(self.stop_loss)}


def numbers(text: str | None, name: str, kind: Callable[[str], Figure]) -> list[Figure] | None:
    """Numbers between commas; None for nothing.

    >>> numbers("8, 32", "batch-sizes", int)
    [8, 32]
    """
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        whole = "whole numbers" if kind is int else "numbers"
        raise InvalidArgument(
            f"--{name} must be {whole} between commas; got {text!r}.",
            fix=f"for example --{name} {'8,32,128' if kind is int else '0.05,0.1'}.",
            code="E-U20",
        ) from error


def words(text: str | None) -> list[str] | None:
    """Words between commas; None for nothing."""
    return None if text is None else [part.strip() for part in text.split(",")]


def stop_of(text: str | None) -> float | str | None:
    """A loss, or one of the words for it, which are checked with the other settings.

    >>> stop_of("0.1"), stop_of("none")
    (0.1, 'none')
    """
    if text is None or text in ("auto", "none"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise InvalidArgument(
            f"--stop-loss must be a training loss, auto or none; got {text!r}.",
            fix="for example --stop-loss 0.1.",
            code="E-U20",
        ) from error


def rates_by_rule(given: Sequence[str]) -> dict[str, list[float]] | None:
    """``rule=0.05,0.1`` texts as a table; None for nothing.

    >>> rates_by_rule(["sgd=0.05,0.1"])
    {'sgd': [0.05, 0.1]}
    """
    found: dict[str, list[float]] = {}
    for text in given:
        rule, equals, listed = text.partition("=")
        if not equals:
            raise InvalidArgument(
                f"--rate must be rule=rates; got {text!r}.",
                fix="for example --rate sgd=0.05,0.1 --rate adam=0.001.",
                code="E-U20",
            )
        found[rule] = numbers(listed, "rate", float) or []
    return found or None
