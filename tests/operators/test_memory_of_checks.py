"""A check of a large model fits into memory, in less precision if it must."""

from __future__ import annotations

import pytest
import torch

import theodolite as td
from theodolite.engines import verification
from theodolite.testing.objectives import CASES


@pytest.mark.parametrize(("vectors", "precision"), [(20, "float64"), (19, "float32")])
def test_float64_is_used_where_it_fits(
    vectors: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: float64 whatever it takes; float32 where there is room; bytes counted as float32.
    objective = CASES["cross entropy"].objective().converted(torch.float32)
    size = objective.space.size
    monkeypatch.setattr(verification, "free_bytes", lambda device: 8 * vectors * size)
    operator = td.hessian(objective)
    operator.matvec(torch.ones(size))
    assert operator.facts["verification_precision"] == precision
    assert operator.facts["verification"] == "agrees"
