"""Which values are wanted, against sorting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from theodolite.errors import InvalidArgument
from theodolite.linalg.selection import preference, require_which, thresholds

VALUES = np.array([3.0, -4.0, 1.0, 0.5, -2.0])


@pytest.mark.parametrize(
    ("which", "wanted"),
    [
        ("largest", [3.0, 1.0, 0.5, -2.0, -4.0]),
        ("smallest", [-4.0, -2.0, 0.5, 1.0, 3.0]),
        ("both", [3.0, -4.0, 1.0, -2.0, 0.5]),
        ("magnitude", [-4.0, 3.0, -2.0, 1.0, 0.5]),
    ],
)
def test_values_come_in_order_of_preference(which: str, wanted: list[float]) -> None:
    # Kills: the sign of `which`, "both" beginning below, magnitude without absolute values.
    assert VALUES[preference(VALUES, which)].tolist() == wanted


@pytest.mark.parametrize(
    ("which", "count", "limits"),
    [
        ("largest", 2, (-np.inf, 1.0)),
        ("smallest", 2, (-2.0, np.inf)),
        ("both", 1, (-np.inf, 3.0)),
        ("both", 4, (-2.0, 1.0)),
        ("magnitude", 2, (-3.0, 3.0)),
    ],
)
def test_thresholds_are_where_an_overlooked_value_would_count(
    which: str, count: int, limits: tuple[float, float]
) -> None:
    # Kills: an end forgotten, the best wanted value taken for the worst.
    wanted = VALUES[preference(VALUES, which)[:count]]
    assert thresholds(wanted, which) == limits


def test_other_words_are_refused_with_those_allowed() -> None:
    with pytest.raises(InvalidArgument, match=r"which must be one of 'largest', .*; got 'LA'"):
        require_which("LA")
