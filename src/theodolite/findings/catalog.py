"""The findings by name: found by listing a package, run, and set side by side."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import json
import pkgutil
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version
from types import ModuleType
from typing import Any

import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.findings.finding import Finding
from theodolite.findings.verdict import Verdict, verdict_of

Progress = Callable[[int, int], None]
PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


def discovered(package: ModuleType) -> dict[str, Finding]:
    """Every module of `package` that has a ``FINDING``, by name, in alphabetical order.

    A module that does not import is an error here, never a finding that silently vanishes.
    Raises `InvalidType` where ``FINDING`` is not a finding or is not named as its file.
    """
    found = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        loaded = importlib.import_module(f"{package.__name__}.{module.name}")
        finding = getattr(loaded, "FINDING", None)
        if finding is None:
            continue
        if not isinstance(finding, Finding) or finding.name != module.name:
            raise InvalidType(
                f"FINDING must be a Finding named {module.name!r}, as its file; "
                f"got {getattr(finding, 'name', finding)!r}.",
                where=f"module {loaded.__name__}",
                code="E-F05",
            )
        found[module.name] = finding
    return found


def names() -> tuple[str, ...]:
    """The names of all findings, in alphabetical order.

    >>> "a_slice_is_a_faithful_local_model" in names()
    True
    """
    return tuple(_all())


def get(name: str) -> Finding:
    """The finding called `name`; raises `InvalidArgument` naming the nearest for another.

    >>> get("a_slice_is_a_faithful_local_model").expected
    'reproduced'
    """
    known = _all()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or sorted(known)
        raise InvalidArgument(
            f"no finding is called {name!r}.",
            fix=f"did you mean {near[0]!r}? findings.names() lists all {len(known)}.",
            code="E-F06",
        )
    return known[name]


def run(
    name: str, *, preset: str = "quick", seed: int = 0, progress: Progress | None = None
) -> xr.Dataset:
    """Measure a claim and judge it by the rule that was fixed before.

    Returns every measured sample with a ``seed`` dimension (repetitions ``seed``, ``seed + 1``,
    ...; ``preset`` says how many), and in the attributes the claim, its threshold, all settings
    and, as JSON text, the ``verdict``. `verdict_of` reads it back.

    ``progress`` is called with the repetitions done and in all. The same name, preset and seed
    give the same samples on one machine. Runs whose seeds are nearer than the number of
    repetitions share some of them.

    Raises `InvalidArgument` for an unknown name or preset.

    >>> result = run("the_residual_gradient_is_at_least_one")
    >>> result.attrs["outcome"], verdict_of(result).corrected.outcome
    ('not reproduced', 'reproduced')
    """
    finding = get(name)
    settings = finding.preset(preset)
    measured = replicated(finding, settings, seed=seed, progress=progress)
    verdict = judged(finding, measured)
    facts = {
        "name": finding.name,
        "claim": finding.claim,
        "reference": finding.reference,
        "threshold": finding.threshold,
        "negative_control": finding.negative_control,
        "expected": finding.expected,
        "effect": finding.effect,
        "disagreement": finding.disagreement,
        "preset": preset,
        "seed": seed,
        "settings": dataclasses.asdict(settings),
        "outcome": verdict.outcome,
        "verdict": verdict.as_dict(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    return measured.assign_attrs({k: results.storable(v) for k, v in facts.items()})


def replicated(
    finding: Finding, settings: Any, *, seed: int = 0, progress: Progress | None = None
) -> xr.Dataset:
    """The samples of ``settings.seeds`` repetitions of one finding, joined along ``seed``."""
    seeds = range(seed, seed + settings.seeds)
    repetitions = []
    for done, repetition in enumerate(seeds):
        if progress is not None:
            progress(done, len(seeds))
        repetitions.append(finding.measure(settings, repetition))
    if progress is not None:
        progress(len(seeds), len(seeds))
    axis = xr.Variable("seed", list(seeds), {"long_name": "seed of the repetition"})
    joined = xr.concat(
        repetitions,
        dim=axis,
        data_vars="all",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs="override",
    )
    return joined.assign_attrs(quantity="finding")


def judged(finding: Finding, measured: xr.Dataset) -> Verdict:
    """The verdict on measured samples; raises `InvalidType` where a control is missing.

    A finding without a negative control could not have failed, so it says nothing.
    """
    verdict = finding.judge(measured)
    parts = {"the claim": verdict, "the corrected statement": verdict.corrected}
    for part, made in parts.items():
        if made is not None and made.negative_control is None:
            raise InvalidType(
                f"{part} was judged without its negative control.",
                where=f"finding {finding.name!r}",
                fix="combine a verdict with its controls by `controlled`.",
                code="E-F07",
            )
    return verdict


def table(measured: Iterable[xr.Dataset]) -> list[dict[str, Any]]:
    """One row of plain values a result of `run`: for a terminal, JSON or a page.

    ``corrected`` is None, or the outcome of the statement that holds in the claim's place;
    ``as_expected`` says whether the outcome is the one the literature leads one to expect, and
    ``disagreement`` why it may not be; None where it is, or where nobody has written it down yet.
    """
    rows = []
    for result in measured:
        verdict, facts = verdict_of(result), result.attrs
        plain = verdict.as_dict()
        row = {k: facts[k] for k in ("name", "claim", "outcome", "expected", "preset", "seed")}
        row["effect_label"] = facts["effect"]
        row |= {"as_expected": verdict.outcome == facts["expected"]}
        row |= {"disagreement": None if row["as_expected"] else facts["disagreement"] or None}
        row |= {k: plain[k] for k in ("effect", "interval", "level", "seeds", "explanation")}
        for part in ("negative_control", "positive_control", "corrected"):
            row[part] = plain[part]["outcome"] if plain[part] else None
        rows.append(json.loads(json.dumps(row)))
    return rows


def _all() -> dict[str, Finding]:
    return discovered(importlib.import_module("theodolite.findings"))
