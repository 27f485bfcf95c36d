"""What was measured on lines between weights, in words and as plain values."""

from __future__ import annotations

import math
from typing import Any

import xarray as xr

from theodolite.intervals.verdicts import Height
from theodolite.plots import plain
from theodolite.reporting.connection_parts import Related, relations_of
from theodolite.reporting.contents import Contents


def versions(contents: Contents) -> list[tuple[xr.Dataset, xr.Dataset | None]]:
    """Every line with its twin of recomputed statistics, where it has one."""
    return [(b, contents.barriers_recomputed.get(k)) for k, b in enumerate(contents.barriers)]


def barrier_words(contents: Contents) -> tuple[str, ...]:
    """One sentence a pair, of the training loss; of many pairs the lowest and the highest."""
    pairs = versions(contents)
    if len(pairs) > 3:
        known = [p for p in pairs if math.isfinite(_told(p))]
        pairs = [min(known, key=_told), max(known, key=_told)] if known else []
    return tuple(_sentence(*pair) for pair in pairs)


def _told(pair: tuple[xr.Dataset, xr.Dataset | None]) -> float:
    """The barrier that counts: with recomputed statistics where they were."""
    return float((pair[0] if pair[1] is None else pair[1])["barrier"])


def _sentence(found: xr.Dataset, again: xr.Dataset | None) -> str:
    main = found if again is None else again
    between = f"Between {named(found)}"
    if not math.isfinite(float(main["barrier"])):
        return f"{between} the loss is not finite everywhere: there is no barrier to state."
    ends = [short(float(main["loss"][k])) for k in (0, -1)]
    with_statistics = "" if again is None else ", with BatchNorm statistics recomputed,"
    said = (
        f"{between}, {short(float(found.attrs['distance']))} apart, the training loss rises at "
        f"most {interval_text(main, 'barrier')}{with_statistics} above the chord of its ends "
        f"({ends[0]} and {ends[1]})."
    )
    if again is not None and math.isfinite(float(found["barrier"])):
        said += f" With averaged ones it would be {short(float(found['barrier']))}."
    return said


def interval_text(found: xr.Dataset, name: str) -> str:
    """A height with its interval; those of errors in percentage points."""
    value, low, high = (float(found[name + end]) for end in ("", "_low", "_high"))
    unit = " pp" if "error_" in name else ""
    value, low, high = (100 * v if unit else v for v in (value, low, high))
    if not math.isfinite(value):
        return "not finite"
    if not math.isfinite(low):
        return f"{short(value)}{unit}"
    return f"{short(value)} ({short(low)} to {short(high)}){unit}"


def barrier_records(contents: Contents) -> list[dict[str, Any]]:
    """Every line as plain values, for programs."""
    made = []
    for found, again in versions(contents):
        for one in (found, again):
            if one is not None:
                attrs = {k: one.attrs.get(k) for k in ("first", "second", "statistics", "distance")}
                numbers = {
                    str(n): _finite(v.values) for n, v in one.data_vars.items() if not v.dims
                }
                curve = {"alpha": one["alpha"].values.tolist(), "loss": _finite(one["loss"].values)}
                made.append({**attrs, **numbers, **curve})
    return made


def connection_records(contents: Contents) -> dict[str, Any]:
    """Verdicts with their evidence, and the other parts by pair, for programs."""
    found = contents.connections
    parts = {
        "aligned_lines": found.aligned,
        "matchings": found.matchings,
        "curves": found.curves,
        "aligned_curves": found.aligned_curves,
        "function_distances": found.functions,
    }
    made: dict[str, Any] = {"verdicts": [_relation(r) for r in relations_of(found)]}
    for name, pairs in parts.items():
        if pairs:
            made[name] = [_scalars(pairs[k]) for k in sorted(pairs)]
    return made


def _relation(related: Related) -> dict[str, Any]:
    evidence: dict[str, Any] = {}
    for name, value in vars(related.evidence).items():
        if isinstance(value, Height):
            evidence[name] = {k: v if math.isfinite(v) else None for k, v in vars(value).items()}
        elif value is not None and value != "":
            evidence[name] = value
    return {
        "first": related.first,
        "second": related.second,
        "verdict": related.verdict.word,
        "candidates": list(related.verdict.candidates),
        "open": list(related.verdict.open),
        "sentence": f"{related.claim} {related.grounds}",
        "threshold_from": related.origin,
        "evidence": evidence,
    }


TOLD = ("first", "second", "align", "kind", "split", "stopped", "not_measured", "frozen")


def _scalars(found: xr.Dataset) -> dict[str, Any]:
    told = {k: found.attrs[k] for k in TOLD if k in found.attrs}
    return told | {str(n): _finite(v.values) for n, v in found.data_vars.items() if not v.dims}


def named(found: xr.Dataset, word: str = "and") -> str:
    return f"{found.attrs.get('first', 'a')} {word} {found.attrs.get('second', 'b')}"


def _finite(values: Any) -> Any:
    """Numbers, with ``None`` for what is not finite."""
    if values.ndim:
        return [_finite(v) for v in values]
    return float(values) if math.isfinite(float(values)) else None


def short(value: float) -> str:
    return plain(float(f"{value:.3g}")) if math.isfinite(value) else "not finite"
