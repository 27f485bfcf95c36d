"""Residual networks: He et al.'s parameter counts, and forward passes known in closed form."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from theodolite.errors import InvalidArgument
from theodolite.models import resnet
from theodolite.models.residual import ResidualBlock

# He et al. (2016), table 6, in millions; width 16, three channels, ten classes.
PUBLISHED = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}


def _count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def _expected(depth: int, width: int, channels: int, classes: int) -> int:
    """Convolutions, two numbers a normed channel, and the linear layer."""
    n, w = (depth - 2) // 6, width
    convolutions = channels * w + w * w * 2 * n  # times 9, as all that follow
    convolutions += 2 * w * w + 4 * w * w * (2 * n - 1)
    convolutions += 8 * w * w + 16 * w * w * (2 * n - 1)
    norms = 2 * (w + 2 * n * (w + 2 * w + 4 * w))
    return 9 * convolutions + norms + 4 * w * classes + classes


@pytest.mark.parametrize("depth", [8, *PUBLISHED])
def test_parameter_counts_are_the_published_ones(depth: int) -> None:
    # kills: projection shortcuts, a bias beside a norm, one block too many
    count = _count(resnet(depth, channels=3))
    assert count == _expected(depth, 16, 3, 10)
    if depth in PUBLISHED:
        assert float(f"{count / 1e6:.2g}") == PUBLISHED[depth]


@pytest.mark.parametrize("norm", ["batch", "layer", "group", None])
def test_leaving_out_the_skips_changes_nothing_but_the_skips(norm: str | None) -> None:
    # kills: parameters in shortcuts, another initialization without them
    nets = []
    for skip in (True, False):
        torch.manual_seed(0)
        nets.append(resnet(14, width=8, skip=skip, norm=norm))
    states = [net.state_dict() for net in nets]
    assert list(states[0]) == list(states[1])
    for name in states[0]:
        same = torch.equal(states[0][name], states[1][name])
        assert same or (norm is None and name.endswith("conv2.weight"))
    x = torch.rand(2, 1, 16, 16)
    assert not torch.allclose(nets[0].eval()(x), nets[1].eval()(x))


def test_without_branches_the_network_is_stem_shortcuts_and_head() -> None:
    # kills: a projection or average-pool shortcut, channels filled with copies, a lost rectifier
    net = resnet(14, width=4, norm=None).double()
    x = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        for block in net:
            if isinstance(block, ResidualBlock):
                block.conv2.weight.zero_()
        kept = functional.relu(net.stem(x))[:, :, ::4, ::4].mean((2, 3))
        expected = net.head(functional.pad(kept, (0, 12)))
        assert torch.allclose(net(x), expected, rtol=1e-12)


@pytest.mark.parametrize(("skip", "norm"), [(True, "batch"), (False, "batch"), (True, None)])
def test_a_block_is_two_convolutions_plus_its_input(skip: bool, norm: str | None) -> None:
    # kills: norm after the addition, a missing first rectifier, a skip where there is none
    block = ResidualBlock(3, 3, 1, skip=skip, norm=norm).double().eval()
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    scale = 1.0
    if norm == "batch":
        for layer in (block.norm1, block.norm2):
            layer.running_var.fill_(0.25)
        scale = (0.25 + 1e-5) ** -0.5
    h = scale * functional.conv2d(x, block.conv1.weight, block.conv1.bias, padding=1)
    h = scale * functional.conv2d(h.clamp(min=0), block.conv2.weight, block.conv2.bias, padding=1)
    expected = (h + x if skip else h).clamp(min=0)
    assert torch.allclose(block(x), expected, rtol=1e-10)


def test_stem_stride_halves_the_resolution_of_every_stage() -> None:
    # kills: a stride that is not passed on
    sizes = {}
    for stride in (1, 2):
        net = resnet(8, width=2, stem_stride=stride)
        h, seen = torch.rand(1, 1, 28, 28), []
        for layer in net[:6]:
            h = layer(h)
            seen.append(h.shape[-1])
        sizes[stride] = seen[2:]
    assert sizes == {1: [28, 28, 14, 7], 2: [14, 14, 7, 4]}


@pytest.mark.parametrize("depth", [20, 110])
def test_deep_residual_networks_without_norm_start_at_a_finite_scale(depth: int) -> None:
    # kills: branches that start at full size, whose activations treble at every block
    torch.manual_seed(0)
    net = resnet(depth, width=8, norm=None)
    with torch.no_grad():
        h = net[:3](torch.rand(8, 1, 16, 16))
        start = float(h.square().mean())
        end = float(net[3:-3](h).square().mean())
    assert end < start * 2.7182818**2


def test_normalized_groups_have_eight_channels_and_layers_one_group() -> None:
    # kills: groups and channels swapped
    for norm, groups in (("group", [2, 4, 8]), ("layer", [1, 1, 1])):
        net = resnet(8, width=16, norm=norm)
        blocks = [m for m in net if isinstance(m, ResidualBlock)]
        assert [b.norm1.num_groups for b in blocks] == groups


@pytest.mark.parametrize("depth", [2, 7, 18, 21, 116])
def test_depths_that_do_not_exist_are_refused(depth: int) -> None:
    with pytest.raises(InvalidArgument, match=rf"depth must be 6 n \+ 2 .* got {depth}"):
        resnet(depth)


def test_the_refusal_names_the_nearest_depths() -> None:
    for depth, words in ((18, "depth=14 or depth=20"), (2, "depth=8"), (116, "depth=110")):
        with pytest.raises(InvalidArgument) as caught:
            resnet(depth)
        assert caught.value.fix == f"pass {words}"


def test_unknown_norms_and_empty_widths_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"norm must be .* got 'spectral'"):
        resnet(8, norm="spectral")
    with pytest.raises(InvalidArgument, match="width must be at least 1; got 0"):
        resnet(8, width=0)
