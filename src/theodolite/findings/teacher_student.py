"""Sums of rectified units taught by another such sum: loss and gradient over all Gaussian inputs.

No sample is drawn: the expectations have closed forms.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.seeds import torch_generator

BETAS, EPSILON = (0.9, 0.999), 1e-8

Units = Float[Tensor, "start unit input"]


def expected_loss(
    student: Units, teacher: Float[Tensor, "teacher_unit input"]
) -> Float[Tensor, " start"]:
    r"""The mean squared error over standard normal inputs, of every start.

    .. math:: \mathbb E_{x \sim \mathcal N(0, I)}
        \Bigl(\sum_i [w_i^\top x]_+ - \sum_j [v_j^\top x]_+\Bigr)^2

    Source: Cho, Saul (2009), NeurIPS, for the expectation of two units.

    >>> float(expected_loss(torch.zeros(1, 1, 1).double(), torch.ones(1, 1).double()))
    0.5
    """
    teachers = teacher.expand(len(student), -1, -1)
    parts = (_overlaps(student, student), _overlaps(student, teachers))
    own = _overlaps(teachers, teachers)
    return (parts[0] - 2 * parts[1] + own).clamp_min(0.0)


def expected_gradient(student: Units, teacher: Float[Tensor, "teacher_unit input"]) -> Units:
    """The gradient of `expected_loss` by the student's weights, each start's its own.

    Source: Safran, Shamir (2018), arXiv:1712.08968, section 4.
    """
    teachers = teacher.expand(len(student), -1, -1)
    return 2 * (_pulls(student, student) - _pulls(student, teachers))


def taught(
    teacher: Float[Tensor, "teacher_unit input"],
    *,
    width: int,
    starts: int,
    steps: int,
    rate: float,
    seed: int,
) -> tuple[Float[Tensor, " start"], Float[Tensor, " start"]]:
    """Where Adam ends from every start: the loss, and the length of its gradient.

    Rows of the start have norm 1 on average; the rate follows a cosine schedule. In float64.

    >>> loss, gradient = taught(torch.eye(2), width=4, starts=3, steps=500, rate=0.05, seed=0)
    >>> bool((loss < 1e-2).all()), gradient.shape
    (True, torch.Size([3]))
    """
    teacher = teacher.double()
    inputs = teacher.shape[1]
    generator = torch_generator(seed, "students", width)
    w = torch.randn(starts, width, inputs, generator=generator, dtype=torch.float64)
    w /= math.sqrt(inputs)
    first, second = torch.zeros_like(w), torch.zeros_like(w)
    for step in range(1, steps + 1):
        g = expected_gradient(w, teacher)
        first.lerp_(g, 1 - BETAS[0])
        second.lerp_(g * g, 1 - BETAS[1])
        size = (second / (1 - BETAS[1] ** step)).sqrt() + EPSILON
        eta = rate * (1 + math.cos(math.pi * (step - 1) / steps)) / 2
        w -= eta / (1 - BETAS[0] ** step) * first / size
    length = torch.linalg.vector_norm(expected_gradient(w, teacher), dim=(1, 2))
    return expected_loss(w, teacher), length


def _angles(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lengths of the rows of both, and cosine and angle of each pair."""
    long, other = (torch.linalg.vector_norm(v, dim=2).clamp_min(1e-150) for v in (a, b))
    cosine = (a @ b.mT / long[:, :, None] / other[:, None, :]).clamp(-1.0, 1.0)
    return long, other, cosine, cosine.acos()


def _overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Sum over all pairs of the mean product of two rectified units."""
    long, other, cosine, angle = _angles(a, b)
    mean = angle.sin() + (math.pi - angle) * cosine
    total = (long[:, None, :] @ mean @ other[:, :, None]).squeeze(2).squeeze(1)
    return total / (2 * math.pi)


def _pulls(a: Tensor, b: Tensor) -> Tensor:
    """Mean of each unit's step function and input times the sum of the other units."""
    long, other, _, angle = _angles(a, b)
    along = (angle.sin() @ other[:, :, None]) * a / long[:, :, None]
    return (along + (math.pi - angle) @ b) / (2 * math.pi)
