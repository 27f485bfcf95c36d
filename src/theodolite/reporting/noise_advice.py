"""What the noise scale says of batch sizes for this network, in sentences, with what limits it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from theodolite.plots import plain
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Sentence, plain_text

FORMULAS = {"hessian_weighted": "tr(H Sigma) / G'HG", "simple": "tr(Sigma) / |G|²"}

MAJORITY = 0.5
"""The share of directions beyond which a refusal is said of the whole."""


def scale_of(contents: Contents) -> xr.Dataset | None:
    """The noise scale of a survey, where it has one."""
    return contents.noise.get("gradient_noise_scale")


def advice_sentence(contents: Contents) -> Sentence | None:
    """The batch size at which noise is as large as the gradient, and the range about it."""
    found = scale_of(contents)
    if found is None:
        return None
    if "critical_batch_size" not in found:
        return (f"No batch size follows from the noise: {found.attrs.get('no_advice', '')}",)
    value, low, high = interval(found, "critical_batch_size")
    start, stop = (float(found[f"range_{end}"]) for end in ("low", "high"))
    formula = FORMULAS[str(found.attrs["advice_from"])]
    if not math.isfinite(value):
        return (
            "The gradient is lost in the noise of these examples, so that no batch size is too "
            f"large for it: {formula} is at least ",
            Cited("critical_batch_size_low", rounded(low)),
            ".",
        )
    if stop < 1:
        return (
            "Single examples have more gradient than noise (",
            Cited("critical_batch_size", rounded(value)),
            f" by {formula}): a batch of more than one saves next to no steps.",
        )
    tail: Sentence = (" upward",)
    if math.isfinite(stop):
        tail = (" to ", Cited("batch_range_high", rounded(stop)))
    return (
        "A batch of about ",
        Cited("critical_batch_size", rounded(value)),
        f" examples{_between(low, high)} takes twice the fewest steps and twice the fewest "
        f"examples ({formula}); the range to look in is ",
        Cited("batch_range_low", rounded(max(start, 1.0))),
        *tail,
        _all_of_it(found, value),
    )


def stated_text(contents: Contents) -> str:
    """What the stated batch size costs, and what doubling it would bring; empty without one."""
    found = scale_of(contents)
    if found is None or "stated_steps_factor" not in found:
        return ""
    size = int(found.attrs["batch_size"])
    critical = float(found["critical_batch_size"])
    if not math.isfinite(critical):
        least = _short(float(found["stated_steps_factor_low"]))
        return f"Your batch of {size:,} takes at least {least} times the fewest steps."
    steps, examples = (_factor(found, f"stated_{kind}_factor") for kind in ("steps", "examples"))
    text = f"Your batch of {size:,} takes {steps} times the fewest steps and {examples} times the "
    text += "fewest examples"
    saved = 100 * critical / (2 * (size + critical))
    more = 100 * size / (size + critical)
    return (
        f"{text}; twice that batch would save {saved:.2g} % of the steps for {more:.2g} % more "
        "examples."
    )


def advice_text(contents: Contents) -> str:
    """Both sentences as text."""
    sentence = advice_sentence(contents)
    parts = ["" if sentence is None else plain_text(sentence), stated_text(contents)]
    return " ".join(p for p in parts if p)


def caveats(contents: Contents) -> tuple[str, ...]:
    """What the advice rests on, as the measure wrote it, and how it fits these data."""
    found = scale_of(contents)
    if found is None or "caveats" not in found.attrs:
        return ()
    told = found.attrs["caveats"]
    own = [] if isinstance(told, str) else [str(c) for c in np.atleast_1d(told)]
    simple, weighted = (float(found[n]) for n in ("simple", "hessian_weighted"))
    if math.isfinite(weighted) and weighted > 0 and 0 < simple < math.inf:
        ratio = max(simple / weighted, weighted / simple)
        own.insert(0, f"Here the simple and the weighted scale differ {ratio:.2g} times.")
    elif str(found.attrs.get("hessian_weighted_reason", "")) not in ("", "not asked for"):
        own.insert(0, f"No weighted scale: {found.attrs['hessian_weighted_reason']}.")
    return tuple(own)


def tail_text(contents: Contents) -> str:
    """How heavy the tails are, and whether the stable index may be read; empty where unknown."""
    found = contents.noise.get("gradient_tail_index")
    if found is None:
        scale = scale_of(contents)
        return "" if scale is None else str(scale.attrs.get("no_tails", ""))
    index, hill = (float(np.median(found[n].values)) for n in ("stable_index", "hill_index"))
    count, refused = found.sizes["direction"], int(found.attrs["stable_refused"])
    text = (
        f"Along {count} random directions the alpha-stable law has a median index of {index:.3g} "
        f"and is refused in {refused}"
    )
    if refused > MAJORITY * count:
        text += "; there the index is no tail index"
    return f"{text}. Hill's index, which needs no such law, is {hill:.3g}."


def advice_row(contents: Contents) -> Mapping[str, str] | None:
    """Measured, action, confidence and command, for the section on advice."""
    found = scale_of(contents)
    if found is None or "critical_batch_size" not in found:
        return None
    value, low, high = interval(found, "critical_batch_size")
    start, stop = (float(found[f"range_{end}"]) for end in ("low", "high"))
    if not math.isfinite(value) or stop < 1:
        return None
    upper = f" and {_short(stop)}" if math.isfinite(stop) else " or above"
    target = str(contents.attrs.get("target", "")) or "TARGET"
    return {
        "measured": f"Gradient noise scale {_short(value)} examples{_between(low, high)}.",
        "action": f"Look for the batch size {'between' if 'and' in upper else 'at'} "
        f"{_short(max(start, 1.0))}{upper}; measure again later in training.",
        "confidence": "An order of magnitude: one point, steps of SGD, a quadratic loss.",
        "command": f"theodolite noise {target} --batch-size {max(1, round(value))}",
    }


def interval(found: xr.Dataset, name: str) -> tuple[float, float, float]:
    """A number with the ends of its interval."""
    value, low, high = (float(found[name + end]) for end in ("", "_low", "_high"))
    return value, low, high


def rounded(value: float) -> Number:
    """Three digits: a batch size is no finer than that."""
    return Number(float(f"{value:.3g}"))


def _short(value: float) -> str:
    if math.isinf(value):
        return "no upper end"
    return plain(float(f"{value:.3g}"))


def _between(low: float, high: float) -> str:
    if _short(low) == _short(high):
        return ""
    return f" ({_short(low)} to {_short(high)})"


def _factor(found: xr.Dataset, name: str) -> str:
    value, low, high = interval(found, name)
    return f"{_short(value)}{_between(low, high)}"


def _all_of_it(found: xr.Dataset, value: float) -> str:
    """A word about data that are fewer than that."""
    population = found.attrs.get("noise_population", "data")
    count = int(found.attrs.get("examples", 0)) if population == "data" else population
    if not isinstance(count, int) or value <= count:
        return "."
    return f". There are {count:,} examples, so a batch of all of them is still below that."
