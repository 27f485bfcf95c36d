"""Splits and their options, against counts that follow from the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.datasets import Split, digits, fashion_mnist
from theodolite.datasets.splits import stratified
from theodolite.errors import InvalidArgument, InvalidData


def _pair(count: int, labels: list[int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.tensor(labels if labels is not None else [0] * count)
    return torch.arange(float(count)).reshape(count, 1), y


def test_stratified_parts_are_disjoint_cover_everything_and_keep_the_shares() -> None:
    # kills: overlapping parts; shares of the whole instead of each class
    labels = np.repeat([0, 1, 2], [50, 20, 10])
    parts = stratified(labels, (0.5, 0.3, 0.2), seed=3)
    assert sorted(np.concatenate(parts)) == list(range(80))
    assert [np.bincount(labels[p]).tolist() for p in parts] == [
        [25, 10, 5],
        [15, 6, 3],
        [10, 4, 2],
    ]


def test_limit_is_balanced_to_one_and_nested() -> None:
    # kills: first `limit` in file order; a fresh draw for every limit
    full = fashion_mnist().train[0].flatten(1)
    small, large = (fashion_mnist(limit=k).train for k in (37, 120))
    counts = torch.bincount(small[1], minlength=10)
    assert int(counts.sum()) == 37
    assert int(counts.max() - counts.min()) <= 1
    rows = {r.numpy().tobytes() for r in large[0].flatten(1)}
    assert all(r.numpy().tobytes() in rows for r in small[0].flatten(1))
    assert rows <= {r.numpy().tobytes() for r in full}


@pytest.mark.parametrize("share", [0.0, 0.15, 1.0])
def test_label_noise_changes_exactly_its_share_and_spreads_evenly(share: float) -> None:
    # kills: drawing the true class too (0.9 of the share); noise on the test set
    clean, noisy = fashion_mnist(), fashion_mnist(label_noise=share, seed=5)
    changed = clean.train[1] != noisy.train[1]
    assert int(changed.sum()) == round(share * 3500)
    assert torch.equal(clean.test[1], noisy.test[1])
    assert torch.equal(clean.validation[1], noisy.validation[1])
    if share == 1:
        shift = (noisy.train[1] - clean.train[1]) % 10
        counts = torch.bincount(shift, minlength=10)[1:].double()
        expected = 3500 / 9  # binomial, deviation sqrt(3500 * 1/9 * 8/9)
        assert float((counts - expected).abs().max()) < 4 * (3500 * 8 / 81) ** 0.5


def test_flatten_and_facts_are_recorded() -> None:
    split = digits(flatten=True, limit=50, label_noise=0.1, seed=2)
    assert [x.shape[1:] for x, _ in split.parts().values()] == [torch.Size([64])] * 3
    assert dict(split.facts) == {"limit": 50, "label_noise": 0.1, "flatten": True, "seed": 2}


def test_fingerprint_sees_values_shapes_and_types() -> None:
    # kills: hashing the training part alone; leaving out the shape
    base = Split(_pair(4), _pair(2), _pair(3), name="a")
    same = Split(_pair(4), _pair(2), _pair(3), name="b")
    x, y = _pair(3)
    nudged = Split(_pair(4), _pair(2), (x + 1e-6, y), name="a")
    reshaped = Split((_pair(4)[0].reshape(4), _pair(4)[1]), _pair(2), _pair(3), name="a")
    assert base.fingerprint == same.fingerprint
    assert len({s.fingerprint for s in (base, nudged, reshaped)}) == 3


def test_wrong_data_are_refused_by_name() -> None:
    with pytest.raises(InvalidData, match=r"validation must hold as many .* 2 inputs and 3"):
        Split(_pair(4), (_pair(2)[0], _pair(3)[1]), _pair(3), name="a")
    with pytest.raises(InvalidData, match=r"labels must be int64 from 0 to 1; .* from 0 to 2"):
        Split(_pair(3, [0, 1, 2]), _pair(0, []), _pair(0, []), name="a", classes=("x", "y"))
    x, y = _pair(3)
    with pytest.raises(InvalidData, match=r"labels must be int64 .* got torch.int32"):
        Split((x, y.int()), _pair(0, []), _pair(0, []), name="a", classes=("x", "y"))


@pytest.mark.parametrize("limit", [0, 3501])
def test_impossible_limits_are_refused(limit: int) -> None:
    with pytest.raises(InvalidArgument, match=f"limit .* the 3500 training examples; got {limit}"):
        fashion_mnist(limit=limit)


@pytest.mark.parametrize("noise", [-0.1, 1.5])
def test_impossible_noise_is_refused(noise: float) -> None:
    with pytest.raises(InvalidArgument, match=rf"label_noise must lie in \[0, 1\]; got {noise}"):
        digits(label_noise=noise)
