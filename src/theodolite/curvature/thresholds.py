"""The largest curvature at which descent over the whole data is stable."""

from __future__ import annotations

import math

from theodolite.errors import InvalidArgument


def stability_threshold(
    rate: float | int, *, momentum: float | int = 0.0, nesterov: bool = False
) -> float:
    r"""The curvature above which descent on a quadratic grows, by its rate and momentum.

    .. math:: \frac{2}{\eta}, \qquad \frac{2 + 2m}{\eta}, \qquad \frac{2 + 2m}{\eta (1 + 2m)}

    for gradient descent, Polyak's and Nesterov's momentum as ``torch.optim.SGD`` has them. At the
    threshold the largest root of the characteristic polynomial reaches -1: updates point back and
    forth. Raises `InvalidArgument` (E-U40) for a rate that is not positive or a momentum outside
    ``[0, 1)``.

    References: Polyak (1964). Cohen et al. (2021), arXiv:2103.00065, section 2 and appendix B.

    >>> stability_threshold(0.5), stability_threshold(0.5, momentum=0.9)
    (4.0, 7.6)
    >>> round(stability_threshold(0.5, momentum=0.5, nesterov=True), 6)  # (2 + 1) / (0.5 * 2)
    3.0
    """
    if not 0 < rate < math.inf or not 0 <= momentum < 1:
        raise InvalidArgument(
            "rate must be positive and momentum at least 0 and below 1; "
            f"got {rate!r} and {momentum!r}.",
            code="E-U40",
        )
    heavy = (2 + 2 * momentum) / rate
    return float(heavy / (1 + 2 * momentum) if nesterov else heavy)
