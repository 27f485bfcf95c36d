"""Convolutional networks as others build them, from plain torch, at a few channels each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def block(
    inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution, batch norm, rectifier."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def vgg() -> nn.Module:
    """Convolutions, pooling, and linear layers on flattened maps."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(8 * 4, 10), nn.ReLU(), nn.Dropout(), nn.Linear(10, 5)),
    )


class Residual(nn.Module):
    """Two branches added; the shortcut has its own convolution where shapes change."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.body(x))


def head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5)]


def resnet() -> nn.Module:
    """Basic blocks, one with stride."""
    return nn.Sequential(
        block(3, 6),
        Residual(nn.Sequential(block(6, 6), nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))),
        Residual(
            nn.Sequential(block(6, 8, stride=2), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)),
            nn.Sequential(nn.Conv2d(6, 8, 1, 2), nn.BatchNorm2d(8)),
        ),
        *head(8),
    )


def bottleneck() -> nn.Module:
    """A narrow 3x3 between 1x1s."""
    body = nn.Sequential(block(8, 4, 1), block(4, 4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8))
    return nn.Sequential(block(3, 8), Residual(body), *head(8))


def resnext() -> nn.Module:
    """Grouped convolutions in the middle."""
    body = nn.Sequential(
        block(8, 12, 1), block(12, 12, groups=3), nn.Conv2d(12, 8, 1), nn.BatchNorm2d(8)
    )
    return nn.Sequential(block(3, 8), Residual(body), *head(8))


class Dense(nn.Module):
    """Every layer reads all maps so far."""

    def __init__(self, inputs: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + i * growth),
                nn.ReLU(),
                nn.Conv2d(inputs + i * growth, growth, 3, padding=1, bias=False),
            )
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


def densenet() -> nn.Module:
    """Two dense stages with a transition."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3), Dense(6, 3, 2), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 6, 1)),
        *(nn.AvgPool2d(2), Dense(6, 4, 2), nn.BatchNorm2d(14), nn.ReLU(), *head(14)),
    )


class SqueezeExcite(nn.Module):
    """Channels scaled by what a small network makes of their means."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, narrow, 1), nn.Conv2d(narrow, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * functional.hardsigmoid(self.up(functional.relu(self.down(mean))))


class Inverted(nn.Module):
    """Expand, depthwise, squeeze and excite, project; added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, activation: type[nn.Module]) -> None:
        super().__init__()
        wide = 2 * inputs
        self.added = inputs == outputs
        self.body = nn.Sequential(
            *(nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), activation()),
            *(nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), nn.BatchNorm2d(wide)),
            *(activation(), SqueezeExcite(wide, 4)),
            *(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.added else self.body(x)


def mobilenet() -> nn.Module:
    """Inverted residuals with hard swish."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.Hardswish()),
        *(Inverted(6, 6, nn.Hardswish), Inverted(6, 8, nn.Hardswish), *head(8)),
    )


def efficientnet() -> nn.Module:
    """Inverted residuals with SiLU, and dropout before the head."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.SiLU()),
        *(Inverted(6, 6, nn.SiLU), Inverted(6, 10, nn.SiLU), Inverted(10, 10, nn.SiLU)),
        *(nn.Conv2d(10, 16, 1), nn.BatchNorm2d(16), nn.SiLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 5)),
    )


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels dealt out to groups, as ShuffleNet does."""
    batch, channels, high, wide = x.shape
    dealt = x.view(batch, groups, channels // groups, high, wide).transpose(1, 2)
    return dealt.reshape(batch, channels, high, wide)


class ShuffleUnit(nn.Module):
    """Half of the channels passes, half is convolved; then they are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            *(block(half, half, 1), nn.Conv2d(half, half, 3, padding=1, groups=half)),
            *(nn.BatchNorm2d(half), block(half, half, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, 1)
        return shuffled(torch.cat([kept, self.branch(changed)], 1), 2)


def shufflenet() -> nn.Module:
    """Two units."""
    return nn.Sequential(block(3, 8), ShuffleUnit(8), ShuffleUnit(8), block(8, 10, 1), *head(10))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, layer norm over channels last, a perceptron, a scale, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 4 * channels)
        self.contract = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(1e-2 * torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.contract(functional.gelu(self.expand(y))).permute(0, 3, 1, 2)
        return x + self.scale * y


def convnext() -> nn.Module:
    """Patches, two blocks."""
    return nn.Sequential(nn.Conv2d(3, 6, 2, 2), ConvNeXtBlock(6), ConvNeXtBlock(6), *head(6))


class UNet(nn.Module):
    """Down and up again, with maps handed across by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = block(3, 4), block(4, 6)
        self.bottom = block(6, 8)
        self.up2, self.join2 = nn.ConvTranspose2d(8, 6, 2, 2), block(12, 6)
        self.up1, self.join1 = nn.Conv2d(6, 4, 3, padding=1), block(8, 4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(functional.max_pool2d(a, 2))
        c = self.bottom(functional.max_pool2d(b, 2))
        b = self.join2(torch.cat([self.up2(c), b], 1))
        wide = functional.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        return self.last(self.join1(torch.cat([self.up1(wide), a], 1)))


def autoencoder() -> nn.Module:
    """Convolutions down, transposed and grouped ones up."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, 2, 1), nn.GroupNorm(2, 6), nn.ELU(), nn.Conv2d(6, 4, 3, 2, 1)),
        *(nn.Flatten(), nn.Linear(16, 7), nn.Tanh(), nn.Linear(7, 16), nn.Unflatten(1, (4, 2, 2))),
        *(nn.ConvTranspose2d(4, 6, 2, 2, groups=2), nn.PReLU(6), nn.Conv2d(6, 12, 1)),
        *(nn.PixelShuffle(2), nn.Conv2d(3, 3, 1)),
    )


class Siamese(nn.Module):
    """One tower for both images; their features are compared."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(block(3, 6), block(6, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.compare = nn.Linear(16, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        a, b = self.tower(x), self.tower(y)
        return self.compare(torch.cat([(a - b).abs(), a * b], 1))


def images(count: int = 1) -> tuple[Tensor, ...]:
    return tuple(torch.randn(2, 3, 8, 8) for _ in range(count))


CONVOLUTIONAL = {
    "vgg": (vgg, images),
    "resnet": (resnet, images),
    "bottleneck": (bottleneck, images),
    "resnext": (resnext, images),
    "densenet": (densenet, images),
    "mobilenet": (mobilenet, images),
    "efficientnet": (efficientnet, images),
    "shufflenet": (shufflenet, images),
    "convnext": (convnext, images),
    "unet": (UNet, images),
    "autoencoder": (autoencoder, images),
    "siamese": (Siamese, lambda: images(2)),
}
