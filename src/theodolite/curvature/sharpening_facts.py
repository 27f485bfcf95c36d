"""The numbers of a descent: when its sharpness reached the threshold, and where it stayed."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

from theodolite.shapes.histories import falling_share, first_reached, rise, rising_share, settled

NUMBERS = {
    "threshold": "curvature above which the update rule is unstable",
    "start_eigenvalue": "largest eigenvalue where descent begins",
    "first_crossing": "step at which the largest eigenvalue first reached the threshold",
    "rise_factor": "largest eigenvalue at the crossing, else its maximum, over the lowest before",
    "rise_slope": "rise of the largest eigenvalue a unit of time (rate times steps)",
    "rise_explained": "share of the variance of that rise on a straight line",
    "peak": "largest mean of sharpness over threshold, over a tenth of the steps",
    "late_mean": "mean of sharpness over threshold, late steps",
    "late_error": "standard error of that mean, by batch means",
    "late_low": "lower end of its interval",
    "late_high": "upper end of its interval",
    "rising_before": "share of steps at which the loss rises, before the crossing",
    "rising_after": "share of steps at which the loss rises, after the crossing",
    "falling_windows": "share of stretches of time after the crossing whose mean loss falls",
    "diverged": "step at which the loss was not finite",
    "products": "Hessian products of the run",
    "unsettled": "measurements whose eigenpairs did not settle to the tolerance",
}


def summarized(
    rate: float,
    threshold: float,
    times: np.ndarray,
    largest: Float64[np.ndarray, " time"],
    loss: Float64[np.ndarray, " step"],
    *,
    late: int,
    level: float,
) -> dict[str, float]:
    """The numbers of a run; see `descent_sharpness`."""
    steps = len(loss) - 1
    relative = largest / threshold
    seen = np.isfinite(relative)
    crossing = first_reached(times[seen], relative[seen], 1.0)
    highest = float(times[seen][int(np.argmax(relative[seen]))])
    before = seen & (times <= (crossing if math.isfinite(crossing) else highest))
    climb = rise(rate * times[before], largest[before])
    ended = not np.isfinite(loss[-1])
    mean = settled([] if ended else relative[times > steps - late], level=level)
    whole = loss[np.isfinite(loss)]
    cut = min(int(crossing), len(whole)) if math.isfinite(crossing) else len(whole)
    return {
        "threshold": threshold,
        "start_eigenvalue": float(largest[0]),
        "first_crossing": crossing,
        "rise_factor": climb.factor,
        "rise_slope": climb.slope,
        "rise_explained": climb.explained,
        "peak": _peak(relative[seen], len(times)),
        "late_mean": mean.mean,
        "late_error": mean.error,
        "late_low": mean.low,
        "late_high": mean.high,
        "rising_before": rising_share(whole[: cut + 1]),
        "rising_after": rising_share(whole[cut:]),
        "falling_windows": falling_share(whole[cut:]),
        "diverged": float(len(whole)) if ended else math.nan,
    }


def _peak(relative: Float64[np.ndarray, " time"], whole: int) -> float:
    """The largest mean over a tenth of all measurements."""
    width = max(1, min(whole // 10, len(relative)))
    if not len(relative):
        return math.nan
    return float(np.convolve(relative, np.ones(width) / width, "valid").max())
