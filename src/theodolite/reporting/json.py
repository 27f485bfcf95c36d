"""The summary as JSON: every number on the page, for programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from theodolite.reporting.contents import Reportable, read_trees
from theodolite.reporting.files import write_text
from theodolite.reporting.headline import Headline
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.sentences import Cited, Sentence, plain_text
from theodolite.reporting.summary import Certificate, ModelSummary, Summary, summarize

SCHEMA = 1


def write_summary(
    trees: Reportable | list[Reportable] | dict[str, Reportable], path: str | Path
) -> Path:
    """Write ``summary.json`` for one survey, or for several side by side; return its path.

    Numbers that are not finite become ``null``. The file appears whole or not at all.
    """
    found = summary_json(summarize(read_trees(trees)))
    return write_text(Path(path), json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def summary_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain JSON values; one survey is not wrapped in a list."""
    if len(summary.models) == 1:
        return {"schema": SCHEMA, **model_json(summary.models[0])}
    return {
        "schema": SCHEMA,
        "target": summary.title,
        "models": [model_json(m) for m in summary.models],
        "words": [plain_text(s) for s in summary.words],
        "numbers": cited_json(summary.words),
    }


def model_json(model: ModelSummary) -> dict[str, Any]:
    """One survey as plain JSON values."""
    return {
        "target": model.target,
        "model": model.model,
        "label": model.label,
        "created": model.created,
        "params": model.params,
        "headline": [headline_json(h) for h in model.headline],
        "certificate": None if model.certificate is None else certificate_json(model.certificate),
        "words": [plain_text(s) for s in model.words],
        "numbers": cited_json(model.words),
        **model.records,
        "spectrum": model.spectrum,
    }


def headline_json(headline: Headline) -> dict[str, Any]:
    """One headline number; ``text`` is how it is written on the page."""
    number = headline.number
    return {
        "name": headline.name,
        "label": headline.label,
        "value": finite(number.value),
        "error": finite(number.error),
        "exact": number.exact,
        "unit": number.unit,
        "explain": headline.explain,
        "note": headline.note,
        "text": text(number),
    }


def certificate_json(certificate: Certificate) -> dict[str, Any]:
    """A verdict with its checks."""
    return {
        "verdict": certificate.verdict,
        "reason": certificate.reason,
        "checks": [
            {
                "name": c.name,
                "figure": finite(c.figure),
                "bound": finite(c.bound),
                "passed": c.passed,
            }
            for c in certificate.checks
        ],
    }


def cited_json(words: tuple[Sentence, ...]) -> dict[str, Any]:
    """The numbers inside the sentences, by name."""
    cited = [f for sentence in words for f in sentence if isinstance(f, Cited)]
    return {c.name: number_json(c.number) for c in cited}


def number_json(number: Number) -> dict[str, Any]:
    """A number as plain values."""
    return {
        "value": finite(number.value),
        "error": finite(number.error),
        "exact": number.exact,
        "unit": number.unit,
    }


def finite(value: float | int | None) -> float | int | None:
    """`value`, or ``None`` where JSON has no word for it."""
    return value if value is not None and math.isfinite(value) else None
