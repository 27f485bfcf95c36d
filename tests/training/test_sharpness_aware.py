"""SAM and ASAM against their papers' formulas, written out here, and against the base optimizer.

Oracles: closed forms on a quadratic; the update written with autograd and no optimizer; an
invariance; bit-identity with the base optimizer at radius 0.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from theodolite.training import ASAM, SAM

BASES = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
}


def quadratic() -> tuple[Tensor, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(4, generator=generator, dtype=torch.float64)
    return root @ root.T, nn.Parameter(x)


def network(seed: int = 0) -> tuple[nn.Module, Callable[[], Tensor]]:
    """A small network with BatchNorm, and its loss on a batch."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / 2)
    x = torch.randn(16, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (16,), generator=generator)
    return model, lambda: nn.functional.cross_entropy(model(x), y)


def backward(loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        value = loss()
        value.backward()
        return value

    return closure


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_a_step_on_a_quadratic_is_the_closed_form() -> None:
    # kills: a step downhill, a norm left out, a gradient that adds up over the two passes
    a, x = quadratic()
    start = x.detach().clone()
    optimizer = SAM(torch.optim.SGD([x], lr=0.1), None, rho=0.3)
    value = optimizer.step(backward(lambda: 0.5 * x @ a @ x))
    g = a @ start
    assert torch.allclose(x, start - 0.1 * a @ (start + 0.3 * g / g.norm()), rtol=1e-12)
    assert value.item() == pytest.approx(float(0.5 * start @ a @ start))


def test_groups_have_their_own_radius_and_one_norm() -> None:
    # kills: a norm by group, the first group's radius for all, a group's eta ignored
    w = [nn.Parameter(torch.tensor(v, dtype=torch.float64)) for v in ([3.0], [4.0], [-2.0])]
    groups = [{"params": [w[0]], "rho": 1.0}, {"params": [w[1]]}]
    optimizer = ASAM(torch.optim.SGD(groups, lr=0.1), None, rho=0.5, eta=0.25)
    optimizer.add_param_group({"params": [w[2]], "adaptive": False, "rho": 2.0})
    (0.5 * sum((p**2).sum() for p in w)).backward()
    before = [p.item() for p in w]
    optimizer.first_step()
    scales = [3.25, 4.25, 1.0]
    norm = math.hypot(*(t * g for t, g in zip(scales, before, strict=True)))
    for p, v, t, rho in zip(w, before, scales, (1.0, 0.5, 2.0), strict=True):
        assert p.item() == pytest.approx(v + rho * t * t * v / norm, rel=1e-12)
    assert [p.grad for p in w] == [None] * 3
    optimizer.undo()
    assert [p.item() for p in w] == before


def reference(model: nn.Module, loss: Callable[[], Tensor], rho: float, eta: float | None) -> None:
    """One update of SGD by the papers: w - lr (grad L(w + e) + decay w), with autograd alone."""
    weights = list(model.parameters())
    start = [p.detach().clone() for p in weights]
    buffers = {k: b.clone() for k, b in model.named_buffers()}
    g = torch.autograd.grad(loss(), weights)
    moved = {k: b.clone() for k, b in model.named_buffers()}
    assert any(not torch.equal(buffers[k], moved[k]) for k in buffers)
    scales = [torch.ones_like(p) if eta is None else p.abs() + eta for p in start]
    flat = torch.cat([(t * d).flatten() for t, d in zip(scales, g, strict=True)])
    with torch.no_grad():
        for p, t, d in zip(weights, scales, g, strict=True):
            p.add_(rho * t**2 * d / flat.norm())
    uphill = torch.autograd.grad(loss(), weights)
    with torch.no_grad():
        for p, s, d in zip(weights, start, uphill, strict=True):
            p.copy_(s - 0.1 * (d + 0.01 * s))
        for k, b in model.named_buffers():
            b.copy_(moved[k])


@pytest.mark.parametrize("eta", [None, 0.02])
@pytest.mark.parametrize("api", ["closure", "two steps"])
def test_a_network_follows_the_papers_formulas(eta: float | None, api: str) -> None:
    # kills: T instead of T^2, eta left out, weight decay at the perturbed weights, BatchNorm
    # statistics moved by the second pass
    (ours, loss), (theirs, their_loss) = network(), network()
    base = torch.optim.SGD(ours.parameters(), lr=0.1, weight_decay=0.01)
    build = SAM(base, ours, rho=0.2) if eta is None else ASAM(base, ours, rho=0.2, eta=eta)
    for _ in range(4):
        if api == "closure":
            build.step(backward(loss))
        else:
            build.zero_grad()
            loss().backward()
            build.first_step()
            loss().backward()
            build.second_step()
        reference(theirs, their_loss, 0.2, eta)
    for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)
    assert ours[1].momentum == 0.1
    assert int(ours[1].num_batches_tracked) == 4


