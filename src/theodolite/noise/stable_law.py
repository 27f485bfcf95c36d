r"""How often an alpha-stable number is large, by an integral.

The numbers of Chambers, Mallows and Stuck are a function of a uniform angle V and an exponential
W. Given V, how often that function exceeds x is an exponential:

.. math:: P(|X| > x) = \frac2\pi \int_0^{\pi/2} \exp\Big( -\cos((1 - \alpha) v)
          \Big( \frac{x (\cos v)^{1/\alpha}}{\sin \alpha v} \Big)^{\alpha/(\alpha - 1)} \Big)\,dv
          \quad (\alpha > 1)

and one minus that below 1; :math:`\alpha = 1` is Cauchy's law, 2 a Gaussian of variance 2.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

NODES = 800
"""Points of the integral, by the double exponential rule: tails lie at the ends of the angles."""

CAUCHY = 0.02
"""So near to 1 the exponent cannot be held, and the law of 1 itself is taken."""

Sizes = Float64[np.ndarray, " size"]


def stable_exceedance(sizes: Sizes, alpha: float) -> Sizes:
    """The share of symmetric alpha-stable numbers beyond `sizes`, which are positive."""
    if abs(alpha - 1) < CAUCHY:
        cauchy: np.ndarray = 1 - 2 / np.pi * np.arctan(sizes)
        return cauchy
    t = np.linspace(-4, 4, NODES)
    lower, upper = (1 / (1 + np.exp(sign * math.pi * np.sinh(t))) for sign in (-1, 1))
    v, rest = lower * math.pi / 2, upper * math.pi / 2  # angle, and what it lacks of a right one
    sine = np.where(v < rest, np.sin(alpha * v), np.sin((1 - alpha / 2) * math.pi + alpha * rest))
    weights = math.pi * np.cosh(t) * lower * upper * (t[1] - t[0])
    with np.errstate(over="ignore"):
        power = (np.log(sizes)[:, None] + np.log(np.sin(rest)) / alpha - np.log(sine)) * (
            alpha / (alpha - 1)
        )
        given = np.exp(-np.cos((1 - alpha) * v) * np.exp(power)) @ weights
    made: np.ndarray = given if alpha > 1 else 1 - given
    return made


def stable_sizes(shares: Sizes, alpha: float) -> Sizes:
    """What shares of symmetric alpha-stable numbers exceed, relative to their median size."""
    grid = np.exp(np.linspace(math.log(1e-3), math.log(1e3) + 12 / alpha, 3000))
    beyond = stable_exceedance(grid, alpha)
    wanted = np.concatenate([shares, [0.5]])
    logs = np.interp(-np.log(wanted), -np.log(np.maximum(beyond, 1e-300)), np.log(grid))
    made: np.ndarray = np.exp(logs[:-1] - logs[-1])
    return made
