r"""What sixteen products say about the cost of a trace by each method, before one is chosen.

With `k` test vectors the variance is about :math:`2/k` times a squared Frobenius norm:

- Hutchinson: of `A` without its diagonal (the spread of the pilot's own forms says how much);
- XTrace, Hutch++: of :math:`(I - QQ^\top) A (I - QQ^\top)`, `Q` a basis of some images;
- XNysTrace: of what a Nystrom approximation by some test vectors leaves of `A`, and about
  twice that, because samples are correlated.

Both remainders can be estimated without bias from the pilot's inner products alone, for every
rank below 16: eliminate some vectors from the Gram matrix of the others. For XTrace that gives
:math:`\|(I - QQ^\top) A\|_F^2`, an upper bound that makes up for the correlation. Beyond the
pilot's ranks the curve is continued as the power law of its second half.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int

from theodolite.linalg.hutchinson import PILOT, with_margin
from theodolite.linalg.nystrom import shows_negative
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import working_dtype
from theodolite.linalg.sketch import Tally, gram, images, probe_columns

Curve = Float64[np.ndarray, " rank"]
Gram = Float64[np.ndarray, "probe probe"]

STEEPEST = 2.0
"""The remainder is not expected to fall faster than with this power of the rank."""

PRODUCTS = {"xtrace": 2, "hutch++": 3, "xnystrace": 1}
"""Products a test vector costs."""


@dataclass(frozen=True, eq=False)
class TracePilot:
    """``form`` holds the inner products of the pilot's probes with their images; ``images`` and
    ``nystrom`` are squared remainders by rank, from zero."""

    form: Gram
    images: Float64[np.ndarray, " images"]
    nystrom: Float64[np.ndarray, " nystrom"] | None

    @property
    def forms(self) -> Float64[np.ndarray, " probe"]:
        """The quadratic forms Hutchinson's method averages."""
        return self.form.diagonal()

    @property
    def trace(self) -> float:
        return float(self.forms.mean())

    def variance(
        self, method: str, probes: Int[np.ndarray, " plan"]
    ) -> Float64[np.ndarray, " plan"]:
        """The variance to expect of a method with so many test vectors, with a margin."""
        curve = self.nystrom if method == "xnystrace" else self.images
        assert curve is not None
        rank = probes if method == "hutch++" else probes - 1
        each = with_margin(4.0 if method == "xnystrace" else 2.0, PILOT)
        return np.asarray(each * _continued(curve, rank) / probes)


def trace_pilot(operator: Operator, seed: int, tally: Tally, *, semidefinite: bool) -> TracePilot:
    """Multiply the pilot's probes; `semidefinite` asks for the curve of Nystrom as well.

    There is none where the forms show that the operator is not positive semidefinite.
    """
    columns = probe_columns(operator, seed, "trace_pilot", PILOT)
    sketch = images(operator, columns, tally)
    rounding = float(torch.finfo(working_dtype(operator)).eps)
    form = gram(columns, sketch)
    form = (form + form.T) / 2
    positive = semidefinite and not shows_negative(operator, form)
    return TracePilot(
        form,
        remainders(gram(sketch, sketch), 1, 1e-12),
        remainders(form, 2, max(1e-12, 10 * rounding)) if positive else None,
    )


def remainders(matrix: Gram, kept: int, rounding: float) -> Curve:
    """Mean squares of what is left of a Gram matrix when others are eliminated, by their number.

    For one vector `kept`, what is left of its squared length; for two, the square of what is left
    of their inner product. Over all windows of consecutive vectors, in a circle.

    >>> remainders(np.array([[2.0, 1.0], [1.0, 2.0]]), 1, 1e-12).tolist()
    [2.0, 1.5]
    """
    count = len(matrix)
    curve: Curve = np.zeros(count - kept + 1)
    for rank in range(len(curve)):
        window = (np.arange(count)[:, None] + np.arange(kept + rank)) % count
        block = matrix[window[:, :, None], window[:, None, :]]
        inner = np.linalg.pinv(block[:, kept:, kept:], rcond=rounding, hermitian=True)
        rest = block[:, :kept, :kept] - block[:, :kept, kept:] @ inner @ block[:, kept:, :kept]
        curve[rank] = (rest[:, 0, 0] if kept == 1 else rest[:, 0, 1] ** 2).mean()
    floor = rounding * curve[0]
    return np.asarray(np.minimum.accumulate(np.where(curve > floor, curve, 0.0)))


def _continued(curve: Curve, rank: Int[np.ndarray, " plan"]) -> Float64[np.ndarray, " plan"]:
    """The curve at any rank."""
    last = len(curve) - 1
    known = np.asarray(curve[np.minimum(rank, last)])
    if curve[last] <= 0:
        return known
    fall = np.log(curve[last // 2] / curve[last]) / np.log(last / (last // 2))
    return np.asarray(known * np.maximum(rank / last, 1.0) ** -min(fall, STEEPEST))
