"""Verdicts on pairs of weights in words and tables, with curves and answers behind them."""

from __future__ import annotations

import math

import xarray as xr

from theodolite.intervals.verdicts import Height, height, shown
from theodolite.reporting.connection_parts import Connections, counted, relations_of
from theodolite.reporting.connectivity_values import named, short
from theodolite.reporting.tables import Table

MOST_SAID = 3
"""Pairs told in sentences; more are counted, and stand in the table."""


def verdict_sentences(found: Connections) -> tuple[tuple[str, str], ...]:
    """The verdict on each of a few pairs and its grounds; of many how often each is found."""
    relations = relations_of(found)
    if len(relations) > MOST_SAID:
        return ((counted(relations), ""),)
    return tuple((r.claim, r.grounds) for r in relations)


def relations_table(found: Connections) -> Table | None:
    """Every pair with its verdict and the evidence."""
    relations = relations_of(found)
    if not relations:
        return None
    rows = []
    for r in relations:
        e = r.evidence
        word = r.verdict.word
        if len(r.verdict.candidates) > 1:
            word = f"{word}: {' or '.join(r.verdict.candidates)}"
        cells = [word, shown(e.barrier)]
        cells.append("no units to match" if e.unaligned else _told(e.aligned))
        cells += [_told(e.curve), _told(e.aligned_curve)]
        cells += [_share(e.disagreement), _times(e.normalized_disagreement)]
        rows.append((f"{r.first} and {r.second}", *cells))
    head = (
        "",
        "verdict",
        "barrier",
        "matched barrier",
        "curve, above the worse end",
        "matched curve",
        "different answers",
        "times errors",
    )
    keep = [k for k in range(len(head)) if k < 3 or any(row[k] for row in rows)]
    return Table(tuple(head[k] for k in keep), tuple(tuple(r[k] for k in keep) for r in rows))


def _told(found: Height | None) -> str:
    return "" if found is None else shown(found)


def _times(found: Height | None) -> str:
    return "" if found is None or not math.isfinite(found.value) else f"{found.value:.2g}"


def _share(found: Height | None) -> str:
    return "" if found is None else f"{100 * found.value:.2g} %"


def _points(found: Height, unit: str = "%") -> str:
    value, low, high = (100 * v for v in (found.value, found.low, found.high))
    told = f"{value:.3g}"
    if math.isfinite(low) and low != high:
        told += f" ({low:.3g} to {high:.3g})"
    return f"{told} {unit}"


def threshold_notes(found: Connections) -> tuple[str, ...]:
    """What the threshold is, and why units were not matched."""
    relations = relations_of(found)
    if not relations:
        return ()
    first = relations[0]
    alike = {r.evidence.threshold for r in relations}
    value = "" if len(alike) > 1 else f" of {short(first.evidence.threshold)}"
    origin = first.origin if len(alike) == 1 else first.origin.partition(" (")[0]
    told = f"Threshold{value}: {'given on the command line' if origin == 'given' else origin}."
    said = [f"{told} A measure holds, or fails, where its whole interval does."]
    why = next((r.evidence.unaligned for r in relations if r.evidence.unaligned), "")
    if why:
        said.append(f"Units were not matched: {why}.")
    partial = [m for m in found.matchings.values() if "distance" in m]
    if partial:
        m = partial[0]
        said.append(
            f"{100 * float(m['coverage']):.3g} % of the parameters lie in tensors whose units can "
            f"be matched; in {named(m)} matching moves {100 * float(m['moved']):.3g} % of the "
            f"units and brings the distance from {short(float(m['distance_before']))} to "
            f"{short(float(m['distance']))}."
        )
    return tuple(said)


def curves_table(found: Connections) -> Table | None:
    """Every curve with its heights and lengths."""
    rows = []
    for pair in sorted({*found.curves, *found.aligned_curves}):
        for one, how in (
            (found.curves.get(pair), ""),
            (found.aligned_curves.get(pair), ", units matched"),
        ):
            if one is not None:
                rows.append((f"{named(one, 'to')}{how}", *_curve(one)))
    head = (
        "",
        "largest loss",
        "above the worse end",
        "barrier",
        "mean over the length",
        "length",
        "way of the answers",
    )
    if not rows:
        return None
    keep = [k for k in range(len(head)) if k < 6 or any(row[k] for row in rows)]
    return Table(tuple(head[k] for k in keep), tuple(tuple(r[k] for k in keep) for r in rows))


def _curve(found: xr.Dataset) -> tuple[str, ...]:
    way = ""
    if "function_length" in found and float(found["function_chord"]) > 0:
        way = short(float(found["function_length"]) / float(found["function_chord"]))
    return (
        short(float(found["max_loss"])),
        shown(height(found, "saddle_excess")),
        shown(height(found, "barrier")),
        short(float(found["arc_mean_loss"])),
        short(float(found["length_ratio"])),
        way,
    )


def curve_notes(found: Connections) -> tuple[str, ...]:
    """Which curves they are, and which were stopped."""
    made = [*found.curves.values(), *found.aligned_curves.values()]
    if not made:
        return ()
    a = made[0].attrs
    kind = {"bezier": "Bezier curves", "polychain": "chains of straight pieces"}
    controls = made[0].sizes["control"]
    rates = list(dict.fromkeys(f"{m.attrs['learning_rate']:g}" for m in made))
    notes = [
        f"{kind.get(str(a['kind']), 'Curves')} with {controls} inner control "
        f"point{'s' if controls > 1 else ''}, trained for {a['steps']:,} steps at rate "
        f"{' or '.join(rates)} (Garipov et al. 2018). Lengths are in straight lines: of the "
        "weights and, as the way of the answers, of the probabilities."
    ]
    lost = [f"{named(m, 'to')} ({m.attrs['stopped']})" for m in made if m.attrs.get("stopped")]
    if lost:
        notes.append(f"Stopped before: {', '.join(lost)}; a smaller rate may find more.")
    return tuple(notes)


def answers_table(found: Connections) -> Table | None:
    """Every measure of how answers differ, with intervals."""
    if not found.functions:
        return None
    shares = {
        "disagreement": "different answers",
        "ensemble_gain": "gain of averaging",
    }
    plain = {
        "normalized_disagreement": "times the errors",
        "jensen_shannon": "Jensen-Shannon, nats",
        "error_overlap": "overlap of errors (kappa)",
    }
    rows = []
    for pair in sorted(found.functions):
        one = found.functions[pair]
        cells = [_points(height(one, n), "%" if n == "disagreement" else "pp") for n in shares]
        cells += [_known(height(one, n)) for n in plain]
        cells += [_points(height(one, n)) for n in ("accuracy_a", "accuracy_b")]
        cells += [_known(height(one.isel(layer=k), "cka")) for k in range(one.sizes["layer"])]
        rows.append((named(one), *cells))
    layers = [str(n) for n in next(iter(found.functions.values()))["layer"].values]
    head = ("", *shares.values(), *plain.values(), "accuracy of the first", "of the second")
    return Table((*head, *(f"CKA of {n}" for n in layers)), tuple(rows))


def _known(found: Height) -> str:
    """A number with its interval; a dash where it is not defined (no errors to compare)."""
    return shown(found) if math.isfinite(found.value) else "—"
