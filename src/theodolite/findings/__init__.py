"""Published claims, measured again and judged: one file a claim, named as the sentence it tests.

``names()`` lists them, ``run(name)`` measures one and keeps the samples with its verdict,
``table(results)`` sets verdicts side by side.
"""

from __future__ import annotations

from theodolite.findings.catalog import get, names, run, table
from theodolite.findings.finding import PRESETS, Finding
from theodolite.findings.verdict import Verdict, verdict_of
from theodolite.intervals.statistics import Estimate

__all__ = [
    "PRESETS",
    "Estimate",
    "Finding",
    "Verdict",
    "get",
    "names",
    "run",
    "table",
    "verdict_of",
]
