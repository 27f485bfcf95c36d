"""Sentences made of words and cited numbers, so that every format writes the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theodolite.reporting.numbers import Number, text


@dataclass(frozen=True)
class Cited:
    """A number inside a sentence, under the name tests and readers can find it by."""

    name: str
    number: Number


@dataclass(frozen=True)
class Named:
    """A model named in a sentence, with its place among the models of the report."""

    label: str
    series: int


Fragment = str | Cited | Named
Sentence = tuple[Fragment, ...]


def plain_text(sentence: Sequence[Fragment]) -> str:
    """The sentence as text, numbers written by the rule of ``numbers``.

    >>> plain_text(("The loss is ", Cited("loss", Number(12.4, 0.3)), "."))
    'The loss is 12.4 ± 0.3.'
    """
    return "".join(_plain(f) for f in sentence)


def cited_text(cited: Cited) -> str:
    """The number as it stands in a sentence: a count needs no word to say that it is exact."""
    return text(cited.number).removesuffix(" exact")


def _plain(fragment: Fragment) -> str:
    if isinstance(fragment, Cited):
        return cited_text(fragment)
    return fragment.label if isinstance(fragment, Named) else fragment


def percent_of(distance: float) -> str:
    """A distance in filter norms as percent.

    >>> percent_of(0.25)
    '25 %'
    """
    return f"{100 * distance:g} %"


def unit_of(normalize: str) -> str:
    """What a distance of 100 % is measured against."""
    return {
        "filter": "of every filter's norm",
        "layer": "of every layer's norm",
        "model": "of the weights' norm",
    }.get(normalize, "of the direction's length")
