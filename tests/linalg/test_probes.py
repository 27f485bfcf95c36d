"""Random signs: what they are, and that nothing but their name decides them."""

from __future__ import annotations

import torch

from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs

OPERATOR = Operator(lambda v: v, 20_000, torch.float32, "identity")


def test_they_are_signs_with_mean_zero() -> None:
    # Kills: zeros and ones, Gaussian vectors, the wrong dtype.
    vector = signs(OPERATOR, 0, "test")
    assert vector.dtype == torch.float32
    assert torch.equal(vector.abs(), torch.ones(20_000))
    assert abs(float(vector.mean())) < 4 / 20_000**0.5


def test_the_name_decides_them_and_the_global_generator_does_not() -> None:
    # Kills: the global generator used, names ignored. It must also be left where it was.
    before = torch.get_rng_state()
    one = signs(OPERATOR, 0, "test", 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(one, signs(OPERATOR, 0, "test", 1))
    for other in (signs(OPERATOR, 0, "test", 2), signs(OPERATOR, 1, "test", 1)):
        assert abs(float(one @ other)) < 4 * 20_000**0.5
