"""Shipped and imported images: counts, ranges, no overlap, checks on the file."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from theodolite.datasets import digits, fashion, fashion_mnist
from theodolite.errors import StorageError

DATA = files("theodolite.datasets").joinpath("data")


def test_digits_are_those_of_scikit_learn_in_the_unit_interval() -> None:
    # kills: dividing by 15 or 255; losing or doubling examples
    split = digits(seed=1)
    x = torch.cat([x for x, _ in split.parts().values()]).flatten(1).double() * 16
    y = torch.cat([y for _, y in split.parts().values()])
    images, labels = load_digits(return_X_y=True)
    ours = sorted(map(tuple, torch.cat([x, y.unsqueeze(1)], 1).tolist()))
    assert ours == sorted(map(tuple, np.column_stack([images, labels]).tolist()))
    assert split.train[0].dtype == torch.float32
    assert float(split.train[0].max()) == 1


def test_digits_split_depends_on_the_seed_alone() -> None:
    # kills: a split drawn from a global generator
    assert digits(seed=1).fingerprint == digits(seed=1).fingerprint
    assert digits(seed=1).fingerprint != digits(seed=2).fingerprint
    state = torch.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()
    digits(label_noise=0.2, limit=100)
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


def test_fashion_is_balanced_and_no_image_is_in_two_parts() -> None:
    # kills: validation drawn from the training images
    split = fashion_mnist()
    counts = [torch.bincount(y).tolist() for _, y in split.parts().values()]
    assert counts == [[350] * 10, [50] * 10, [100] * 10]
    images = [r.numpy().tobytes() for x, _ in split.parts().values() for r in x]
    assert len(set(images)) == 5000
    assert split.train[0].shape == (3500, 1, 28, 28)
    assert (float(split.train[0].min()), float(split.train[0].max())) == (0, 1)


def test_fashion_agrees_with_the_published_mean_and_deviation() -> None:
    # kills: another scale, another data set. Published for all 60,000: 0.2860 and 0.3530;
    # four standard errors of the mean over images (whose means deviate by 0.15)
    x = fashion_mnist().train[0].double()
    error = float(x.mean((1, 2, 3)).std()) / 3500**0.5
    assert abs(float(x.mean()) - 0.2860) < 4 * error
    assert abs(float(x.std()) - 0.3530) < 4 * error


def test_the_file_holds_plain_arrays_and_says_where_they_come_from() -> None:
    # kills: pickled arrays; indices of other images than those stored
    content = DATA.joinpath(fashion.FILE).read_bytes()
    assert len(content) < 2_500_000
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        train, validation, test = (arrays[f"{p}_index"] for p in ("train", "validation", "test"))
        assert not set(train) & set(validation)
        assert (train.max() < 60_000, test.max() < 10_000, len(set(test))) == (True, True, 1000)
        assert int(arrays["seed"]) == 20170825
    assert "Zalando SE" in DATA.joinpath("LICENSE-fashion-mnist.txt").read_text()


def test_a_damaged_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # kills: loading without the check
    monkeypatch.setattr(fashion, "SHA256", "0" * 64)
    with pytest.raises(StorageError, match=r"fashion_mnist_5000.npz is damaged"):
        fashion_mnist()


def _idx(array: np.ndarray) -> bytes:
    import gzip

    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(head + array.tobytes())


def test_the_script_gives_the_same_bytes_twice_and_the_images_it_names(tmp_path: Path) -> None:
    # kills: times in the archive; labels or indices in another order than the images
    random = np.random.default_rng(0)
    sources = {}
    for part, count in (("train", 5000), ("test", 2000)):
        sources[part] = random.integers(0, 256, (count, 4, 4)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{part}-x").write_bytes(_idx(sources[part]))
        (tmp_path / f"{part}-y").write_bytes(_idx(labels))
    script = Path(__file__).parents[2] / "scripts" / "make_fashion_subset.py"
    names = [str(tmp_path / n) for n in ("train-x", "train-y", "test-x", "test-y")]
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for out in outs:
        done = subprocess.run(
            [sys.executable, str(script), *names, str(out)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert hashlib.sha256(outs[0].read_bytes()).hexdigest() in done.stdout
    with zipfile.ZipFile(outs[0]) as archive:
        assert {e.date_time for e in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(outs[0], allow_pickle=False) as arrays:
        for part, source in (("train", "train"), ("validation", "train"), ("test", "test")):
            index = arrays[f"{part}_index"].astype(int)
            assert np.array_equal(arrays[f"{part}_x"], sources[source][index])
            assert np.array_equal(arrays[f"{part}_y"], index % 10)
