"""The algebra of axes.

Oracle: concrete index vectors. A term with a permutation for each leaf is an order of the axis,
and two unified terms must be the same order.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from theodolite.symmetry.axes import (
    LEAF,
    SUM,
    Axis,
    cut,
    factors,
    family,
    find,
    freeze,
    leaves,
    product,
    split_product,
    total,
    unify,
)


def order(axis: Axis, permutations: dict[Axis, Tensor]) -> Tensor:
    """The index vector of a term, from permutations of its leaves."""
    axis = find(axis)
    if axis.kind == LEAF:
        return permutations.setdefault(axis, torch.randperm(axis.size))
    kids = [order(kid, permutations) for kid in axis.kids]
    made = kids[0]
    for kid in kids[1:]:
        if axis.kind == SUM:
            made = torch.cat([made, kid + len(made)])
        else:
            made = (made[:, None] * len(kid) + kid).reshape(-1)
    return made


def test_a_product_and_a_concatenation_are_the_orders_they_stand_for() -> None:
    # Kills: factors joined fastest first.
    a, b = Axis(2), Axis(3)
    given = {a: torch.tensor([1, 0]), b: torch.tensor([2, 0, 1])}
    assert order(product([a, b]), given).tolist() == [5, 3, 4, 2, 0, 1]
    assert order(total([a, b]), given).tolist() == [1, 0, 4, 2, 3]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([12], [12]),
        ([2, 6], [12]),
        ([2, 6], [4, 3]),
        ([2, 2, 3], [4, 3]),
        ([3, 4], [3, 2, 2]),
        ([6, 2], [2, 6]),
    ],
)
def test_unified_products_are_one_order(left: list[int], right: list[int]) -> None:
    # Kills: factors matched from the slow end; a split that is not kept for the other side.
    torch.manual_seed(0)
    a, b = product([Axis(n) for n in left]), product([Axis(n) for n in right])
    unify(a, b)
    given: dict[Axis, Tensor] = {}
    assert torch.equal(order(a, given), order(b, given))


@pytest.mark.parametrize(
    ("left", "right"), [([5, 7], [12]), ([5, 7], [3, 9]), ([4, 4, 4], [4, 8]), ([1, 11], [12])]
)
def test_unified_concatenations_are_one_order(left: list[int], right: list[int]) -> None:
    # Kills: pieces cut off at the wrong end.
    torch.manual_seed(0)
    a, b = total([Axis(n) for n in left]), total([Axis(n) for n in right])
    unify(a, b)
    given: dict[Axis, Tensor] = {}
    assert torch.equal(order(a, given), order(b, given))


def test_a_concatenation_of_products_meets_a_product() -> None:
    # Kills: sum and product frozen instead of distributed.
    torch.manual_seed(0)
    joined = total([product([Axis(2), Axis(4)]), product([Axis(3), Axis(4)])])
    whole = product([Axis(5), Axis(4)])
    unify(joined, whole)
    given: dict[Axis, Tensor] = {}
    assert torch.equal(order(joined, given), order(whole, given))
    assert not any(leaf.reason for leaf in leaves(whole))
    assert [f.size for f in factors(whole)] == [5, 4]


def test_what_does_not_fit_is_frozen_on_both_sides() -> None:
    # Kills: a mismatch that leaves one side free.
    a, b = product([Axis(2), Axis(3)]), product([Axis(3), Axis(2)])
    unify(a, b)
    assert all(leaf.reason for axis in (a, b) for leaf in leaves(axis))


def test_freezing_travels_through_equality() -> None:
    # Kills: a frozen leaf bound to a free term that stays free.
    fixed, free = Axis(6), product([Axis(2), Axis(3)])
    freeze(fixed, "because")
    unify(fixed, free)
    assert [leaf.reason for leaf in leaves(free)] == ["because", "because"]


def test_an_axis_is_not_a_part_of_itself() -> None:
    # Kills: the occurs check, without which this does not end.
    leaf = Axis(4)
    term = total([leaf, Axis(0)])
    other = Axis(4)
    unify(term, leaf)
    unify(product([Axis(2), Axis(2)]), other)
    assert find(term) is find(leaf)
    assert sum(1 for _ in leaves(other)) == 2


def test_reshapes_and_cuts_undo_products_and_concatenations() -> None:
    a, b, c = Axis(2), Axis(3), Axis(4)
    pieces = split_product(product([a, b, c]), [6, 4])
    assert pieces is not None
    assert factors(pieces[0]) == [a, b]
    assert cut(total([a, b, c]), [5, 4]) is not None
    assert split_product(product([Axis(2), Axis(3)]), [3, 2]) is None


def test_a_family_is_one_axis_once_it_is_joined() -> None:
    # Kills: members of a family that go different ways in a product.
    index, members = Axis(2, reason="picked"), [Axis(3), Axis(3)]
    made = product([family(index, members), Axis(2)])
    assert find(members[0]) is find(members[1])
    assert made.size == 6
