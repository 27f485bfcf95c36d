"""MNIST-1D against numbers of the published generator.

The oracle is mnist1d 0.0.2.post1 (greydanus/mnist1d), ``make_dataset`` with its default
arguments: the values below were read from its arrays, and with the package beside this one all
5,000 curves agree to 2.4e-7, the rounding of float32.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from theodolite.datasets import mnist1d
from theodolite.errors import InvalidArgument

FIRST = (-0.3320056673693902, -0.4719103656557236, -0.778697076293495, -1.0097408265367047)
LAST = (0.4472328851428726, 0.6598766470890784, 0.8777343497528006, 1.193151836835276)
LABELS = [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9, 4, 3, 4, 5, 1, 9, 0, 3]
COUNTS = [398, 396, 411, 394, 394, 402, 401, 404, 402, 398]
MEANS = (-0.0003236716742193472, 0.0012946866968772965)
DEVIATIONS = (0.9976479749365886, 1.0093522562280428)
POWER = (4886.724321504373, 4934.749705013232, 4088.0932659929085, 4078.535095199174)


def test_the_published_examples_come_out() -> None:
    # kills: any other constant, order of draws, interpolation or edge of the noise mask
    split = mnist1d()
    x, y = split.train[0].double(), split.train[1]
    assert torch.allclose(x[0, 0, :4], torch.tensor(FIRST).double(), atol=1e-6)
    last = split.test[0][-1, 0, -4:].double()
    assert torch.allclose(last, torch.tensor(LAST).double(), atol=1e-6)
    assert y[:20].tolist() == LABELS
    assert torch.bincount(y).tolist() == COUNTS
    power = x[:, 0, [0, 7, 14, 21]].square().sum(0)
    assert torch.allclose(power, torch.tensor(POWER).double(), rtol=1e-6)
    for (inputs, _), mean, deviation in zip(
        (split.train, split.test), MEANS, DEVIATIONS, strict=True
    ):
        assert float(inputs.double().mean()) == pytest.approx(mean, abs=1e-7)
        assert float(inputs.double().std(correction=0)) == pytest.approx(deviation, rel=1e-6)


def test_validation_is_fresh_and_on_the_same_scale() -> None:
    # kills: validation cut from the published examples; standardized by itself
    split = mnist1d(examples=2000, validation=1000)
    x = split.validation[0].double()
    seen = {r.numpy().tobytes() for part in (split.train, split.test) for r in part[0]}
    assert not any(r.numpy().tobytes() in seen for r in split.validation[0])
    error = float(x.mean((1, 2)).std()) / 1000**0.5
    assert 0 < abs(float(x.mean())) < 4 * error
    assert torch.bincount(split.validation[1]).tolist() == [100] * 10


def test_shuffled_positions_permute_every_curve_alike() -> None:
    # kills: a permutation per example; one that moves the labels
    plain, mixed = (mnist1d(examples=100, shuffle_positions=s) for s in (False, True))
    order = [
        int((plain.train[0][:, 0] - mixed.train[0][:, 0, [j]]).abs().sum(0).argmin())
        for j in range(40)
    ]
    assert sorted(order) == list(range(40))
    assert order != sorted(order)
    for part in ("train", "validation", "test"):
        assert torch.equal(plain.parts()[part][0][:, :, order], mixed.parts()[part][0])
        assert torch.equal(plain.parts()[part][1], mixed.parts()[part][1])


def test_global_generators_are_neither_read_nor_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    # kills: np.random.seed, random.seed. (What beartype draws from `random` while it checks
    # types hides whether anyone else did, so seeding and drawing are made impossible instead.)
    np.random.seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    for name in ("seed", "random", "randint"):
        monkeypatch.delattr(random, name)
    first = mnist1d(examples=50, validation=10).fingerprint
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())
    np.random.seed(2)
    assert mnist1d(examples=50, validation=10).fingerprint == first
    assert mnist1d(examples=50, validation=10, seed=43).fingerprint != first


@pytest.mark.parametrize("name", ["examples", "validation"])
@pytest.mark.parametrize("count", [0, 15])
def test_uneven_counts_are_refused(name: str, count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{name} must be a positive multiple of 10; got"):
        mnist1d(**{name: count})
