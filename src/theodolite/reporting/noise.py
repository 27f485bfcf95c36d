"""The section on gradient noise: pictures, a table of all numbers, and what follows for batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import (
    noisiest,
    plain,
    plot_batch_efficiency,
    plot_gradient_tails,
    plot_signal_to_noise,
)
from theodolite.reporting.contents import Contents
from theodolite.reporting.noise_advice import advice_text, caveats, interval, tail_text
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

MOST_DRAWN = 24
"""Layers in the picture; the table and summary.json hold all."""

ROW, AROUND, LETTER = 0.24, 0.75, 0.075
"""Inches a layer, around them, and a letter of a layer's name."""

LONGEST = 26
"""Letters that the picture shows of it."""

SCALE = (
    ("simple", "simple noise scale tr(Sigma) / |G|²", "examples"),
    ("hessian_weighted", "noise scale by curvature tr(H Sigma) / G'HG", "examples"),
    ("critical_batch_size", "critical batch size", "examples"),
    ("covariance_trace", "variance of one example tr(Sigma)", ""),
    ("gradient_norm_squared", "squared gradient |G|²", ""),
    ("hessian_covariance_trace", "tr(H Sigma)", ""),
    ("gradient_curvature", "G'HG", ""),
)
STATED = (
    ("stated_steps_factor", "steps over the fewest, at your batch size"),
    ("stated_examples_factor", "examples over the fewest, at your batch size"),
)
TEMPERATURES = (
    ("batch_noise_factor", "noise of your batch over Sigma"),
    ("step_to_batch_ratio", "step size over batch size"),
    ("smith_le_noise_scale", "noise scale of Smith and Le"),
    ("stationary_excess_loss", "loss that the noise sustains above a minimum"),
)

NAMES = {
    "noise_scale": "the noise scale",
    "noise_layers": "signal to noise by layer",
    "gradient_diversity": "gradient diversity",
    "noise_spectrum": "eigenvalues of Sigma",
    "noise_alignment": "alignment of noise and curvature",
    "noise_tails": "tails",
}
"""Groups of the survey in words."""

Row = tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture with its name, a line under it and the numbers behind it."""

    name: str
    drawn: str
    caption: str
    table: Table | None = None


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey; parts that were not measured are empty."""

    label: str
    index: int
    advice: str
    caveats: tuple[str, ...]
    table: Table | None
    pictures: tuple[Picture, ...]
    missing: tuple[str, ...]


