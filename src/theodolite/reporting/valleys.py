"""Training and test loss along the same lines, and what the shift of their minima costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import plain, plot_shifted_valley
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

SMALL = (3.5, 2.7)
DRAWN = 6
"""Lines that get a picture; the tables have all."""


@dataclass(frozen=True)
class ValleyPanel:
    """The pictures by direction, what they say, and the numbers."""

    sentence: str
    pictures: tuple[tuple[str, str], ...]
    table: Table
    numbers: Table


def valley_panel(contents: Contents, index: int) -> ValleyPanel | None:
    """The valleys of one survey, where it measured them."""
    found = contents.valleys
    if found is None:
        return None
    names = [str(n) for n in found["name"].values]
    drawn = tuple(
        (name, picture(partial(plot_shifted_valley, found, direction=k), f"w{index}-{k}", SMALL))
        for k, name in enumerate(names[:DRAWN])
    )
    return ValleyPanel(valley_words(found), drawn, shift_table(found), minimum_table(found))


def valley_words(found: xr.Dataset) -> str:
    """What the shift costs, measured and to second order, as a share of the gap."""
    known = np.isfinite(found["excess"].values)
    total = known.size
    if not known.any():
        return (
            f"On none of {total} lines both losses have a minimum within reach, so that no shift "
            "can be told."
        )
    kept = found.isel(direction=known)
    excess = _over_lines(kept, "excess")
    predicted = _over_lines(kept, "predicted_excess")
    gap = _over_lines(kept, "gap")
    lost = f" On {total - int(known.sum())} more there is no minimum within reach."
    share = excess.value / gap.value if gap.value > 0 else math.nan
    told = math.isfinite(share) and excess.value > (excess.error or 0.0)  # else it may be nothing
    part = f", {100 * share:.2g} % of the gap" if told else ""
    return (
        f"At the minimum of the training loss the test loss is {text(excess)} above its own "
        f"lowest value{part}, on average over {int(known.sum())} lines; half its curvature times "
        f"the squared shift says {text(predicted)}. The gap between the two losses there is "
        f"{text(gap)}.{'' if known.all() else lost}"
    )


def _over_lines(found: xr.Dataset, name: str) -> Number:
    """The mean over lines with its error over the examples, which all lines share.

    Results of older versions have none: the mean of the lines' errors is an upper bound of it.
    """
    error = found.get(f"mean_{name}_example_error", found[f"{name}_error"].mean())
    return Number(float(found[name].mean()), float(error))


def shift_table(found: xr.Dataset) -> Table:
    """By line: the shift, and the rise of the test loss it costs, measured and predicted."""
    rows = []
    for k in range(found.sizes["direction"]):
        at = found.isel(direction=k)
        cells = [_distance(at, "shift"), _number(at, "excess"), _number(at, "predicted_excess")]
        rows.append((str(at["name"].values), *cells))
    head = ("line", "shift (distance)", "test loss above its lowest", "the same to second order")
    return Table(head, tuple(rows))


def minimum_table(found: xr.Dataset) -> Table:
    """By line: where both minima are, both curvatures by distance, and the gap."""
    rows = []
    for k in range(found.sizes["direction"]):
        at = found.isel(direction=k)
        length = float(at["length"])
        bends = [float(at[f"{s}_curvature"]) / length**2 for s in ("train", "test")]
        rows.append(
            (
                str(at["name"].values),
                _distance(at, "train_minimum"),
                _distance(at, "test_minimum"),
                *(_short(b) if math.isfinite(b) else "none" for b in bends),
                _number(at, "gap"),
            )
        )
    head = (
        "line",
        "training minimum",
        "test minimum",
        "training curvature",
        "test curvature",
        "test minus training loss",
    )
    return Table(head, tuple(rows))


def _distance(at: xr.Dataset, name: str) -> str:
    """A position along the line as a Euclidean distance."""
    length = float(at["length"])
    return _text(length * float(at[name]), length * float(at[f"{name}_error"]))


def _number(at: xr.Dataset, name: str) -> str:
    return _text(float(at[name]), float(at[f"{name}_error"]))


def _text(value: float, error: float) -> str:
    return text(Number(value, error)) if math.isfinite(value) else "none"


def _short(value: float) -> str:
    return plain(float(f"{value:.2g}"))
