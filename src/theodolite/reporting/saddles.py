"""What a survey says about saddles: the index as a curve, and a critical point found near by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import xarray as xr

from theodolite.plots import plain, plot_critical_search, plot_saddle_index
from theodolite.reporting.contents import Contents
from theodolite.reporting.escapes import EscapePanel, escape_panel
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey; parts that were not measured are empty."""

    label: str
    index: int
    verdict: str
    picture: str
    curve: Table | None
    directions: Table | None
    search: str
    search_picture: str
    escape: EscapePanel | None


def saddle_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that measured the index or looked for a critical point."""
    return tuple(
        _panel(c, k)
        for k, c in enumerate(surveys)
        if c.saddles is not None or c.critical is not None or c.escapes
    )


def _panel(contents: Contents, number: int) -> Panel:
    found, critical = contents.saddles, contents.critical
    drawn = "" if found is None else picture(partial(plot_saddle_index, found), f"i{number}")
    path = (
        "" if critical is None else picture(partial(plot_critical_search, critical), f"j{number}")
    )
    return Panel(
        contents.label,
        number,
        "" if found is None else verdict_words(found),
        drawn,
        None if found is None else curve_table(found),
        None if found is None else direction_table(found),
        "" if critical is None else search_words(critical),
        path,
        escape_panel(contents, number),
    )


def verdict_words(found: xr.Dataset) -> str:
    """The verdicts at the smallest and the largest threshold that differ, in one line."""
    taus = found["tau"].values
    verdicts = [str(v) for v in found["verdict"].values]
    parts: list[str] = []
    for k, verdict in enumerate(verdicts):
        if k == 0 or verdict != verdicts[k - 1]:
            parts.append(f"from {_short(float(taus[k]))} on: {verdict}")
    return "At thresholds " + "; ".join(parts) + "."


def curve_table(found: xr.Dataset) -> Table:
    """The curve, threshold by threshold."""
    rows = []
    for k in range(found.sizes["tau"]):
        at = found.isel(tau=k)
        low, high = (f"{100 * float(at[f'index_{end}']):.3g}" for end in ("low", "high"))
        rows.append(
            (
                _short(float(at["tau"])),
                f"{100 * float(at['index']):.3g}",
                f"{low} to {high}",
                plain(float(at["certain_negative"])),
                str(at["verdict"].values),
            )
        )
    head = ("threshold", "index, percent", "bounds, percent", "surely negative", "verdict")
    return Table(head, tuple(rows))


def direction_table(found: xr.Dataset) -> Table:
    """The lowest eigenvalues with their errors, at most twenty."""
    count = min(found.sizes["direction"], 20)
    rows = tuple(
        (str(k + 1), text(Number(float(found["eigenvalue"][k]), float(found["residual"][k]))))
        for k in range(count)
    )
    return Table(("rank", "eigenvalue ± error"), rows, count < found.sizes["direction"])


def search_words(found: xr.Dataset) -> str:
    """Whether the search found a critical point, and which kind."""
    norms, losses = found["gradient_norm"].values, found["loss"].values
    head = (
        f"The search ({found.attrs['method']}) took the gradient norm from {_plain(norms[0], 2)} "
        f"to {_plain(norms[-1], 2)} and the loss from {_plain(losses[0], 3)} to "
        f"{_plain(losses[-1], 3)} in "
        f"{int(found.attrs['products']):,} Hessian products"
    )
    if str(found.attrs.get("accepted")).lower() != "true":
        why = str(found.attrs["reason"])
        more = " More products (--max-products) may reach one." if "max_products" in why else ""
        return f"{head}; no critical point: {why}.{more}"
    kind = f", {found['verdict'].values[0]} at the smallest threshold" if "verdict" in found else ""
    return f"{head}: a critical point{kind}."


def _plain(value: float, digits: int) -> str:
    return plain(float(f"{float(value):.{digits}g}"))


def _short(value: float) -> str:
    return f"{value:.1e}".replace("e-0", "e-")