@pytest.mark.parametrize("base", BASES)
def test_radius_zero_is_the_base_optimizer_bit_for_bit(base: str) -> None:
    # kills: weights moved by rounding, BatchNorm counted twice, a base that steps twice
    (ours, loss), (theirs, their_loss) = network(), network()
    optimizer = SAM(BASES[base](ours.parameters()), ours, rho=0)
    plain = BASES[base](theirs.parameters())
    for _ in range(5):
        optimizer.step(backward(loss))
        plain.zero_grad()
        their_loss().backward()
        plain.step()
    assert same(ours, theirs)


def test_asam_moves_a_rescaled_network_to_the_same_function_and_sam_does_not() -> None:
    # kills: a perturbation that is not scaled twice
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    b = torch.randn(1, 6, generator=generator, dtype=torch.float64)
    x = torch.randn(4, 9, generator=generator, dtype=torch.float64)

    def perturbed(build: Callable[..., SAM | ASAM], factor: float) -> tuple[Tensor, Tensor]:
        first, second = nn.Parameter(a * factor), nn.Parameter(b / factor)
        optimizer = build(torch.optim.SGD([first, second], lr=0.1), None)
        (second @ torch.relu(first @ x)).square().mean().backward()
        optimizer.first_step()
        return first.detach() / factor, second.detach() * factor

    def adaptive(*arguments: object) -> ASAM:
        return ASAM(*arguments, rho=0.3, eta=0.0)

    for one, other in zip(perturbed(adaptive, 1.0), perturbed(adaptive, 7.0), strict=True):
        assert torch.allclose(one, other, rtol=1e-12)
    plain = [perturbed(lambda *p: SAM(*p, rho=0.3), f)[0] for f in (1.0, 7.0)]
    assert not torch.allclose(*plain, rtol=1e-2)


def test_micro_batches_climb_each_for_itself() -> None:
    # kills: one ascent for all, gradients that replace each other
    a, x = quadratic()
    b = torch.diag(torch.arange(1.0, 5.0, dtype=torch.float64))
    start = x.detach().clone()
    optimizer = SAM(torch.optim.SGD([x], lr=0.1), None, rho=0.3)
    losses = optimizer.step([backward(lambda m=m: 0.25 * x @ m @ x) for m in (a, b)])
    uphill = [m @ (start + 0.3 * (m @ start) / (m @ start).norm()) / 2 for m in (a, b)]
    assert torch.allclose(x, start - 0.1 * sum(uphill), rtol=1e-12)
    assert len(losses) == 2


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    # kills: a first step that keeps or drops part of what was accumulated
    a, x = quadratic()
    start = x.detach().clone()
    optimizer = SAM(torch.optim.SGD([x], lr=0.1), None, rho=0.3)
    for move in (optimizer.first_step, optimizer.second_step):
        for _ in range(2):
            (0.25 * x @ a @ x).backward()
        move()
    g = a @ start
    assert torch.allclose(x, start - 0.1 * a @ (start + 0.3 * g / g.norm()), rtol=1e-12)


