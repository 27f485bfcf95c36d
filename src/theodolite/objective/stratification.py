"""A sample that keeps the shares of the strata, and the error of a mean over it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

FEWEST = 2
"""Strata expected to give fewer examples are put together: one has no variance."""


@dataclass(frozen=True, eq=False)
class Design:
    """Which stratum each sampled example is from, and how large the strata are.

    ``label`` says what the strata are. One stratum is a simple random sample.
    """

    stratum: Int[np.ndarray, " sample"]
    sizes: Int[np.ndarray, " stratum"]
    label: str

    @property
    def population(self) -> int:
        """How many examples were sampled from."""
        return int(self.sizes.sum())

    @cached_property
    def counts(self) -> Int[np.ndarray, " stratum"]:
        """Examples sampled by stratum."""
        return np.bincount(self.stratum, minlength=len(self.sizes))

    @cached_property
    def _factors(self) -> tuple[np.ndarray, np.ndarray]:
        """What a stratum's squared deviations, and its squared mean, count in the variance."""
        n, size = self.counts, self.sizes
        within = n / np.maximum(n - 1, 1) * (1 - n / size)
        part = len(self.stratum) * size % self.population / self.population
        return within, part * (1 - part)

    def error(self, gaps: Float[np.ndarray, " sample"], total: float) -> float:
        r"""Standard error of a mean whose linearized deviations are ``gaps / total``.

        .. math:: \frac{1}{W^2} \sum_h \left[ \Bigl(1 - \frac{n_h}{N_h}\Bigr)
            \frac{n_h}{n_h - 1} \sum_{i \in h} (g_i - \bar g_h)^2
            + \frac{K}{K - 1} f_h (1 - f_h) (\bar g_h - \bar g)^2 \right]

        The first term is the stratified variance with the finite population correction. The
        second is what the random rounding of ``n N_h / N`` adds: ``f_h`` are the fractions, K
        those that are not zero, and ``g-bar`` is the mean weighted by ``f_h (1 - f_h)``. It is
        exact for K = 2, else Hájek's approximation (1964), and of order ``1 / n`` of the first.
        """
        within, rounding = self._factors
        counts = np.maximum(self.counts, 1)
        means = np.bincount(self.stratum, gaps, len(self.sizes)) / counts
        apart = np.bincount(self.stratum, (gaps - means[self.stratum]) ** 2, len(self.sizes))
        variance = float(within @ apart)
        if rounding.any():
            middle = rounding @ means / rounding.sum()
            unequal = int(np.count_nonzero(rounding))
            variance += float(rounding @ (means - middle) ** 2) * unequal / (unequal - 1)
        return math.sqrt(variance) / total

    def facts(self) -> Mapping[str, Any]:
        """What results record of the sample."""
        return {
            "sampling": self.label,
            "strata": len(self.sizes),
            "population": self.population,
            "error_refers_to": f"the mean over all {self.population:,} examples sampled from",
        }


def strata_of(labels: Int[np.ndarray, " example"], limit: int) -> Int[np.ndarray, " example"]:
    """The stratum of every example: its label, rare labels put together.

    Labels of which a sample of `limit` has fewer than `FEWEST` in the mean share a stratum, and
    if that is too small as well, the smallest other joins it.

    >>> strata_of(np.array([5, 5, 5, 5, 7, 7, 7, 7, 8]), 5).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 0]
    """
    _, stratum, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    share = sizes * limit / len(labels)
    order = np.argsort(share, kind="stable")
    together = int((share < FEWEST).sum())
    if together:
        summed = np.cumsum(share[order])
        together = max(together, int(np.searchsorted(summed, FEWEST - 1e-9)) + 1)
    joined = np.arange(len(sizes))
    joined[order[:together]] = order[min(together, len(order)) - 1] if together else 0
    return np.unique(joined[stratum], return_inverse=True)[1].reshape(-1)


def allocation(
    sizes: Int[np.ndarray, " stratum"], limit: int, generator: np.random.Generator
) -> Int[np.ndarray, " stratum"]:
    """How many examples each stratum gives: ``limit * sizes / sizes.sum()``, rounded at random.

    Every count is the floor or the ceiling of that number and has it as its mean, and they add
    up to `limit`. So with simple sampling inside the strata every example is in the sample with
    probability ``limit / sizes.sum()``, and the plain mean over the sample is unbiased. The
    fractions are laid end to end in random order; a comb of unit spacing at a random offset
    picks those that are rounded up (systematic sampling; Madow 1949).

    >>> allocation(np.array([60, 40]), 10, np.random.default_rng(0)).tolist()
    [6, 4]
    """
    total = int(sizes.sum())
    whole, rest = np.divmod(sizes * limit, total)
    order = generator.permutation(len(sizes))
    ends = np.concatenate([[0], np.cumsum(rest[order])])  # in units of 1 / total: exact integers
    offset = int(generator.integers(total))
    marks = (ends + offset) // total
    up = np.zeros_like(whole)
    up[order] = np.diff(marks)
    return whole + up
