"""What must give no group: order that is read, constants by channel, unknown operations.

Oracle: the function itself; each trap changes under any permutation of its hidden units.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import UnsupportedModel

PERIOD = torch.arange(1.0, 7.0)


class Trap(nn.Module):
    """Two layers with a function between them."""

    def __init__(self, between: Callable[[Tensor], Tensor], width: int = 6) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(width, 3)
        self.between = between
        self.register_buffer("scale", torch.arange(1.0, 7.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(torch.tanh(self.first(x))))


def written(h: Tensor) -> Tensor:
    """Every other unit raised in place; nothing uses what that returns."""
    h[:, ::2].add_(1.0)
    return h


TRAPS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "cumulative sum": (lambda h: h.cumsum(-1), 6),
    "gather": (lambda h: h.gather(-1, torch.tensor([[0, 2, 4, 1, 3, 5]] * len(h))), 6),
    "constants by channel": (lambda h: h * PERIOD.to(h), 6),
    "flip": (lambda h: h.flip(-1), 6),
    "roll": (lambda h: h.roll(1, -1), 6),
    "strided slice": (lambda h: h[:, ::2], 3),
    "index": (lambda h: h[:, torch.tensor([0, 1, 4])], 3),
    "sort": (lambda h: h + h.sort(-1).values.cumsum(-1) * PERIOD.to(h), 6),
    "argmax": (lambda h: h * h.argmax(-1, keepdim=True), 6),
    "top positions": (lambda h: h + h.topk(2).indices.sum(-1, keepdim=True), 6),
    "unknown operation": (lambda h: torch.linalg.matrix_exp(h[:, :, None] * h[:, None])[:, 0], 6),
    "Fourier": (lambda h: torch.fft.rfft(h).abs(), 4),
    "Fourier and back": (lambda h: torch.fft.irfft(torch.fft.rfft(h)[:, :2], n=6), 6),
    "Fourier, plane": (lambda h: torch.fft.fft2(h[:, None])[:, 0].abs(), 6),
    "Fourier, many": (lambda h: torch.fft.ifftn(h[:, None], s=(6,)).abs()[:, 0], 6),
    "written through a view": (lambda h: written(h.clone()), 6),
    "average over neighbors": (lambda h: torch.avg_pool1d(h[:, None], 2)[:, 0], 3),
}


@pytest.mark.parametrize("name", sorted(TRAPS))
def test_traps_give_no_group(name: str) -> None:
    # Kills: a rule that forgets to freeze the axis whose order it reads.
    torch.manual_seed(0)
    between, width = TRAPS[name]
    found = td.symmetries(Trap(between, width), torch.randn(5, 4))
    assert found.groups == ()
    assert found.coverage == 0
    reasons = {f.reason for f in found.frozen if f.tensor == "first.bias"}
    assert reasons
    assert not any("changed" in reason for reason in reasons), "found by the trial, not by a rule"


def test_real_and_imaginary_parts_stay_together() -> None:
    # Kills: parts that change places, or units that are fixed because of them.
    def squared(h: Tensor) -> Tensor:
        return torch.view_as_complex(h.unflatten(-1, (3, 2)).contiguous()).square().real

    found = td.symmetries(Trap(squared, 3), torch.randn(5, 4))
    assert [(g.size, len(g.members)) for g in found.groups] == [(3, 3)]
    assert str(found.layouts["first.bias"][0]) == "(3:first.weight[0] x 2)"
    assert [f.reason for f in found.frozen if f.size == 2] == 2 * ["real and imaginary parts"]
    assert found.verify() < 1e-9


@pytest.mark.parametrize("looks", [False, True])
def test_a_spectrum_fixes_the_dimension_it_is_taken_along(looks: bool) -> None:
    # Both front ends. Kills: all dimensions fixed, or that of the result alone.
    class Spectral(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.first(x)
            if looks and float(hidden.sum()) > 1e9:
                hidden = -hidden
            waves = torch.view_as_real(torch.fft.rfft(hidden, dim=0)).square().sum(-1)
            return self.last(waves + torch.fft.fft(hidden, dim=0).abs()[: len(waves)])

    found = td.symmetries(Spectral(), torch.randn(5, 4))
    assert found.front_end == ("run" if looks else "export")
    assert [g.size for g in found.groups] == [6]
    assert found.verify() < 1e-9


def test_an_unknown_operation_is_named_with_its_place() -> None:
    between, width = TRAPS["unknown operation"]
    found = td.symmetries(Trap(between, width), torch.randn(5, 4))
    assert list(found.unknown) == ["linalg_matrix_exp"]
    assert any("unknown operation linalg_matrix_exp" in f.reason for f in found.frozen)


class Lying(nn.Module):
    """Reads the order of its units where no operation shows it: through NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        weight = float(hidden.detach().numpy()[0, 0])
        return self.last(torch.tanh(hidden)) * weight


def test_what_the_trace_cannot_see_is_frozen_by_the_trial() -> None:
    # Kills: symmetries returned without being tried.
    torch.manual_seed(0)
    found = td.symmetries(Lying(), torch.randn(5, 4))
    assert found.front_end == "run"
    assert found.groups == ()
    assert any("permuting it changed the outputs by" in f.reason for f in found.frozen)


def test_heads_do_not_keep_units_of_their_own_where_a_layer_mixes_heads() -> None:
    # A matrix across heads at every unit, beside heads that nothing mixes. Kills: independence
    # inside heads without regard to sums over heads (the trial would then take it from both).
    class Talking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)
            self.across = nn.Linear(2, 2)
            self.quiet, self.final = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            heads = torch.tanh(self.first(x)).unflatten(-1, (2, 3))
            mixed = heads + self.across(heads.transpose(1, 2)).transpose(1, 2)
            apart = self.quiet(x).unflatten(-1, (2, 3)).softmax(-1)
            return self.last(torch.tanh(mixed).flatten(1)) + self.final(apart.flatten(1))

    torch.manual_seed(0)
    found = td.symmetries(Talking(), torch.randn(5, 4))
    quiet = "quiet.weight[0]"
    within = [(g.size, g.within) for g in found.groups]
    assert within == [(2, ()), (3, ()), (2, ()), (3, (quiet,))]
    assert found.verify() < 1e-9


def test_a_softmax_over_heads_does_too() -> None:
    class Competing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).unflatten(-1, (2, 3)).softmax(1).flatten(1))

    torch.manual_seed(0)
    found = td.symmetries(Competing(), torch.randn(5, 4))
    assert [(g.size, g.within) for g in found.groups] == [(2, ()), (3, ())]


class Narrow(Trap):
    """A kernel that knows single precision only."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float64:
            raise RuntimeError("kernel not implemented for Double")
        return super().forward(x)


def test_a_model_that_does_not_run_in_float64_is_refused_by_name() -> None:
    # kills: the kernel's own error, which says nothing of why it was called with float64
    with pytest.raises(UnsupportedModel, match="not implemented for Double") as caught:
        td.symmetries(Narrow(torch.relu), torch.randn(2, 4))
    assert caught.value.code == "E-A53"
    assert isinstance(caught.value.__cause__, RuntimeError)
