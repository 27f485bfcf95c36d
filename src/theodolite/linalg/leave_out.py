r"""The error of a mean of samples that leave one test vector out each.

XTrace and its kin give one sample a test vector: vector `i` is spent on what the others have not
explained of the matrix. Every sample is unbiased given the other vectors, and all are
exchangeable, but they share vectors, so the spread of the samples is too small an error: the
variance of their mean is :math:`\sigma^2 / k + (1 - 1/k)\, c` with `c` the covariance of two.

Let :math:`t_j^{(i)}` be sample `j` made without vector `i` as well. Given all vectors but `j`, both
:math:`t_j` and :math:`t_j^{(i)}` have the trace for their mean. So their errors are uncorrelated
with all that does not depend on vector `j`, as :math:`t_i^{(j)}` does not. Hence

.. math:: c = \mathbb E \, (t_i - t_i^{(j)}) (t_j - t_j^{(i)}), \qquad
    \operatorname{Var} \bar t = \mathbb E \Big[ \frac{s^2}{k}
    + \frac{1}{k (k - 1)} \sum_{i \ne j} (t_i - t_i^{(j)}) (t_j - t_j^{(i)}) \Big],

with :math:`s^2` the sample variance: an estimate without bias, for any matrix, and without further
products. It is kept between :math:`s^2 / k`, what independent samples would have, and
:math:`s^2`, because the mean cannot vary more than one sample.

References: Epperly, Tropp, Webber (2024), SIAM J. Matrix Anal. Appl. 45 (:math:`s^2 / k`, and that
it is too small). The covariance is derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from theodolite.linalg.operator import Operator
from theodolite.linalg.sketch import Progress, Tally, exact_trace


@dataclass(frozen=True, eq=False)
class ProbeTrace:
    """A trace from a fixed number of probes: ``trace`` is the mean of ``samples``.

    For a 95 % interval use ``standard_error`` with Student's t and ``len(samples) - 1`` degrees
    of freedom. ``products`` counts products; ``exact`` says that all unit vectors were used.
    """

    trace: float
    standard_error: float
    samples: Float64[np.ndarray, " probe"]
    products: int
    exact: bool = False


def by_unit_vectors(operator: Operator, probes: int, progress: Progress | None) -> ProbeTrace:
    """The trace by products with all unit vectors, where so many probes would cost no less."""
    tally = Tally(operator.size, progress)
    exact = exact_trace(operator, tally)
    return ProbeTrace(exact, 0.0, np.full(probes, exact), tally.done, exact=True)


def calibrated_error(
    samples: Float64[np.ndarray, " probe"], pairs: Float64[np.ndarray, "probe probe"]
) -> float:
    """The standard error of the mean of exchangeable `samples`.

    ``pairs[i, j]`` is sample `j` as it would be had test vector `i` not been drawn; the diagonal
    is not read.

    >>> calibrated_error(np.array([0.0, 4.0]), np.array([[0.0, 2.5], [-1.5, 0.0]]))
    2.5
    """
    count = len(samples)
    spread = float(samples.var(ddof=1))
    change = np.where(np.eye(count, dtype=bool), 0.0, samples - pairs)
    covariance = float((change * change.T).sum()) / (count * (count - 1))
    return math.sqrt(min(max(spread / count + covariance, spread / count), spread))
