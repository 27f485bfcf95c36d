"""A recorded derivative is the derivative, whatever is done in place on the way.

Oracle: double backward through the same function, and `torch.func.jvp`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.symmetry.architectures import ARCHITECTURES
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from theodolite.engines import linear_program as module
from theodolite.engines.linear_program import LinearProgram, linear_program
from theodolite.errors import UnsupportedModel

# what torch has no derivative for: the fused weight norm's, the hard sigmoid's second
WITHOUT_FORWARD_MODE = {"pruned", "normed"}
WITHOUT_SECOND = {"mobilenet", "efficientnet"}

SIZE = 6


def theta() -> Tensor:
    return torch.linspace(-1, 1.3, SIZE, dtype=torch.float64)


def direction(seed: int = 1) -> Tensor:
    return torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def check(function: Callable[[Tensor], list[Tensor]]) -> LinearProgram:
    """The program of `function`, compared with forward mode in several directions."""
    program = linear_program(function, theta())
    for seed in range(3):
        v = direction(seed)
        expected = torch.func.jvp(lambda t: tuple(function(t)), (theta(),), (v,))[1]
        before = v.clone()
        for _ in range(2):
            torch.testing.assert_close(program(v), expected, rtol=0, atol=1e-14)
        assert torch.equal(v, before)
    return program


def of_model(name: str) -> tuple[Callable[[Tensor], list[Tensor]], Tensor]:
    """Outputs of an architecture as a function of its parameters, in float64."""
    torch.manual_seed(0)
    build, inputs = ARCHITECTURES[name]
    model = build().double().eval()
    given = [x.double() if x.is_floating_point() else x for x in inputs()]
    parameters = dict(model.named_parameters())
    sizes = [p.numel() for p in parameters.values()]

    def outputs(point: Tensor) -> list[Tensor]:
        pieces = zip(parameters.items(), point.split(sizes), strict=True)
        state = {n: piece.view(p.shape) for (n, p), piece in pieces}
        made = torch.func.functional_call(model, state, tuple(given))
        return [t for t in torch.utils._pytree.tree_leaves(made) if isinstance(t, Tensor)]

    return outputs, torch.cat([p.detach().reshape(-1) for p in parameters.values()])


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
@sdpa_kernel(SDPBackend.MATH)  # fused attention has no second derivative on a CPU
def test_the_derivatives_of_every_architecture(name: str) -> None:
    # kills: steps that lead to a result left out; lists of tensors and tensors by name not
    # followed; the second of several results taken for the first
    outputs, at = of_model(name)

    def size(point: Tensor) -> Tensor:
        return sum((o.abs().square().sum() for o in outputs(point)), torch.zeros(()))

    v = torch.randn(len(at), dtype=at.dtype, generator=torch.Generator().manual_seed(1))
    if name in WITHOUT_FORWARD_MODE:
        with pytest.raises((RuntimeError, NotImplementedError), match="not"):
            linear_program(outputs, at)
        return
    if name in WITHOUT_SECOND:
        with pytest.raises((RuntimeError, NotImplementedError), match="not"):
            linear_program(lambda point: [torch.func.grad(size)(point)], at)
        right = torch.func.jvp(lambda t: tuple(outputs(t)), (at,), (v,))[1]
        torch.testing.assert_close(linear_program(outputs, at)(v), right)
        return
    leaf = at.clone().requires_grad_(True)
    made = outputs(leaf)
    duals = [torch.zeros_like(o, requires_grad=True) for o in made]
    back = torch.autograd.grad(made, leaf, duals, create_graph=True, materialize_grads=True)[0]
    expected = torch.autograd.grad(back, duals, v, materialize_grads=True)
    slope = torch.autograd.grad(size(leaf), leaf, create_graph=True)[0]
    curved = torch.autograd.grad(slope, leaf, v)[0]
    single = 1e-6 if name == "gpt" else 1e-12  # its rotations are tables in float32
    gradient = torch.func.grad(size)
    made = [*linear_program(outputs, at)(v), *linear_program(lambda p: [gradient(p)], at)(v)]
    for one, right in zip(made, [*expected, curved], strict=True):
        torch.testing.assert_close(one, right, rtol=0, atol=single * float(right.norm()))


def test_values_that_are_overwritten_later() -> None:
    # kills: a value used as it is after it was written over; all pieces of a memory taken for one
    def function(point: Tensor) -> list[Tensor]:
        scale = torch.full((SIZE,), 2.0, dtype=torch.float64)
        first = point * scale
        scale.mul_(3)
        second = point * scale
        halves = torch.arange(1.0, 5.0, dtype=torch.float64).unsafe_split(2)
        third = point[:2] * halves[0]
        halves[1].zero_()
        halves[0].neg_()
        return [first, second, third, point[:2] * halves[0]]

    check(function)


def test_tangents_that_are_written_in_place() -> None:
    # kills: an operation in place taken for dead because its result has no name; the slot of
    # before the operation used after it
    def function(point: Tensor) -> list[Tensor]:
        x = point.sin()
        view = x[1:3]
        x.mul_(2)
        view.add_(point[:2])
        x[0] = point[5] ** 2
        x.relu_()
        return [x, view, functional.dropout(x, 0.0).exp_()]

    check(function)


def test_results_that_do_not_hang_on_the_point() -> None:
    # kills: the value of a constant taken for its tangent
    def function(point: Tensor) -> list[Tensor]:
        return [torch.ones(2, dtype=torch.float64), point.clone(), point.detach() * 2]

    program = linear_program(function, theta())
    v = direction()
    constant, same, detached = program(v)
    assert torch.equal(constant, torch.zeros(2, dtype=torch.float64))
    assert torch.equal(same, v)
    assert torch.equal(detached, torch.zeros_like(v))


def test_only_what_leads_to_the_results_is_kept() -> None:
    # kills: every step replayed; slots held to the end
    def function(point: Tensor) -> list[Tensor]:
        for _ in range(50):
            point.sin().cos()
        x = point
        for _ in range(20):
            x = x.sin()
        return [x]

    program = check(function)
    assert len(program.steps) == 20
    assert sum(len(s.done) for s in program.steps) == 20  # all but the last result
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    class Watched(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal most
            made = func(*args, **(kwargs or {}))
            alive.append(weakref.ref(made))
            most = max(most, sum(r() is not None for r in alive))
            return made

    v = direction()
    with Watched():
        program(v)
    assert len(alive) == 20
    assert most <= 3


def test_what_was_seen_while_recording_is_let_go() -> None:
    # kills: a program that holds every tangent of its recording
    seen: list[weakref.ref[Tensor]] = []
    original = module.Recorder.follow

    def follow(self: module.Recorder, tensor: Tensor) -> int:
        seen.append(weakref.ref(tensor))
        return original(self, tensor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Recorder, "follow", follow)
        program = linear_program(lambda point: [point.sin().cos()], theta())
    assert len(seen) >= 3
    assert all(r() is None for r in seen)
    assert len(program(direction())) == 1


class ByNumpy(torch.autograd.Function):
    """The sine, its tangent computed where torch does not see it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.slope = x.detach().cos()
        return x.sin()

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:  # type: ignore[override]
        return torch.from_numpy(ctx.slope.numpy() * tangent.detach().numpy())


