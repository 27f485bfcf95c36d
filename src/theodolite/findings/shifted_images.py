"""Images as another camera might see them: turned, noisy, blurred, or pale."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample

from theodolite.seeds import torch_generator

Images = Float[Tensor, "image 1 height width"]


def rotated(images: Images, degrees: float) -> Images:
    """Turned counterclockwise about the center, bilinear, with zeros outside.

    >>> corner = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    >>> rotated(corner, 90.0).round(decimals=5).tolist()
    [[[[0.0, 0.0], [1.0, 0.0]]]]
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0]], dtype=images.dtype)
    grid = affine_grid(turn.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def noisy(images: Images, deviation: float, *, seed: int) -> Images:
    """With independent normal noise in every pixel.

    >>> float(noisy(torch.zeros(100, 1, 8, 8), 0.5, seed=0).std().round(decimals=2))
    0.5
    """
    generator = torch_generator(seed, "pixel noise")
    drawn = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return images + deviation * drawn


def blurred(images: Images, deviation: float) -> Images:
    """Smoothed by the nine values of a Gaussian, in pixels, with zeros outside.

    >>> dot = torch.zeros(1, 1, 3, 3).index_fill(2, torch.tensor(1), 1.0)
    >>> float(blurred(dot, 1e-3).sub(dot).abs().max())
    0.0
    """
    side = torch.exp(-(torch.arange(-1.0, 2.0, dtype=images.dtype) ** 2) / (2 * deviation**2))
    kernel = torch.outer(side, side) / side.sum() ** 2
    return conv2d(images, kernel[None, None], padding=1)


def pale(images: Images, contrast: float) -> Images:
    """With every difference from the image's mean multiplied by `contrast`.

    >>> pale(torch.tensor([[[[0.0, 1.0]]]]), 0.5).tolist()
    [[[[0.25, 0.75]]]]
    """
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + contrast * (images - mean)
