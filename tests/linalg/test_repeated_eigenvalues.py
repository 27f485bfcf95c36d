"""Copies of repeated eigenvalues, and close pairs that look like one, against chosen spectra."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from theodolite.linalg.operator import Operator
from theodolite.linalg.thick_restart import ritz_pairs


def diagonal(values: Tensor) -> Operator:
    return Operator(lambda v: values * v, len(values), torch.float64, "diagonal")


def with_bulk(*outliers: float, size: int = 300) -> Tensor:
    """`outliers` above a dense bulk in [-0.3, 1]."""
    bulk = torch.linspace(-0.3, 1, size - len(outliers), dtype=torch.float64)
    return torch.cat([torch.tensor(outliers, dtype=torch.float64), bulk])


@pytest.mark.parametrize("copies", [2, 3, 6])
def test_every_copy_of_the_largest_is_found(copies: int) -> None:
    # Kills: no search after convergence; a search that stops at the first copy; a search
    # orthogonal to the copies' space.
    for seed in range(3):
        pairs = ritz_pairs(diagonal(with_bulk(*[5.0] * copies, 3.0)), count=copies + 1, seed=seed)
        exact = torch.tensor([5.0] * copies + [3.0], dtype=torch.float64)
        assert torch.allclose(pairs.values, exact, rtol=0, atol=1e-6)
        assert pairs.miss_probability <= 1e-3


def test_copies_at_both_ends_and_of_both_signs() -> None:
    # Kills: a search that watches one end only.
    values = with_bulk(5.0, 5.0, -4.0, -4.0, -4.0, 4.0)
    both = ritz_pairs(diagonal(values), count=5, which="both")
    assert both.values.round(decimals=5).tolist() == [5.0, 5.0, 4.0, -4.0, -4.0]
    size = ritz_pairs(diagonal(values), count=6, which="magnitude")
    assert size.values.round(decimals=5).tolist() == [5.0, 5.0, 4.0, -4.0, -4.0, -4.0]


def test_a_copy_next_to_the_bulk_is_found_although_the_other_end_is_clear() -> None:
    # Kills: a search content with the easier of two ends, or with the easiest of the values.
    low = torch.linspace(-0.9, 0.1, 297, dtype=torch.float64)
    ends = torch.cat([torch.tensor([1.0, -0.95, -0.95], dtype=torch.float64), low])
    near = with_bulk(5.0, 1.4, 1.4, 1.2)
    for seed in range(3):
        pairs = ritz_pairs(diagonal(ends), count=3, which="magnitude", seed=seed)
        assert pairs.values.round(decimals=5).tolist() == [1.0, -0.95, -0.95]
        pairs = ritz_pairs(diagonal(near), count=3, seed=seed)
        assert pairs.values.round(decimals=5).tolist() == [5.0, 1.4, 1.4]


def test_three_close_values_do_not_pass_for_one() -> None:
    # Kills: a search orthogonal to all rows known, in which the others hide. Before they are told
    # apart their mean looks like an eigenvalue, its residual below the tolerance.
    values = with_bulk(2.0, 1.999, 1.998)
    for seed in range(4):
        found = float(ritz_pairs(diagonal(values), count=1, seed=seed).values)
        assert found == pytest.approx(2.0, abs=2e-4)


@pytest.mark.parametrize("count", [1, 4])
def test_multiples_of_the_identity_cost_one_product_a_pair_and_one_more(count: int) -> None:
    # Kills: noise taken for directions; searching on when nothing is left to find.
    for scale in (1.0, 0.0, -1e-12):
        pairs = ritz_pairs(diagonal(torch.full((500,), scale, dtype=torch.float64)), count=count)
        assert torch.allclose(pairs.values, torch.full((count,), scale).double(), rtol=1e-12)
        assert pairs.products <= count + 1


def test_a_low_rank_matrix_fills_up_with_zeros() -> None:
    # Kills: noise eigenvalues, products without end in an invariant subspace.
    values = torch.zeros(400, dtype=torch.float64)
    values[3], values[5] = 7.0, 2.0
    pairs = ritz_pairs(diagonal(values), count=5)
    exact = torch.tensor([7.0, 2, 0, 0, 0], dtype=torch.float64)
    assert torch.allclose(pairs.values, exact, rtol=0, atol=1e-12)
    assert pairs.products <= 10


def random_case(seed: int) -> tuple[Tensor, int]:
    """Outliers of which some are copies or nearly so, over a random bulk; and how many to ask."""
    rng = np.random.default_rng(seed)
    outliers = 1 + 2 * rng.random(rng.integers(3, 8))
    for _ in range(3):
        i, j = rng.integers(0, len(outliers), 2)
        outliers[i] = outliers[j] - (0 if rng.random() < 0.4 else 10 ** rng.uniform(-5, -1))
    bulk = rng.uniform(-0.3, 0.8, 300 - len(outliers))
    values = torch.from_numpy(np.sort(np.concatenate([outliers, bulk]))[::-1].copy())
    return values, int(rng.integers(1, len(outliers) + 1))


def missed(seeds: range, miss_probability: float) -> int:
    """How often a value is wrong by more than the tolerance."""
    wrong = 0
    for seed in seeds:
        values, count = random_case(seed)
        pairs = ritz_pairs(
            diagonal(values), count=count, seed=seed, miss_probability=miss_probability
        )
        error = float((pairs.values - values[:count]).abs().max())
        wrong += error > 1e-4 * float(values.abs().max())
    return wrong


def test_close_pairs_and_copies_are_not_missed() -> None:
    # Kills: no search, a search given up early. Negative control: without the search one in
    # eight has a wrong value.
    assert missed(range(40), 1e-3) == 0
    assert missed(range(40), 1.0) >= 3


def test_the_bound_says_when_nothing_could_be_concluded() -> None:
    # Inside a dense bulk thirty products prove nothing, and the result must say so.
    values = torch.linspace(0, 1, 4000, dtype=torch.float64)
    pairs = ritz_pairs(diagonal(values), count=3, tolerance=1e-3)
    assert pairs.converged
    assert pairs.miss_probability > 0.5
