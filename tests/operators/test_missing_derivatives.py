"""Losses whose second derivative is missing, wrong, hidden or undefined.

Oracle: the same network written with plain operations, and differences of gradients. Rule: the
right product, with a warning where it took another way, or a named refusal; never silence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

import theodolite as td
from operators.dense import dense_hessian
from theodolite.errors import NotFinite, TheodoliteWarning, UnsupportedModel
from theodolite.testing import networks
from theodolite.testing.objectives import CASES, REFUSED, Case, Refusal

CASE: Case = CASES["cross entropy"]


class Once(torch.autograd.Function):
    """A sine that says it cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return torch.sin(z)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * torch.cos(ctx.saved_tensors[0])


class DetachedSave(torch.autograd.Function):
    """A sine whose backward keeps its cosine as a constant."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.cosine = torch.cos(z)
        return torch.sin(z)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * ctx.cosine


class OldStyle(torch.autograd.Function):
    """A right sine without ``setup_context`` or a rule for vmap."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return torch.sin(z)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return g * torch.cos(ctx.saved_tensors[0])


def through(function: Callable[[Tensor], Tensor]) -> td.Objective:
    torch.manual_seed(0)
    model = networks.Through(function).double()
    return td.Objective(model, nn.CrossEntropyLoss(), CASE.data())


def vector(objective: td.Objective) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randn(objective.space.size, dtype=torch.float64, generator=generator)


def differences(objective: td.Objective, v: Tensor) -> Tensor:
    h = 1e-5
    up = objective.gradient(objective.start + h * v)
    return (up - objective.gradient(objective.start - h * v)) / (2 * h)


MISSING = {
    "D01 once differentiable": (Once.apply, "misses second derivatives"),
    "D02 detached save": (DetachedSave.apply, "misses second derivatives"),
    "D05 hardsigmoid": (nn.functional.hardsigmoid, "not implemented"),
    "D05 cdist": (lambda z: torch.cdist(z, z.roll(1, 1) + 1)[:, :4], "not implemented"),
}


@pytest.mark.parametrize("name", MISSING)
def test_differences_take_over_with_a_warning(name):
    # kills: None taken for zero; a silent fall back to zeros; no warning
    function, message = MISSING[name]
    if "cdist" in name:  # batches of 5, 4 and 3 would give outputs of different widths
        torch.manual_seed(0)
        data = (CASE.inputs(), CASE.targets())
        objective = td.Objective(networks.Through(function).double(), nn.CrossEntropyLoss(), data)
    else:
        objective = through(function)
    operator = td.hessian(objective)
    with pytest.warns(TheodoliteWarning, match=message):
        product = operator.matvec(vector(objective))
    expected = differences(objective, vector(objective))
    torch.testing.assert_close(product, expected, rtol=1e-5, atol=1e-8)
    assert operator.facts["engine"] == "differences"
    assert message in operator.facts["switched_because"]


