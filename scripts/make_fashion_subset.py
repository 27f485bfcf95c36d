"""Draw the shipped Fashion-MNIST subset from the four original files.

    python scripts/make_fashion_subset.py TRAIN_IMAGES TRAIN_LABELS TEST_IMAGES TEST_LABELS OUT.npz

The files are the gzipped IDX files of zalandoresearch/fashion-mnist (on Debian and Ubuntu:
``apt install dataset-fashion-mnist``, in ``/usr/share/datasets/fashion-mnist``). The same files
give the same bytes: the seed is fixed, the order is fixed, and the archive carries no times.
Prints the SHA-256 that `theodolite.datasets.fashion` checks.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

SEED = 20170825
PER_CLASS = {"train": 350, "validation": 50, "test": 100}
EPOCH = (1980, 1, 1, 0, 0, 0)


def read_idx(path: Path) -> np.ndarray:
    """The unsigned bytes of one gzipped IDX file, in its own shape."""
    content = gzip.decompress(path.read_bytes())
    zero, kind, dimensions = struct.unpack(">HBB", content[:4])
    if zero != 0 or kind != 8:
        raise SystemExit(f"{path} is not an IDX file of unsigned bytes.")
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def drawn(labels: np.ndarray, counts: list[int], random: np.random.RandomState) -> list[np.ndarray]:
    """Disjoint index sets with `counts` examples of every class, each in random order."""
    parts: list[list[np.ndarray]] = [[] for _ in counts]
    for label in np.unique(labels):
        order = random.permutation(np.flatnonzero(labels == label))
        if len(order) < sum(counts):
            raise SystemExit(f"class {label} has {len(order)} examples; {sum(counts)} are needed.")
        for part, indices in zip(parts, np.split(order, np.cumsum(counts))[:-1], strict=True):
            part.append(indices)
    return [random.permutation(np.concatenate(part)) for part in parts]


def subset(paths: list[Path], per_class: dict[str, int]) -> dict[str, np.ndarray]:
    """The arrays of the archive: images, labels and original indices of each part, and the seed."""
    train_x, train_y, test_x, test_y = (read_idx(path) for path in paths)
    random = np.random.RandomState(SEED)
    train, validation = drawn(train_y, [per_class["train"], per_class["validation"]], random)
    (test,) = drawn(test_y, [per_class["test"]], random)
    arrays = {"seed": np.array(SEED)}
    for name, x, y, index in (
        ("train", train_x, train_y, train),
        ("validation", train_x, train_y, validation),
        ("test", test_x, test_y, test),
    ):
        arrays |= {f"{name}_x": x[index], f"{name}_y": y[index]}
        arrays[f"{name}_index"] = index.astype("<u2")
    return arrays


def archive(arrays: dict[str, np.ndarray]) -> bytes:
    """A compressed ``.npz`` whose bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as output:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            output.writestr(entry, member.getvalue())
    return buffer.getvalue()


def main(arguments: list[str]) -> None:
    if len(arguments) != 5:
        raise SystemExit(__doc__)
    *sources, out = (Path(a) for a in arguments)
    content = archive(subset(sources, PER_CLASS))
    out.write_bytes(content)
    print(f"{out}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main(sys.argv[1:])
