"""MNIST-1D: digits as one-dimensional curves, generated from published constants."""

from __future__ import annotations

import numpy as np
import torch

from theodolite.datasets.splits import Pair, Split, adapt
from theodolite.errors import InvalidArgument
from theodolite.seeds import child_seed

# The curve of each digit at twelve points.
CURVES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
PADDING = range(36, 61)  # zeros appended before the curve is stretched to LONG points
LONG, SHORT = 72, 40  # points while the noise is added, points of the example
SHIFTS = 48
SCALE, SHEAR = 0.4, 0.75
SMOOTH_NOISE, SMOOTH_WIDTH, WHITE_NOISE = 0.25, 2.0, 0.02
NUDGE = 1e-8  # tells a zero of the curve from the padding, which noise replaces
TRAIN_SHARE = 0.8


def mnist1d(
    *,
    examples: int = 5000,
    validation: int = 1000,
    seed: int = 42,
    shuffle_positions: bool = False,
    limit: int | None = None,
    label_noise: float | int = 0.0,
    flatten: bool = False,
) -> Split:
    """Ten classes of noisy curves: inputs ``(example, 1, 40)``, float32, mean 0 and deviation 1.

    A digit's curve is padded, stretched, scaled, shifted, put into smooth and white noise and
    sheared. The defaults give the published 4,000 training and 1,000 test examples, in their
    published order; the validation examples are fresh draws, standardized with the same two
    numbers. ``shuffle_positions`` permutes the 40 points, the same way for all.
    ``limit``, ``label_noise`` and ``flatten`` are as in `digits`.

    Uses a random state of its own: no global one is read or changed, and no file is written.
    Takes about 0.1 ms an example. Raises `InvalidArgument` unless ``examples`` and
    ``validation`` are positive multiples of 10.

    Source: Greydanus, Kobak (2020), arXiv:2011.14439; constants of greydanus/mnist1d.

    >>> mnist1d(examples=100, validation=10).sizes
    {'train': 80, 'validation': 10, 'test': 20}
    """
    for name, count in (("examples", examples), ("validation", validation)):
        if count < len(CURVES) or count % len(CURVES):
            raise InvalidArgument(
                f"{name} must be a positive multiple of {len(CURVES)}; got {count}.", code="E-T06"
            )
    random = np.random.RandomState(seed)
    x, y = _draw(examples, random)
    positions = random.permutation(SHORT) if shuffle_positions else np.arange(SHORT)
    mean, deviation = x.mean(), x.std()
    fresh = _draw(validation, np.random.RandomState(child_seed(seed, "validation") % 2**32))
    cut = int(examples * TRAIN_SHARE)

    def standard(curves: np.ndarray, labels: np.ndarray) -> Pair:
        values = ((curves[:, positions] - mean) / deviation).astype(np.float32)
        return torch.from_numpy(values).unsqueeze(1), torch.from_numpy(labels)

    split = Split(
        standard(x[:cut], y[:cut]),
        standard(*fresh),
        standard(x[cut:], y[cut:]),
        name="mnist1d",
        classes=tuple(str(d) for d in range(10)),
        facts={"examples": examples, "shuffle_positions": shuffle_positions},
    )
    return adapt(split, limit=limit, label_noise=label_noise, flatten=flatten, seed=seed)


def _draw(examples: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Unstandardized curves and labels; the draws come in the published order, class by class."""
    from scipy.ndimage import gaussian_filter1d

    labels = np.repeat(np.arange(len(CURVES)), examples // len(CURVES))
    padding, shift = np.empty((2, examples), dtype=np.int64)
    scale, shear = np.empty((2, examples, 1))
    smooth, white = np.empty((2, examples, LONG))
    for i in range(examples):
        padding[i] = int(random.rand() * len(PADDING))
        scale[i] = 1 + SCALE * (random.rand() - 0.5)
        shift[i] = random.randint(SHIFTS)
        smooth[i] = random.randn(LONG)
        white[i] = random.randn(LONG)
        shear[i] = SHEAR * (random.rand() - 0.5)
    columns = (np.arange(LONG) - shift[:, None]) % LONG
    clean = np.take_along_axis(_stretched()[labels, padding] * scale, columns, axis=1)
    background = gaussian_filter1d(SMOOTH_NOISE * smooth, SMOOTH_WIDTH, axis=1)
    x = np.where(clean != 0, clean, background) + WHITE_NOISE * white
    x = x - shear * np.linspace(-0.5, 0.5, LONG)
    order = random.permutation(examples)
    return np.stack([_resampled(row, SHORT) for row in x])[order], labels[order]


def _stretched() -> np.ndarray:
    """Every curve with every padding, at LONG points: ``(digit, padding, LONG)``."""
    curves = np.array(CURVES, dtype=np.float64)
    curves -= curves.mean(1, keepdims=True)
    curves /= curves.std(1, keepdims=True)
    curves = (curves - curves[:, :1]) / 6 + NUDGE
    return np.array([[_resampled(np.pad(c, (0, p)), LONG) for p in PADDING] for c in curves])


def _resampled(curve: np.ndarray, points: int) -> np.ndarray:
    grid, points_given = np.linspace(0, 1, points), np.linspace(0, 1, len(curve))
    return np.asarray(np.interp(grid, points_given, curve))
