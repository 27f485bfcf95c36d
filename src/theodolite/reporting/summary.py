"""One summary of plain data that the page, the Markdown and the JSON are all written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from theodolite.plots import negative_share
from theodolite.reporting import quantities as q
from theodolite.reporting.comparison import words_between
from theodolite.reporting.contents import Contents
from theodolite.reporting.headline import Headline, json_attr
from theodolite.reporting.monitored_words import with_monitor
from theodolite.reporting.noise_advice import advice_row
from theodolite.reporting.records import records_of
from theodolite.reporting.sentences import Sentence
from theodolite.reporting.spectrum_values import spectrum_json
from theodolite.reporting.trajectory_words import with_path
from theodolite.reporting.trust import Fact, facts_about, shared_facts
from theodolite.reporting.words import words_about

MOST_NAMED = 5
"""A title names so many models; of more, three and how many there are."""


@dataclass(frozen=True)
class Check:
    """One check of a certificate."""

    name: str
    figure: float
    bound: float
    passed: bool


@dataclass(frozen=True)
class Certificate:
    """A verdict and the checks behind it."""

    verdict: str
    reason: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Advice:
    """What was measured, what to do, how sure, and the command that tests it."""

    measured: str
    action: str
    confidence: str
    command: str


@dataclass(frozen=True)
class ModelSummary:
    """Everything the writers say about one survey."""

    label: str
    target: str
    model: str
    created: str
    params: int | None
    headline: tuple[Headline, ...]
    certificate: Certificate | None
    words: tuple[Sentence, ...]
    facts: tuple[Fact, ...]
    advice: tuple[Advice, ...]
    provenance: Mapping[str, Any]
    records: Mapping[str, Any]
    spectrum: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Summary:
    """One report: its title, its models and what they say (against each other, if several)."""

    title: str
    created: str
    models: tuple[ModelSummary, ...]
    words: tuple[Sentence, ...]
    facts: tuple[Fact, ...]


def summarize(surveys: Sequence[Contents], *, title: str | None = None) -> Summary:
    """The summary of one survey, or of several side by side.

    Without a `title` it is the target's, unless that is a factory's address (``file.py:build``);
    then the models' names serve.
    """
    models = tuple(_model(c) for c in surveys)
    targets = list(dict.fromkeys(m.target for m in models if m.target and ":" not in m.target))
    named = title or listed(targets or [m.label for m in models])
    words = models[0].words if len(models) == 1 else words_between(surveys)
    created = max((m.created for m in models), default="")
    return Summary(named, created, models, words, shared_facts(surveys))


def listed(names: Sequence[str]) -> str:
    """Names as a title says them.

    >>> listed(["a", "b"]), listed(["a", "b", "c"]), listed(list("abcdefg"))
    ('a and b', 'a, b and c', 'a, b, c and 4 more')
    """
    shown = list(names) if len(names) <= MOST_NAMED else [*names[:3], f"{len(names) - 3} more"]
    return " and ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)


def _model(contents: Contents) -> ModelSummary:
    params = contents.note("params")
    return ModelSummary(
        label=contents.label,
        target=str(contents.attrs.get("target", "")),
        model=str(contents.note("model", "")),
        created=str(contents.attrs.get("created", "")),
        params=None if params is None else int(params),
        headline=_headline(contents),
        certificate=_certificate(contents),
        words=with_monitor(with_path(words_about(contents), contents), contents),
        facts=facts_about(contents),
        advice=_advice(contents),
        provenance=json_attr(contents.attrs, "provenance", dict),
        records=records_of(contents),
        spectrum=spectrum_json(contents),
    )


def _headline(contents: Contents) -> tuple[Headline, ...]:
    found = contents.headline or _computed_headline(contents)
    return tuple(replace(h, samples=_samples(contents, h.name)) for h in found)


def _computed_headline(contents: Contents) -> tuple[Headline, ...]:
    """The numbers a report can compute itself when no survey wrote a headline."""
    candidates = (
        ("loss", "Loss", q.start_value(contents), "mean over examples at the surveyed point"),
        (
            "test_loss",
            "Loss, test",
            q.start_value(contents, "test_loss"),
            "mean over test examples at the surveyed point",
        ),
        (
            "largest_eigenvalue",
            "Largest curvature",
            q.largest_eigenvalue(contents),
            "largest computed eigenvalue; the error is its residual",
        ),
        ("trace", "Trace", q.trace_value(contents), "sum of all eigenvalues"),
        (
            "negative_weight",
            "Spectrum below zero",
            q.negative_weight(contents),
            "share of the spectral weight on negative eigenvalues",
        ),
    )
    return tuple(
        Headline(name, label, number, explain)
        for name, label, number, explain in candidates
        if number is not None
    )


def _samples(contents: Contents, name: str) -> tuple[float, ...]:
    """The draws behind a headline number: probes, or directions."""
    if name == "trace" and contents.trace is not None and "sample" in contents.trace:
        return tuple(float(v) for v in contents.trace["sample"].values)
    if name == "rise":
        return q.rises(contents, q.QUOTED)[0]
    if name == "negative_weight" and contents.spectrum is not None:
        return tuple(float(v) for v in 100 * negative_share(contents.spectrum))
    return ()


def _certificate(contents: Contents) -> Certificate | None:
    found = contents.certificate
    if found is None:
        return None
    checks = tuple(
        Check(
            str(found["check"].values[k]),
            float(found["figure"][k]),
            float(found["bound"][k]),
            bool(found["passed"][k]),
        )
        for k in range(found.sizes["check"])
    )
    verdict = str(found.attrs.get("verdict", "uncertified"))
    return Certificate(verdict, str(found.attrs.get("reason", "")), checks)


def _advice(contents: Contents) -> tuple[Advice, ...]:
    rows = [*json_attr(contents.attrs, "advice", list), advice_row(contents)]
    keys = ("measured", "action", "confidence", "command")
    return tuple(
        Advice(*(str(row.get(key, "")) for key in keys)) for row in rows if isinstance(row, Mapping)
    )
