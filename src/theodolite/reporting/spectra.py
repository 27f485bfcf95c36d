"""What a spectrum says in numbers: tables for the page and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from theodolite.plots import plain
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.spectrum_values import facts_of, node_rows
from theodolite.reporting.tables import Table, spread_out


def summary_table(contents: Contents) -> Table | None:
    """Bulk, outliers and shares, each with its error over probes and what the nodes allow."""
    facts = facts_of(contents)
    if facts is None:
        return None
    at = facts["thresholds"]
    tail, percent = 100 * at["tail"], {k: f"{100 * at[k]:g} %" for k in at}
    rows = [
        _row(f"lower edge of the bulk ({tail:g} % quantile)", facts["bulk_low"]),
        _row(f"upper edge of the bulk ({100 - tail:g} % quantile)", facts["bulk_high"]),
        _row(f"outliers (beyond {percent['outlying']} of the largest)", facts["outliers"]),
        _row(f"near zero (within {percent['near_zero']})", facts["near_zero_mass"], "%"),
        _row(f"negative (below \N{MINUS SIGN}{percent['negative']})", facts["negative_mass"], "%"),
        _row("mean eigenvalue", facts["mean"]),
    ]
    if "trace" in facts:
        rows.append(_row("trace, from the same probes", facts["trace"]))
    head = f"value ± error over {probes_of(contents)}"
    return Table(("spectrum", head, "range the nodes allow"), tuple(rows))


def probes_of(contents: Contents) -> str:
    """The number of probes that are done, in words."""
    if contents.spectrum is None:
        return "probes"
    done = contents.spectrum["node"].dropna("probe").sizes["probe"]
    return f"{done} probe{'' if done == 1 else 's'}"


def norm_table(contents: Contents) -> Table | None:
    """The Frobenius norm, the effective dimension and the log determinant, where asked for."""
    rows: list[tuple[str, ...]] = []
    norm = contents.frobenius
    if norm is not None:
        exact = str(norm.attrs.get("exact")) == "true"
        value = Number(float(norm["frobenius_norm"]), float(norm["norm_error"]), exact)
        rows.append(("Frobenius norm", text(_whole(value))))
    facts = facts_of(contents) or {}
    if "damping" in facts:
        damping = plain(float(f"{facts['damping']['value']:.3g}"))
        for name, label in (
            ("effective_dimension", "effective dimension"),
            ("log_determinant", "log determinant, damped"),
        ):
            said = facts[name].get("why") or text(_number(facts[name]))
            rows.append((f"{label}, damping {damping}", said))
    return Table(("norms and sums", "value ± standard error"), tuple(rows)) if rows else None


def node_table(density: xr.Dataset) -> Table:
    """Eleven of the ranks, both ends among them."""
    rows = node_rows(density)
    kept = spread_out(len(rows))
    head = (
        "rank",
        "node ± over probes",
        "weight ± over probes",
        "weight \N{MULTIPLICATION SIGN} parameters",
    )
    body = []
    for k in kept:
        r: Mapping[str, Any] = rows[int(k)]
        stands = "" if r["eigenvalues"] is None else f"{r['eigenvalues']:.3g}"
        node, weight = (text(Number(r[n], r[f"{n}_error"])) for n in ("node", "weight"))
        body.append((str(r["rank"]), node, weight, stands))
    return Table(head, tuple(body), len(kept) < len(rows))


def warm_note(contents: Contents) -> str:
    """What a start from an earlier run's eigenvectors saved; empty for a random start."""
    pairs = contents.eigenvalues
    if pairs is None or "cold_products" not in pairs.attrs:
        return ""
    a = pairs.attrs
    cold = f"{int(a['cold_products'])} from a random start"
    same = (a["cold_count"], a["cold_tolerance"]) == (a["count"], a["tolerance"])
    if not same:
        cold += f" (for {int(a['cold_count'])} pairs at tolerance {float(a['cold_tolerance']):g})"
    return (
        f"{int(a['products'])} Hessian products, begun from {int(a['warm_vectors'])} eigenvectors "
        f"of {a['warm_start']}; that run took {cold}."
    )


def _row(label: str, found: Mapping[str, Any], unit: str = "") -> tuple[str, ...]:
    factor = 100.0 if unit == "%" else 1.0
    value = text(_number({k: None if v is None else factor * v for k, v in found.items()}, unit))
    if found.get("low") is None or found.get("high") is None:
        return label, value, ""
    low, high = (plain(float(f"{factor * found[k]:.3g}")) for k in ("low", "high"))
    return label, value, f"{low} to {high}{' ' + unit if unit else ''}"


def _number(found: Mapping[str, Any], unit: str = "") -> Number:
    value = math.nan if found["value"] is None else float(found["value"])
    return Number(value, found["error"], unit=unit)


def _whole(number: Number) -> Number:
    """Without an error where it is exact."""
    return Number(number.value, None, True) if number.exact else number
