"""Shifted images. Oracles: quarter turns, moments of the noise, and kernels written out."""

from __future__ import annotations

import pytest
import torch

from theodolite.findings.shifted_images import blurred, noisy, pale, rotated


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def test_quarter_turns_are_exact_and_counterclockwise(images: torch.Tensor) -> None:
    # kills: the other sense of rotation, another center.
    for quarters in (0, 1, 2, 3):
        turned = torch.rot90(images, quarters, (2, 3))
        assert torch.allclose(rotated(images, 90.0 * quarters), turned, atol=1e-12)
    back = rotated(rotated(images, 20.0), -20.0)
    assert 0.0 < float((back - images)[..., 3:5, 3:5].abs().max()) < 0.5


def test_noise_has_the_deviation_and_its_own_seed(images: torch.Tensor) -> None:
    many = images.expand(5, 1, 8, 8).repeat(200, 1, 1, 1)
    added = noisy(many, 0.3, seed=1) - many
    assert abs(float(added.mean())) < 4 * 0.3 / added.numel() ** 0.5
    assert float(added.std()) == pytest.approx(0.3, rel=0.02)
    assert torch.equal(noisy(images, 0.3, seed=1), noisy(images, 0.3, seed=1))
    assert not torch.equal(noisy(images, 0.3, seed=1), noisy(images, 0.3, seed=2))


def test_blur_is_the_gaussian_mean_of_nine() -> None:
    # kills: another width of the kernel, a kernel whose sum is not 1.
    dot = torch.zeros(1, 1, 5, 5).double()
    dot[0, 0, 2, 2] = 1.0
    found = blurred(dot, 0.8)[0, 0]
    side = torch.exp(torch.tensor(-1 / (2 * 0.8**2)).double())
    assert float(found.sum()) == pytest.approx(1.0)
    assert float(found[2, 1] / found[2, 2]) == pytest.approx(float(side))
    assert float(found[1, 1] / found[2, 2]) == pytest.approx(float(side) ** 2)


def test_pale_keeps_the_mean_and_scales_the_rest(images: torch.Tensor) -> None:
    found = pale(images, 0.3)
    assert torch.allclose(found.mean((2, 3)), images.mean((2, 3)))
    assert torch.allclose(found.std((2, 3)), 0.3 * images.std((2, 3)))