def noise_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that measured noise, or says why it could not."""
    return tuple(_panel(c, k) for k, c in enumerate(surveys) if c.noise or c.no_noise)


def _panel(contents: Contents, index: int) -> Panel:
    drawn = [f(contents, index) for f in (_efficiency, _layers, _tails)]
    return Panel(
        contents.label,
        index,
        advice_text(contents),
        caveats(contents),
        number_table(contents),
        tuple(p for p in drawn if p is not None),
        missing_text(contents),
    )


def missing_text(contents: Contents) -> tuple[str, ...]:
    """What could not be measured, and why; a reason that several share once."""
    parts: dict[str, list[str]] = {}
    for group, reason in contents.no_noise.items():
        parts.setdefault(reason, []).append(NAMES.get(group, group))
    return tuple(f"Not measured: {', '.join(names)}; {why}" for why, names in parts.items())


def number_table(contents: Contents) -> Table | None:
    """Every number of the section but those by layer, with its interval."""
    rows = [
        *_scale_rows(contents.noise.get("gradient_noise_scale")),
        *_diversity_rows(contents.noise.get("gradient_diversity")),
        *_spectrum_rows(contents.noise.get("noise_spectrum")),
        *_alignment_rows(contents.noise.get("noise_curvature_alignment")),
        *_tail_rows(contents.noise.get("gradient_tail_index")),
    ]
    if not rows:
        return None
    levels = [100 * float(d.attrs["level"]) for d in contents.noise.values() if "level" in d.attrs]
    level = f"{levels[0]:g} % interval" if levels else "interval"
    return Table(("quantity", "value", level), tuple(rows))


def layer_table(contents: Contents, most: int | None = None) -> Table | None:
    """Signal against noise by layer, with the share of the noise; the noisiest where many."""
    found = contents.noise.get("signal_to_noise")
    if found is None:
        return None
    whole = float(np.nansum(found["covariance_trace"].values))
    kept = noisiest(found, found.sizes["layer"] if most is None else most)
    rows = []
    for k in range(kept.sizes["layer"]):
        at = kept.isel(layer=k)
        value, low, high = interval(at, "signal_to_noise")
        spread = float(at["covariance_trace"])
        share = f"{100 * spread / whole:.2g} %" if whole > 0 else ""
        own = _short(1 / value) if value > 0 else ""
        rows.append((str(at["layer"].values), _short(value), _ends(value, low, high), own, share))
    head = ("layer", "signal to noise", "interval", "own noise scale", "share of the noise")
    return Table(head, tuple(rows), kept.sizes["layer"] < found.sizes["layer"])


def _scale_rows(found: xr.Dataset | None) -> list[Row]:
    if found is None:
        return []
    rows = [_row(found, name, words, unit) for name, words, unit in SCALE if name in found]
    if "range_low" in found:
        ends = [float(found[f"range_{end}"]) for end in ("low", "high")]
        to = f"to {_short(ends[1])}" if math.isfinite(ends[1]) else "upward"
        rows.append(
            ("range of batch sizes to look in, examples", f"{_short(max(ends[0], 1.0))} {to}", "")
        )
    rows += [_row(found, name, words) for name, words in STATED if name in found]
    rows += [
        (words, _short(float(found[name])), "") for name, words in TEMPERATURES if name in found
    ]
    return [r for r in rows if r[1]]


def _diversity_rows(found: xr.Dataset | None) -> list[Row]:
    if found is None:
        return []
    return [
        ("gradient diversity", _short(float(found["diversity"])), "exact"),
        ("batch size it allows, examples", _short(float(found["batch_bound"])), "exact"),
    ]


def _spectrum_rows(found: xr.Dataset | None) -> list[Row]:
    if found is None:
        return []
    rows: list[Row] = []
    for k in range(found.sizes["pair"]):
        at = found.isel(pair=k)
        value, low, high = interval(at, "eigenvalue")
        error = float(at["residual"])
        ends = f"residual {error:.1g}" if low == high else _ends(value, low, high)
        of = float(at["share"])
        share = f", {100 * of:.3g} % of tr(Sigma)" if math.isfinite(of) else ""
        rows.append((f"eigenvalue {k + 1} of Sigma{share}", text(Number(value, error)), ends))
    return rows


def _alignment_rows(found: xr.Dataset | None) -> list[Row]:
    if found is None:
        return []
    return [
        _row(found, "alignment", "alignment of noise and curvature, 1 where noise is uniform"),
        _row(found, "cosine", "cosine of H and Sigma"),
    ]


def _tail_rows(found: xr.Dataset | None) -> list[Row]:
    if found is None:
        return []
    count = found.sizes["direction"]
    words = {
        "stable_index": "alpha-stable index, median over directions",
        "hill_index": "Hill's index, median over directions",
        "p_value": "p-value of the alpha-stable law, median",
    }
    rows: list[Row] = []
    for name, told in words.items():
        values = found[name].values.astype(np.float64)
        spread = f"{_short(values.min())} to {_short(values.max())} over {count} directions"
        rows.append((told, _short(float(np.median(values))), spread))
    rows.append(("Hill's index of the norms", _short(float(found["hill_index_of_norms"])), ""))
    refused = int(found.attrs["stable_refused"])
    rows.append(("directions in which the law is refused", f"{refused} of {count}", ""))
    return rows


def _efficiency(contents: Contents, index: int) -> Picture | None:
    found = contents.noise.get("gradient_noise_scale")
    if found is None or "critical_batch_size" not in found:
        return None
    head = ("batch size", "steps over the fewest", "examples over the fewest")
    rows = [
        (
            plain(float(b)),
            *(_short(float(found[f"{k}_factor"][n])) for k in ("steps", "examples")),
        )
        for n, b in enumerate(found["batch"].values)
    ]
    svg = picture(partial(plot_batch_efficiency, found), f"nb{index}", (5.4, 3.3))
    caption = (
        "Larger batches need fewer steps and more examples; the two efficiencies cross at the "
        "critical batch size. Bands are its interval."
    )
    return Picture("What a batch size costs", svg, caption, Table(head, tuple(rows)))


def _layers(contents: Contents, index: int) -> Picture | None:
    found = contents.noise.get("signal_to_noise")
    if found is None:
        return None
    kept = noisiest(found, MOST_DRAWN)
    size = (5.4, AROUND + ROW * max(kept.sizes["layer"], 4))
    letters = max(len(str(name)) for name in kept["layer"].values)
    left = 0.35 + LETTER * min(letters, LONGEST)
    draw = partial(plot_signal_to_noise, kept)
    svg = picture(draw, f"nl{index}", size, margins=(left, 0.5, 0.15, 0.15))
    notes = ["Squared gradient over the variance of one example; a batch of B has B times as much."]
    if kept.sizes["layer"] < found.sizes["layer"]:
        notes.append(
            f"{MOST_DRAWN} of {found.sizes['layer']} layers, those with the most noise; the table "
            "holds all."
        )
    lost = int((~(found["signal_to_noise"].values > 0)).sum())
    if lost:
        notes.append(f"{lost} without a positive signal.")
    return Picture("Signal against noise by layer", svg, " ".join(notes), layer_table(contents))


def _tails(contents: Contents, index: int) -> Picture | None:
    found = contents.noise.get("gradient_tail_index")
    if found is None:
        return None
    draw = partial(plot_gradient_tails, found)
    svg = picture(draw, f"nt{index}", (5.4, 3.5), margins=(0.75, 0.5, 0.1, 0.55))
    return Picture("Tails of the noise", svg, tail_text(contents))


def _row(found: xr.Dataset, name: str, words: str, unit: str = "") -> Row:
    value, low, high = interval(found, name)
    told = f"{words}, {unit}" if unit else words
    return told, "" if math.isnan(value) else _short(value), _ends(value, low, high)


def _ends(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return ""
    if low == value == high:
        return "exact"
    return f"{_short(low)} {f'to {_short(high)}' if math.isfinite(high) else 'upward'}"


def _short(value: float) -> str:
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "unbounded"
    return plain(float(f"{value:.4g}"))
