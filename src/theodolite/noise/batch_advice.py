"""What the noise scale says of batch sizes, and what it does not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.noise.arguments import count
from theodolite.noise.intervals import ENDS

CAVEATS = (
    "B_simple stands for B_noise only where the curvature is much alike in all directions; the "
    "two often differ several times over.",
    "The noise scale changes in training, mostly upward: this is the advice for this point.",
    "The trade-off is that of single steps of SGD with the best step size for each batch on a "
    "quadratic loss; momentum, warm-up and Adam shift it.",
    "It counts examples and steps, not time: below what fills the machine, larger batches cost "
    "nothing.",
)


def batch_size_advice(
    noise: xr.Dataset, *, batch_sizes: Sequence[int] | None = None, waste: float = 0.1
) -> xr.Dataset:
    r"""The critical batch size, a range to look in, and what each batch size costs.

    .. math:: \frac{S}{S_{\min}} = 1 + \frac{B_c}{B}, \qquad \frac{E}{E_{\min}} = 1 + \frac{B}{B_c}

    S steps of batches of B take E = S B examples; at :math:`B = B_c` both are twice their least.

    Parameters
    ----------
    noise
        A result of `gradient_noise_scale` or `two_batch_noise_scale`.
    batch_sizes
        To tell the cost of; by default powers of two around the range.
    waste
        The share of examples one would give away at the lower end of the range; 0 to 1, open.

    Returns
    -------
    xarray.Dataset
        ``critical_batch_size`` with ``_low`` and ``_high``: the Hessian-weighted scale where there
        is one with a finite upper end, else the simple one (``attrs["from"]``);
        ``range_low`` (waste times the lower end) and ``range_high`` (the upper end);
        ``steps_factor(batch)``, ``examples_factor(batch)``, each with ``_low`` and ``_high``; and
        ``data_share(batch)``, the share of the steps' gain a data-parallel doubling still brings.
        attrs: ``caveats``.

    Notes
    -----
    No cost. Below ``range_low`` a larger batch saves steps at next to no cost in examples; above
    ``range_high`` it saves next to none. Where a scale has no upper end neither has the range:
    more examples, or more draws, bound it. Raises `InvalidArgument` for another result, a scale
    that is not positive, or arguments out of range (E-Y04, E-Y14, E-Y15).

    References
    ----------
    McCandlish, Kaplan, Amodei et al. (2018), arXiv:1812.06162, equations 2.11 and 5.1. Shallue
    et al. (2019), arXiv:1811.03600 (how far it carries).

    Examples
    --------
    >>> noise = td.two_batch_noise_scale([5.0, 7.0], [2.0, 4.0], small_batch=1, large_batch=4)
    >>> advice = batch_size_advice(noise, batch_sizes=[2, 8])
    >>> float(advice.critical_batch_size), advice.steps_factor.values, advice.examples_factor.values
    (2.0, array([2.  , 1.25]), array([2., 5.]))
    """
    if not isinstance(waste, int | float) or not 0 < waste < 1:
        raise InvalidArgument(
            f"waste must be a number above 0 and below 1; got {waste!r}.", code="E-Y15"
        )
    source, (value, low, high) = _scale(noise)
    start, stop = waste * low, high
    sizes = np.array(
        [count(b, "batch_sizes", least=1) for b in batch_sizes]
        if batch_sizes is not None
        else _powers(start, stop if math.isfinite(stop) else 10 * value)
    )
    numbers = {
        "critical_batch_size": (value, "critical batch size"),
        "critical_batch_size_low": (low, "lower end of the critical batch size"),
        "critical_batch_size_high": (high, "upper end of the critical batch size"),
        "range_low": (start, "lower end of the range of batch sizes"),
        "range_high": (stop, "upper end of the range of batch sizes"),
    }
    variables: dict[str, results.Variable] = {
        k: ((), v, {"long_name": long_name, "units": "examples"})
        for k, (v, long_name) in numbers.items()
    }
    variables |= _factors(sizes, value, low, high)
    variables["data_share"] = (
        ("batch",),
        value / (value + sizes) if math.isfinite(value) else np.ones(len(sizes)),
        {"long_name": "share of the steps a larger batch can still save"},
    )
    return results.dataset(
        "batch_size_advice",
        variables,
        {"batch": sizes},
        **{"from": source},
        waste=waste,
        noise_population=noise.attrs.get("noise_population", ""),
        caveats=[*CAVEATS[(source != "simple") :]],
    )


def _factors(
    sizes: np.ndarray, value: float, low: float, high: float
) -> dict[str, results.Variable]:
    """What each batch size costs, with intervals."""
    made: dict[str, results.Variable] = {}
    with np.errstate(divide="ignore"):
        for (end, word), at, of in zip(
            ENDS.items(), (value, low, high), (value, high, low), strict=True
        ):
            steps, examples = 1 + at / sizes, 1 + sizes / np.float64(of)
            made[f"steps_factor{end}"] = (
                ("batch",),
                steps,
                {"long_name": f"{word}steps over the fewest"},
            )
            made[f"examples_factor{end}"] = (
                ("batch",),
                examples,
                {"long_name": f"{word}examples over the fewest"},
            )
    return made


def _scale(noise: xr.Dataset) -> tuple[str, tuple[float, float, float]]:
    """Which scale to go by, and its interval."""
    quantity = noise.attrs.get("quantity") if isinstance(noise, xr.Dataset) else type(noise)
    if quantity not in ("gradient_noise_scale", "two_batch_noise_scale"):
        raise InvalidArgument(
            "noise must be a result of gradient_noise_scale or two_batch_noise_scale; "
            f"got {quantity}.",
            code="E-Y14",
        )
    for name in ("hessian_weighted", "simple"):
        if name in noise:
            value, low, high = (float(noise[name + end]) for end in ("", "_low", "_high"))
            usable = value > 0 and high > 0 and (math.isfinite(high) or name == "simple")
            if usable:
                return name, (value, max(low, 0.0), high)
    raise InvalidArgument(
        "the noise scale is not positive, so no batch size is critical.",
        why="all examples have the same gradient here, or none has one.",
        code="E-Y14",
    )


def _powers(low: float, high: float) -> list[int]:
    """Powers of two from half of one end to twice the other."""
    first = max(0, math.floor(math.log2(max(low, 1.0))) - 1)
    last = max(first, math.ceil(math.log2(max(min(high, 2.0**40), 1.0))) + 1)
    return [2**k for k in range(first, last + 1)]
