"""The bound on overlooked eigenvalues against how often they are in fact overlooked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.linalg.completeness import miss_bound
from theodolite.linalg.lanczos import tridiagonalize
from theodolite.linalg.operator import Operator

INFINITE = (-np.inf, np.inf)


def bound_after(steps: int, seed: int, edge: float, *, hidden: float | None = None) -> float:
    """The bound at `edge` for a bulk in [-1, 1] and perhaps one more eigenvalue."""
    spectrum = torch.linspace(-1, 1, 99, dtype=torch.float64)
    if hidden is not None:
        spectrum = torch.cat([spectrum, torch.tensor([hidden], dtype=torch.float64)])
    size = len(spectrum)
    operator = Operator(lambda v: spectrum * v, size, torch.float64, "diagonal")
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(size, generator=generator, dtype=torch.float64)
    run = tridiagonalize(operator, start, steps=steps)
    off = run.off_diagonal
    section = torch.diag(run.diagonal) + torch.diag(off, 1) + torch.diag(off, -1)
    remainders = float(off.log().sum()) + float(np.log(run.residual_norm))
    return miss_bound(section.numpy(), remainders, size, (-np.inf, edge))


def test_with_nothing_hidden_the_bound_falls_geometrically() -> None:
    # Kills: the sign of either logarithm, the last remainder forgotten.
    # Chebyshev: each step divides the bound by t + sqrt(t^2 - 1) with t = 2.
    bounds = [bound_after(steps, 0, 2.0) for steps in (4, 8, 12)]
    assert 0 < bounds[2] < bounds[1] < bounds[0] <= 1
    assert (bounds[1] / bounds[2]) ** 0.25 == pytest.approx(2 + 3**0.5, rel=0.1)


def test_a_hidden_eigenvalue_is_passed_over_no_more_often_than_stated() -> None:
    # Kills: a factor missing in the bound: dimension, product of remainders, distances.
    # A run fails when its bound at the hidden value is below p although the value is there.
    level, runs = 0.1, 250
    failures = sum(bound_after(4, seed, 1.9, hidden=2.0) <= level for seed in range(runs))
    assert failures / runs <= level + 4 * (level * (1 - level) / runs) ** 0.5
    # Negative control: with nothing hidden the same runs do reach that level.
    reached = sum(bound_after(4, seed, 1.9) <= level for seed in range(runs))
    assert reached > failures


@pytest.mark.parametrize(
    ("limits", "bound"),
    [((-np.inf, 2.5), 1.0), ((1.5, np.inf), 1.0), (INFINITE, 0.0), ((-np.inf, 3.0), 1.0)],
)
def test_what_the_run_itself_shows_outside_is_certain(
    limits: tuple[float, float], bound: float
) -> None:
    # Kills: an end ignored; the logarithm of zero when a Ritz value lies on the limit.
    assert miss_bound(np.diag([1.0, 3.0]), -50.0, 10, limits) == bound


def test_an_exhausted_run_has_seen_everything() -> None:
    assert miss_bound(np.diag([1.0, 3.0]), -np.inf, 10, (-np.inf, 3.0)) == 0.0
