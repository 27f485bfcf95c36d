r"""How likely it is that a Krylov method has overlooked an eigenvalue.

A Krylov space contains one vector of each eigenspace, so the second copy of a repeated
eigenvalue is invisible to it, and two close ones can look like one for a while. The remedy is a
second Lanczos run from a random vector `u`, in the space orthogonal to the vectors found. After
`s` steps with Ritz values :math:`\mu_i` and remainders :math:`\beta_i`, the monic polynomial
:math:`p(t) = \prod_i (t - \mu_i)` has :math:`\|p(A) u\| = \prod_i \beta_i`. If an eigenvalue
:math:`\lambda` was overlooked, the component `c` of `u` along its vector obeys

.. math:: |c| \le \prod_{i=1}^{s} \beta_i / |\lambda - \mu_i|,

but a random unit vector in `n` dimensions has :math:`P(|c| \le \delta) < 0.8 \sqrt n \, \delta`.

References: Lanczos (1950); Kuczynski, Wozniakowski (1992), SIAM J. Matrix Anal. Appl. 13, for
the randomized start.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64


def miss_bound(
    section: Float64[np.ndarray, "s s"],
    log_remainders: float,
    dimension: int,
    limits: tuple[float, float],
) -> float:
    """A bound on the probability that an eigenvalue outside `limits` was overlooked.

    `section` is the operator seen by the second run, `log_remainders` the sum of the logarithms
    of its remainders (minus infinity when its space is exhausted), `dimension` that of the space
    `u` was drawn from. One when the run itself shows an eigenvalue outside. `limits` that are
    infinite cost nothing. The bound is exact when the vectors found are, and otherwise as good as
    they are.
    """
    ritz = np.linalg.eigvalsh(section)
    low, high = limits
    if ritz.min() < low or ritz.max() > high:
        return 1.0
    if np.isneginf(log_remainders):
        return 0.0
    bound = 0.0
    for edge in limits:
        distance = np.abs(edge - ritz).min()
        if distance == 0:
            return 1.0
        if np.isfinite(edge):
            log_component = log_remainders - float(np.log(np.abs(edge - ritz)).sum())
            log_chance = log_component + np.log(0.8) + 0.5 * np.log(dimension)
            bound += float(np.exp(min(0.0, log_chance)))
    return min(1.0, bound)
