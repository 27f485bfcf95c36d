"""The trace of an operator from random signs, with a standard error that can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import chi2

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs
from theodolite.linalg.products import product, wide_dtype
from theodolite.linalg.sketch import Progress, Tally, together

PILOT = 16
"""Probes that only estimate the spread; also the fewest the estimate itself is made of."""

SHORTFALL = 0.2
"""How often the number of probes may turn out too small for the tolerance."""


@dataclass(frozen=True, eq=False)
class TraceEstimate:
    """``trace`` is the mean of ``samples``; ``products`` counts the pilot's as well.

    ``reached`` says that the standard error is within the tolerance asked for.
    """

    trace: float
    standard_error: float
    samples: Float64[np.ndarray, " probe"]
    products: int
    pilot: int
    reached: bool


def trace_estimate(
    operator: Operator,
    *,
    tolerance: float = 0.01,
    seed: int = 0,
    max_products: int = 1000,
    batch: int | None = None,
    progress: Progress | None = None,
) -> TraceEstimate:
    r"""Estimate the trace of an operator by Hutchinson's method.

    .. math:: \operatorname{tr} A = \mathbb E\, z^\top A z, \qquad z_i = \pm 1

    Parameters
    ----------
    operator
        Square; symmetry is not needed.
    tolerance
        Standard error wanted, relative to the trace.
    seed
        Probe `i` is the same whatever `tolerance`, `max_products` and `batch` are.
    max_products
        Cap on all products; at least ``2 * PILOT``.
    batch
        Probes multiplied at once, about ``4 * batch * size`` numbers of memory. By default 8, and
        fewer where they would be more than 2^24 numbers.
    progress
        Called as ``progress(products done, products planned)``.

    Returns
    -------
    TraceEstimate
        ``standard_error`` is the sample deviation over the square root of the count. For a 95 %
        interval use Student's t with ``len(samples) - 1`` degrees of freedom.

    Notes
    -----
    Two stages. A pilot of 16 probes estimates mean and spread, and from them how many probes
    the tolerance needs (with a margin, so that it is met in about four runs of five). The
    estimate is made of that many *new* probes and the pilot is thrown away. So the number of
    probes does not depend on the samples that are averaged: there is no optional stopping, the
    mean is unbiased and the standard error is honest. If the trace is near zero beside the
    spread, no affordable number is enough; then the cap is used and ``reached`` is false.
    The variance of one probe is :math:`2 (\|A\|_F^2 - \sum_i A_{ii}^2)`; a diagonal matrix is
    exact. Quadratic forms are accumulated in float64.

    References
    ----------
    Hutchinson (1990), Communications in Statistics 19. Stein (1945), Annals of Mathematical
    Statistics 16 (two stages).

    Examples
    --------
    >>> estimate = trace_estimate(Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0]))))
    >>> estimate.trace, estimate.standard_error
    (3.0, 0.0)
    """
    if batch is None:
        batch = together(operator)
    require_affordable(tolerance, max_products)
    if batch < 1:
        raise InvalidArgument(f"batch must be at least 1; got {batch}.", code="E-L22")
    tally = Tally(2 * PILOT, progress)
    forms = _drawn(operator, seed, "trace_pilot", PILOT, batch, tally)
    tally.planned = PILOT + min(probes_needed(forms, tolerance), max_products - PILOT)
    return fresh_estimate(operator, tally, tolerance=tolerance, seed=seed, batch=batch)


def fresh_estimate(
    operator: Operator, tally: Tally, *, tolerance: float, seed: int, batch: int
) -> TraceEstimate:
    """The second stage: probes the pilot has not seen, as many as `tally` still plans."""
    pilot = tally.done
    kept = _drawn(operator, seed, "trace", tally.planned - pilot, batch, tally)
    mean, error = float(kept.mean()), float(kept.std(ddof=1)) / math.sqrt(len(kept))
    return TraceEstimate(mean, error, kept, tally.done, pilot, error <= tolerance * abs(mean))


def _drawn(
    operator: Operator, seed: int, stream: str, probes: int, batch: int, tally: Tally
) -> Float64[np.ndarray, " probe"]:
    """Quadratic forms of the first `probes` probes of a stream, some multiplied together."""
    found: list[float] = []
    wide = wide_dtype(operator.device)
    while len(found) < probes:
        some = range(len(found), min(len(found) + batch, probes))
        columns = torch.stack([signs(operator, seed, stream, probe) for probe in some], 1)
        images = product(operator, columns, step=tally.done + 1)
        found += [float(s) for s in torch.sum(columns * images, 0, dtype=wide).cpu()]
        tally.add(len(some))
    return np.array(found)


def probes_needed(pilot: Float64[np.ndarray, " probe"], tolerance: float) -> int:
    """Probes that bring the standard error below the tolerance, with a margin for the pilot's
    own uncertainty about the spread."""
    variance = with_margin(float(pilot.var(ddof=1)), len(pilot))
    wanted = tolerance * abs(float(pilot.mean()))
    if variance == 0:
        return PILOT
    most = 2**53
    return max(PILOT, math.ceil(min(most, variance / wanted**2))) if wanted > 0 else most


def with_margin(variance: float, samples: int) -> float:
    """The variance to plan with where so many samples have shown `variance`."""
    return variance * (samples - 1) / float(chi2.ppf(SHORTFALL, samples - 1))


def require_affordable(tolerance: float, max_products: int) -> None:
    """Raise where nothing can be estimated."""
    if not tolerance > 0:
        raise InvalidArgument(f"tolerance must be above 0; got {tolerance}.", code="E-L20")
    if max_products < 2 * PILOT:
        raise InvalidArgument(
            f"max_products must be at least {2 * PILOT}; got {max_products}.",
            why=f"{PILOT} probes estimate the spread and at least {PILOT} more the trace.",
            code="E-L21",
        )
