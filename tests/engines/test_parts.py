"""The engines' small pieces: substitutes, memory, failures, stillness, narrower problems.

Oracle: torch's own values, bytes counted on paper, and models made for the purpose.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.engines.failures import named_failures, require_finite
from theodolite.engines.memory import default_budget, held_bytes
from theodolite.engines.problem import Cast, default_dtype, in_float64, over, section
from theodolite.engines.stillness import unmoved
from theodolite.engines.substitutes import make_differentiable, weight_norm
from theodolite.errors import NotFinite, TheodoliteWarning, UnsupportedModel
from theodolite.parameters import ParameterSpace
from theodolite.testing import networks
from theodolite.testing.objectives import CASES


@pytest.mark.parametrize(
    ("shape", "dim"), [((4, 5), 0), ((4, 5), 1), ((3, 2, 2, 2), 0), ((4, 5), -1)]
)
def test_weight_norm_has_the_value_of_torchs_own(shape, dim):
    # kills: the norm over other dimensions than the slice's
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(shape, generator=generator, dtype=torch.float64)
    g = torch.norm_except_dim(v, 2, dim) * 1.7
    torch.testing.assert_close(weight_norm(v, g, dim), torch._weight_norm(v, g, dim))


def test_weight_norm_of_torch_is_wrong_in_second_derivative_and_ours_is_not():
    # the reason for the substitute, and the day it is no longer needed
    v = torch.tensor([[1.0, 2.0], [0.5, -1.0]], dtype=torch.float64, requires_grad=True)
    g = torch.tensor([[1.5], [0.7]], dtype=torch.float64)

    def second(rule) -> Tensor:
        slope = torch.autograd.grad(rule(v).sin().sum(), v, create_graph=True)[0]
        return torch.autograd.grad(slope.sum(), v)[0]

    plain = second(lambda w: w * (g / w.norm(dim=1, keepdim=True)))
    torch.testing.assert_close(second(lambda w: weight_norm(w, g, 0)), plain)
    assert not torch.allclose(second(lambda w: torch._weight_norm(w, g, 0)), plain, rtol=1e-2)


def test_embeddings_become_dense_for_a_gradient_only_inside_the_guard():
    objective = CASES["sparse embedding"].objective()
    assert objective.model[0].sparse
    assert bool(torch.isfinite(objective.gradient()).all())
    assert objective.model[0].sparse
    make_differentiable(objective.model, second=False)
    assert not objective.model[0].sparse


def test_bytes_of_a_graph():
    # kills: a storage counted once for each view of it; the graph kept alive by the counting
    x = torch.randn(10, 4, dtype=torch.float64, requires_grad=True)

    def build() -> Tensor:
        y = torch.exp(x)  # saves its result
        return (y * y.view(40).view(10, 4)).sum()  # saves y twice, once as a view

    assert held_bytes(build) == 10 * 4 * 8
    assert 0 < default_budget(torch.device("cpu")) <= 2 << 30


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("derivative for aten::foo_backward is not implemented", "E-D05", "differences"),
        ("trying to differentiate twice a function marked with @once_differentiable", "E-D05", ""),
        ("a leaf Variable that requires grad is being used in an in-place operation.", "E-D07", ""),
        ("element 0 of tensors does not require grad and has no grad_fn", "E-D07", "detach"),
        ("DefaultCPUAllocator: can't allocate memory: you tried", "E-D07", "memory_budget"),
        ("When use_reentrant=True, torch.utils.checkpoint is incompatible", "E-D07", "False"),
        ("Double backwards is not supported for CuDNN RNNs", "E-D05", "differences"),
    ],
)
def test_torchs_errors_are_told_with_a_cause_and_a_remedy(text, code, words):
    refused = pytest.raises(UnsupportedModel, match=r"the product cannot be computed")
    with refused as caught, named_failures("product", 2):
        raise RuntimeError(text)
    assert caught.value.code == code
    assert caught.value.where == "batch 3"
    assert words in caught.value.fix
    assert str(caught.value.__cause__) == text


def test_errors_of_the_users_kind_pass_through():
    class Mine(RuntimeError):
        pass

    with pytest.raises(Mine), named_failures("product"):
        raise Mine("is not implemented")
    with pytest.raises(RuntimeError, match="my own words"), named_failures("product"):
        raise RuntimeError("my own words")


def test_the_first_tensor_that_is_not_finite_is_named():
    space = ParameterSpace.from_model(nn.Linear(2, 2))
    require_finite("product", torch.zeros(3, 6), space)
    rows = torch.zeros(3, 6)
    rows[1, 5] = torch.inf
    with pytest.raises(NotFinite, match=r"in 1 of 2 parameter tensors, first in 'bias'"):
        require_finite("product", rows, space)


class Mixed(nn.Module):
    """An unused, a piecewise constant, a detached and an ordinary parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Parameter(torch.tensor([0.3]))
        self.unused = nn.Parameter(torch.tensor([0.4]))
        self.rounded = nn.Parameter(torch.linspace(0.11, 0.9, 7))
        self.cut = nn.Parameter(torch.tensor([0.6]))

    def forward(self, x: Tensor) -> Tensor:
        return (
            x * self.used + torch.round(self.rounded * 7).sum() + self.cut.detach() + 0 * self.cut
        )


