"""What connections and averages say at the top of the page."""

from __future__ import annotations

from theodolite.intervals.verdicts import shown
from theodolite.reporting.averages_values import average_words
from theodolite.reporting.connection_parts import counted, relations_of
from theodolite.reporting.contents import Contents
from theodolite.reporting.sentences import Sentence

MOST_SAID = 3
"""Pairs with a sentence of their own; more are counted."""


def related_sentences(contents: Contents) -> tuple[Sentence, ...]:
    """The verdict on each of a few pairs with its barrier, or how often each is found."""
    found = relations_of(contents.connections)
    if not found:
        return ()
    told = [
        f"{r.claim} On the straight line the loss rises by {shown(r.evidence.barrier)}."
        for r in found
    ]
    said = told if len(found) <= MOST_SAID else [counted(found)]
    return tuple((text,) for text in said)


def averaged_sentence(contents: Contents) -> Sentence | None:
    """How the average does against its members."""
    return None if contents.averages is None else (average_words(contents.averages)[0],)
