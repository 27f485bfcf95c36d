"""How well the loss is known from the examples used, and what more would give."""

from __future__ import annotations

import math

from theodolite.plots import plain
from theodolite.results import examples_for


def known_to(loss: float, error: float) -> str:
    """The standard error of the loss in percent of it.

    >>> known_to(0.5, 0.002)
    'loss known to ± 0.4 %'
    """
    return f"loss known to ± {plain(float(f'{100 * error / abs(loss):.2g}'))} %"


def more_would_give(loss: float, error: float, examples: int, population: int | None) -> str:
    """The examples that the next smaller power of ten would need; empty without an error.

    `population` is what the examples were sampled from, where the error is about its mean.

    >>> more_would_give(0.5, 0.002, 2048, 60000)
    '± 0.1 % would need about 22,000 examples'
    """
    share = 100 * error / abs(loss)
    if not share > 0:
        return ""
    wanted = 10.0 ** math.floor(math.log10(share / 2))
    needed = examples_for(wanted / 100 * abs(loss), error, examples, population)
    return f"± {plain(wanted)} % would need about {int(float(f'{needed:.2g}')):,} examples"