def test_parameters_without_a_gradient_are_sorted_by_what_they_do():
    # kills: a step of the loss taken for a slope, and a slope for nothing
    x = torch.ones(4, 1, dtype=torch.float64)
    objective = td.Objective(Mixed().double(), nn.MSELoss(), (x, 2 * x))
    batch = next(iter(objective.data))
    names = ("unused", "rounded", "cut")
    found = objective.guarded(lambda: unmoved(objective, objective.start, batch, names))
    assert found.unused == ("unused",)
    assert found.constant == ("rounded",)
    assert found.detached == ("cut",)


def test_sections_and_wider_versions_of_a_problem():
    # kills: weights of the whole lost in a part; labels cast to floats
    case = CASES["class weights"]
    single = td.Objective(case.network(), case.loss(), case.data(), dtype=torch.float32)
    first = next(iter(single.data))
    assert section(first, 0, 99) is first
    part = section(first, 1, 3)
    assert part.examples == 2
    assert torch.equal(part.inputs[0], first.inputs[0][1:3])
    assert torch.equal(part.targets, first.targets[1:3])
    shares = [float(over(single, (b,)).gradient().sum()) for b in single.data]
    assert sum(shares) == pytest.approx(float(single.gradient().sum()), rel=1e-5)
    wide = in_float64(single)
    assert isinstance(wide.data, Cast)
    assert wide.data.batches == 3
    cast = next(iter(wide.data))
    assert cast.inputs[0].dtype == torch.float64
    assert cast.targets.dtype == torch.int64
    with default_dtype(torch.float64):
        assert torch.zeros(1).dtype == torch.float64
    assert torch.zeros(1).dtype == torch.float32


def test_one_network_serves_gradient_and_checkpoint_at_another_point():
    # kills: a checkpointed block that runs again with the model's own weights
    torch.manual_seed(0)
    model = networks.Checkpointed().double()
    twin = nn.Sequential(model.block, model.head)
    data = CASES["cross entropy"].data()
    ours = td.Objective(model, nn.CrossEntropyLoss(), data)
    plain = td.Objective(twin, nn.CrossEntropyLoss(), data)
    theta = ours.start + 0.5
    torch.testing.assert_close(ours.gradient(theta), plain.gradient(theta), rtol=0, atol=1e-14)


class Squares(nn.Module):
    """At zero a square has no slope but bends; cut off from the graph it bends unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.bent = nn.Parameter(torch.zeros(3))
        self.cut = nn.Parameter(torch.full((2,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bent.square().sum() + self.cut.detach().sum() + 0 * self.cut.sum()


def test_a_loss_that_bends_without_a_slope_is_no_detached_one():
    # kills: a stationary point taken for a detached path, and a slope for a bend
    x = torch.ones(4, 1, dtype=torch.float64)
    objective = td.Objective(Squares().double(), nn.MSELoss(), (x, 2 * x))
    batch = next(iter(objective.data))

    def sorted_as(curved: bool) -> object:
        names = ("bent", "cut")
        return objective.guarded(
            lambda: unmoved(objective, objective.start, batch, names, curved=curved)
        )

    allowed, not_allowed = sorted_as(True), sorted_as(False)
    assert (allowed.stationary, allowed.detached) == (("bent",), ("cut",))
    assert not_allowed.detached == ("bent", "cut")


def test_the_ggn_takes_a_point_where_no_output_moves():
    # kills: a GGN of zero refused because the loss bends where the outputs do not move
    x = torch.ones(4, 1, dtype=torch.float64)

    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            return x + self.w.square().sum()

    objective = td.Objective(Square().double(), nn.MSELoss(), (x, 2 * x))
    with pytest.warns(TheodoliteWarning, match="no output moves"):
        assert not td.ggn(objective).dense().any()
    torch.testing.assert_close(
        td.hessian(objective).dense(), -4 * torch.eye(3, dtype=torch.float64)
    )