def writes_into_its_parameter(point: Tensor) -> list[Tensor]:
    return [point.mul_(2)]


def reads_a_number(point: Tensor) -> list[Tensor]:
    tangent = torch.autograd.forward_ad.unpack_dual(point).tangent
    return [point * float(tangent[0])]


def writes_into_a_table(point: Tensor) -> list[Tensor]:
    table = torch.zeros(SIZE, dtype=torch.float64)
    torch.ops.aten.copy_(table, torch.autograd.forward_ad.unpack_dual(point).tangent)
    return [point * table]


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (lambda point: [ByNumpy.apply(point)], "does not go through torch's operations"),
        (writes_into_its_parameter, "writes into a parameter"),
        (reads_a_number, "reads single numbers"),
        (writes_into_a_table, "it made without a derivative"),
    ],
)
def test_what_cannot_be_repeated_is_refused(
    function: Callable[[Tensor], list[Tensor]], what: str
) -> None:
    # kills: a replay that gives what one vector gave, or nothing, for every vector
    with pytest.raises(UnsupportedModel, match=what):
        linear_program(function, theta())


def test_many_vectors_at_once() -> None:
    # kills: a program that cannot be mapped over vectors
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh()).double()
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def function(point: Tensor) -> list[Tensor]:
        state = {"0.weight": point.view(2, 3), "0.bias": point[:2]}
        return [torch.func.functional_call(model, state, (x,))]

    program = check(function)
    rows = torch.stack([direction(k) for k in range(5)])
    (together,) = torch.func.vmap(program)(rows)
    alone = torch.stack([program(v)[0] for v in rows])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-14)


def test_an_interrupt_leaves_nothing_behind() -> None:
    # kills: a mode or a level of forward differentiation that stays on
    def stopped(point: Tensor) -> list[Tensor]:
        point.sin()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        linear_program(stopped, theta())
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    assert torch.autograd.forward_ad._current_level == -1
    check(lambda point: [point.sin()])