def test_a_scaler_works_as_documented_and_skips_what_overflows() -> None:
    # kills: a step made with infinite gradients, a scale that leaks into the weights
    a, x = quadratic()
    start = x.detach().clone()
    optimizer = SAM(torch.optim.SGD([x], lr=0.1), None, rho=0.3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for scale in (math.inf, 1.0):
        for _ in range(2):
            scaler.scale(0.5 * x @ a @ x * scale).backward()
            if optimizer.perturbed:
                optimizer.undo()
                scaler.step(optimizer.base)
                scaler.update()
            else:
                optimizer.first_step()
        optimizer.zero_grad()
        if scale == math.inf:
            assert torch.equal(x, start)
    g = a @ start
    assert torch.allclose(x, start - 0.1 * a @ (start + 0.3 * g / g.norm()), rtol=1e-10)
    assert scaler.get_scale() == 2.0**9


def test_a_flat_point_is_not_moved_uphill() -> None:
    # kills: zero over zero
    x = nn.Parameter(torch.zeros(3))
    optimizer = SAM(torch.optim.SGD([x], lr=0.1), None)
    optimizer.step(backward(lambda: (x**2).sum()))
    assert torch.equal(x, torch.zeros(3))


def test_what_has_no_gradient_or_no_radius_stays_where_it_is() -> None:
    # kills: a frozen parameter that breaks the norm, zero times infinity
    w = [nn.Parameter(torch.ones(1)) for _ in range(3)]
    groups = [{"params": w[:2]}, {"params": w[2:], "rho": 0.0}]
    optimizer = SAM(torch.optim.SGD(groups, lr=0.1), None, rho=0.5)
    (w[0].sum() + w[2].sum() * math.inf).backward()
    optimizer.first_step()
    assert [p.item() for p in w[1:]] == [1.0, 1.0]
    optimizer.undo()
    assert [p.item() for p in w] == [1.0] * 3


@pytest.mark.parametrize("base", BASES)
def test_a_state_dict_continues_to_the_same_bits(base: str) -> None:
    # kills: the base's state or a group's radius left out of the state dict
    (ours, loss), (theirs, their_loss) = network(), network()
    groups = [{"params": list(ours[0].parameters()), "rho": 0.4}, {"params": ours[3].parameters()}]
    one = SAM(BASES[base](groups), ours, rho=0.1)
    for _ in range(3):
        one.step(backward(loss))
    fresh = [{"params": list(theirs[k].parameters())} for k in (0, 3)]
    two = SAM(BASES[base](fresh), theirs, rho=0.1)
    theirs.load_state_dict(ours.state_dict())
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert [g["rho"] for g in two.param_groups] == [0.4, 0.1]
    assert two.param_groups is two.base.param_groups
    for _ in range(3):
        one.step(backward(loss))
        two.step(backward(their_loss))
    assert same(ours, theirs)


def test_the_state_of_a_plain_optimizer_is_taken_up() -> None:
    # kills: a missing radius after loading an older checkpoint
    model, loss = network()
    plain = torch.optim.SGD(model.parameters(), lr=0.7, momentum=0.9)
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), model, rho=0.3)
    optimizer.base.load_state_dict(plain.state_dict())
    assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["rho"]) == (0.7, 0.3)
    optimizer.step(backward(loss))


@pytest.mark.parametrize("api", ["closure", "two steps"])
def test_schedulers_of_torch_move_the_rate_of_the_base(api: str) -> None:
    # kills: groups that are copies; the warning of a step that the scheduler has not seen
    model, loss = network()
    optimizer = SAM(torch.optim.SGD(model.named_parameters(), lr=0.1), model)
    scheduler = LambdaLR(optimizer, lambda k: 0.5**k)
    if api == "closure":
        optimizer.step(backward(loss))
    else:
        loss().backward()
        optimizer.first_step()
        loss().backward()
        optimizer.second_step()
    scheduler.step()
    assert optimizer.base.param_groups[0]["lr"] == 0.05
