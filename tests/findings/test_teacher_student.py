"""Students of rectified units: closed forms of the loss and its gradient.

Oracles: averages over many Gaussian inputs; automatic differentiation; torch.optim.Adam.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from theodolite.findings import teacher_student
from theodolite.seeds import torch_generator


def units(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_loss_is_the_mean_over_gaussian_inputs() -> None:
    # kills: a factor of two, a sign, cosine for sine, teacher and student mixed up.
    student, teacher = units(2, 3, 4), units(2, 4, seed=1)
    x = units(200_000, 4, seed=2)
    found = teacher_student.expected_loss(student, teacher)
    for w, loss in zip(student, found, strict=True):
        squares = ((x @ w.T).relu().sum(1) - (x @ teacher.T).relu().sum(1)).square()
        error = float(squares.std()) / math.sqrt(len(x))
        assert float(loss) == pytest.approx(float(squares.mean()), abs=4 * error)


def test_the_loss_of_the_teacher_is_zero_and_of_nothing_is_known() -> None:
    teacher = torch.eye(3, dtype=torch.float64)
    order = torch.tensor([2, 0, 1])
    assert float(teacher_student.expected_loss(teacher[order][None], teacher)) < 1e-7
    halves = torch.cat([teacher / 2, teacher / 2])[None]
    assert float(teacher_student.expected_loss(halves, teacher)) < 1e-7
    nothing = teacher_student.expected_loss(torch.zeros(1, 2, 3).double(), teacher)
    # three squares of 1/2 and six products of 1/(2 pi)
    assert float(nothing) == pytest.approx(1.5 + 6 / (2 * math.pi))


def test_the_gradient_is_that_of_the_loss() -> None:
    # kills: the factor of two, the part along the unit left out, gradients mixed among starts.
    student, teacher = units(3, 4, 5).requires_grad_(), units(2, 5, seed=1)
    found = teacher_student.expected_gradient(student.detach(), teacher)
    step = 1e-6
    for start, unit, coordinate in [(0, 0, 0), (1, 2, 3), (2, 3, 4)]:
        moved = student.detach().clone()
        moved[start, unit, coordinate] += step
        back = student.detach().clone()
        back[start, unit, coordinate] -= step
        losses = [teacher_student.expected_loss(s, teacher) for s in (moved, back)]
        slope = (losses[0] - losses[1]) / (2 * step)
        assert float(slope[start]) == pytest.approx(
            float(found[start, unit, coordinate]), rel=1e-4, abs=1e-6
        )
        assert int((slope != 0).sum()) == 1


def test_training_is_adam_from_every_start() -> None:
    # kills: a bias correction, the schedule, another order of moments.
    teacher = torch.eye(3, dtype=torch.float64)
    steps, rate = 20, 0.05
    losses, lengths = teacher_student.taught(
        teacher, width=4, starts=2, steps=steps, rate=rate, seed=7
    )
    generator = torch_generator(7, "students", 4)
    w = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64) / math.sqrt(3)
    parameter = torch.nn.Parameter(w)
    optimizer = torch.optim.Adam([parameter], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        parameter.grad = teacher_student.expected_gradient(parameter.detach(), teacher)
        optimizer.step()
        schedule.step()
    end = parameter.detach()
    assert torch.allclose(losses, teacher_student.expected_loss(end, teacher), rtol=1e-6)
    length = teacher_student.expected_gradient(end, teacher)[1].norm()
    assert float(lengths[1]) == pytest.approx(float(length), rel=1e-5)


def test_starts_differ_and_repeat() -> None:
    how = {"width": 3, "starts": 4, "steps": 30, "rate": 0.05}
    runs = [teacher_student.taught(torch.eye(2), seed=s, **how)[0] for s in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert len(set(runs[0].tolist())) == 4
