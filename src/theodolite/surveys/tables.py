"""Which table a measure stands in: those of surveys here, those of studies above this layer."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping

from theodolite.surveys.measures import MEASURES
from theodolite.surveys.plan import Measure

HOMES = ("theodolite.studies.table:STUDIES",)
"""Tables of layers above, by name and imported when asked for: any process can find them."""


def table_of(names: Iterable[str] | None) -> Mapping[str, Measure]:
    """The table that holds all of `names`; that of surveys where none does, or nothing is named.

    >>> "trace" in table_of(["trace"]), "batch_size" in table_of(["batch_size"])
    (True, True)
    """
    wanted = list(names or ())
    if not wanted or any(n in MEASURES for n in wanted):
        return MEASURES
    for home in HOMES:
        module, _, attribute = home.partition(":")
        table: Mapping[str, Measure] = getattr(importlib.import_module(module), attribute)
        if all(n in table for n in wanted):
            return table
    return MEASURES