def test_the_products_of_differences_are_those_of_the_plain_network():
    # kills: differences at a step that leaves more than a millionth
    plain, hidden = through(torch.sin), through(Once.apply)
    v = vector(plain)
    with pytest.warns(TheodoliteWarning, match="misses"):
        product = td.hessian(hidden).matvec(v)
    expected = td.hessian(plain).matvec(v)
    assert float((product - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize("engine", ["kept", "recompute"])
def test_an_engine_asked_for_by_name_refuses_to_miss_a_derivative(engine):
    with pytest.raises(UnsupportedModel, match=r"misses second derivatives of 'first.weight'"):
        td.hessian(through(Once.apply), engine=engine).matvec(vector(through(Once.apply)))
    with pytest.raises(UnsupportedModel, match='engine="differences"'):
        td.hessian(through(nn.functional.hardsigmoid), engine=engine).matvec(
            vector(through(torch.sin))
        )


def test_what_verify_false_gives_up():
    # the negative control of this file: without the check, a third of the product is missing
    objective = through(Once.apply)
    product = td.hessian(objective, verify=False).matvec(vector(objective))
    expected = differences(objective, vector(objective))
    assert float((product - expected).norm() / expected.norm()) > 0.3


def test_ggn_of_a_function_differentiable_once_needs_differences_too():
    plain, hidden = through(torch.sin), through(Once.apply)
    v = vector(plain)
    with pytest.warns(TheodoliteWarning, match="misses"):
        product = td.ggn(hidden).matvec(v)
    torch.testing.assert_close(product, td.ggn(plain).matvec(v), rtol=1e-6, atol=1e-9)
    # its first derivative is all the Gauss-Newton matrix needs of a detached save
    saved = td.ggn(through(DetachedSave.apply))
    torch.testing.assert_close(saved.matvec(v), td.ggn(plain).matvec(v), rtol=0, atol=1e-12)


RIGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "D03 D04 custom function without rules": OldStyle.apply,
    "W15 checkpoint": lambda h: checkpoint(torch.sin, h, use_reentrant=False),
    "views and in-place writes on a fresh tensor": lambda h: torch.sin(h).clone().mul_(1.0),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("make", [td.hessian, td.ggn])
def test_unusual_but_right_functions(name, make):
    plain, unusual = through(torch.sin), through(RIGHT[name])
    m = torch.stack([vector(plain), vector(plain).flip(0)], 1)
    torch.testing.assert_close(make(unusual).matmat(m), make(plain).matmat(m), rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_by_name(name):
    # kills: a product where there is none; torch's own error without a cause
    case: Refusal = REFUSED[name]
    objective = case.objective()
    with pytest.raises(case.error, match=case.message) as caught:
        td.hessian(objective).matvec(vector(objective))
    assert caught.value.code.startswith("E-")
    assert caught.value.fix


def test_d06_piecewise_constant_operations_are_named():
    objective = through(torch.round)
    with pytest.warns(TheodoliteWarning, match=r"identically 0 for 'first.weight', 'first.bias'"):
        product = td.hessian(objective).matvec(vector(objective))
    assert not bool(product[: 5 * 4 + 4].any())


def test_d08_kinks_at_the_point_are_flagged_and_the_product_kept():
    # kills: a kink taken for a missing derivative; a kink passed over
    torch.manual_seed(0)
    model = networks.Through(torch.relu).double()
    with torch.no_grad():
        model.first.bias.zero_()
    data = [(torch.cat([torch.zeros_like(x[:1]), x[1:]]), y) for x, y in CASE.data()]
    objective = td.Objective(model, nn.CrossEntropyLoss(), data)
    operator = td.hessian(objective)
    product = operator.matvec(vector(objective))
    assert operator.facts["verification"] == "non-smooth"
    assert "first.bias" in operator.facts["not_smooth"]
    unverified = td.hessian(objective, verify=False).matvec(vector(objective))
    assert torch.equal(product, unverified)


def test_d09_the_first_parameter_that_is_not_finite_is_named():
    objective = through(lambda h: h + (0 * h).norm(dim=1, keepdim=True))
    assert bool(torch.isfinite(objective.gradient()).all())
    for verify in (True, False):
        with pytest.raises(NotFinite, match=r"first in 'first.weight'"):
            td.hessian(objective, verify=verify).matvec(vector(objective))


def test_s09_unused_parameters_are_zeros_and_listed():
    # kills: an unused parameter as an error; zeros without the proof that they do not matter
    objective = CASES["unused head"].objective()
    operator = td.hessian(objective)
    operator.matvec(vector(objective))
    assert operator.facts["unused_parameters"] == ["head.weight", "head.bias"]


@pytest.mark.parametrize("old", [False, True])
def test_w10_weight_norm_has_an_exact_second_derivative(old):
    # kills: torch's fused kernel, which takes the norm as a constant (wrong by 10 %)
    torch.manual_seed(1)
    layer = nn.Linear(networks.INPUTS, networks.HIDDEN)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        normed = nn.utils.weight_norm(layer) if old else networks.weight_norm()[0]
    model = nn.Sequential(normed, nn.Tanh(), nn.Linear(4, 3)).double()
    objective = td.Objective(model, nn.CrossEntropyLoss(), CASE.data())
    operator = td.hessian(objective)
    v = vector(objective)
    torch.testing.assert_close(operator.matvec(v), differences(objective, v), rtol=1e-7, atol=1e-9)
    assert operator.facts["engine"] == "kept"
    hooks = list(model[0]._forward_pre_hooks.values())
    assert [type(h).__name__ for h in hooks] == (["WeightNorm"] if old else [])


def test_models_that_cannot_run_in_float64_are_checked_as_they_are():
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(5, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            mix = torch.eye(4, dtype=torch.float32)
            return self.last(torch.tanh(self.first(x)) @ mix)

    torch.manual_seed(0)
    data = [(x.float(), y) for x, y in CASE.data()]
    objective = td.Objective(Single(), nn.CrossEntropyLoss(), data)
    operator = td.hessian(objective)
    operator.matvec(torch.ones(operator.size))
    assert operator.facts["verification"] == "agrees"
    assert operator.facts["verification_precision"] == "float32"
    by_differences = td.hessian(objective, engine="differences")
    torch.testing.assert_close(by_differences.dense(), operator.dense(), rtol=0.02, atol=2e-3)


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1), (torch.float16, 0.02)]
)
def test_s17_half_precision_networks_multiply_in_float32(dtype, bound):
    objective = td.Objective(CASE.network(), nn.CrossEntropyLoss(), CASE.data(), dtype=dtype)
    operator = td.hessian(objective)
    assert operator.dtype == torch.float32
    expected = dense_hessian(CASE)
    gap = (operator.dense().double() - expected).norm() / expected.norm()
    assert float(gap) < bound
