"""One line of a certificate, and what is allowed in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One line of a certificate; it held if ``figure`` is at most ``bound``.

    ``kinks`` says that a failure is a matter of kinks near the point: the product was compared
    with differences of gradients at steps too small to reach them, and is right.
    """

    name: str
    figure: float
    bound: float
    reason: str = ""
    kinks: bool = False

    @property
    def passed(self) -> bool:
        return self.figure <= self.bound  # false where the figure is not a number


def relative(gap: float, size: float) -> float:
    return gap / size if size > 0 else gap


def allowed(base: float, noise: float, cap: float) -> float:
    """What is allowed: `base`, or what rounding inside the model explains, up to `cap`."""
    return min(max(base, 10 * noise), cap)
