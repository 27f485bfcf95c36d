"""Jacobians of residual blocks against closed forms, and a theorem on their products.

Oracles: derivatives by hand; (1 - e)^L <= singular values <= (1 + e)^L for blocks of norm e.
"""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from theodolite import models
from theodolite.findings import residual_blocks as blocks
from theodolite.seeds import torch_generator

DOUBLE = torch.float64


def test_gains_of_the_counterexamples_by_arithmetic() -> None:
    # Kills: the identity forgotten, F taken with the wrong sign, ends swapped.
    half, zero, linear = (
        blocks.ends(blocks.jacobian(f, x)) for f, x in blocks.counterexamples(seed=0)
    )
    assert half == pytest.approx((0.5, 0.5))
    assert zero == pytest.approx((0.0, 0.0), abs=1e-15)
    # A Gaussian W of variance 1 / n: gains reach from near 0 to about 2.5.
    assert 0 < linear[0] < 0.3
    assert 2.2 < linear[1] < 2.9


def test_jacobian_of_a_two_layer_branch_by_the_chain_rule() -> None:
    inner, outer, x = (torch.randn(*s, dtype=DOUBLE) for s in ((5, 5), (5, 5), (5,)))
    found = blocks.jacobian(lambda z: outer @ torch.tanh(inner @ z), x)
    slope = torch.diag(1 - torch.tanh(inner @ x) ** 2)
    assert torch.allclose(found, torch.eye(5, dtype=DOUBLE) + outer @ slope @ inner)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_monotone_branches_only_enlarge(seed: int) -> None:
    generator = torch_generator(seed, "property")
    branch = blocks.random_branch(8, generator, monotone=True)
    own = blocks.jacobian(branch, torch.randn(8, generator=generator, dtype=DOUBLE))
    assert torch.allclose(own, own.T)
    assert blocks.ends(own)[0] >= 1 - 1e-12


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_smallest_gain_is_reached_by_some_gradient(seed: int) -> None:
    # The singular value is what a claim about gradients is about: |J' u| over |u|, at its least.
    generator = torch_generator(seed, "property")
    branch = blocks.random_branch(6, generator)
    own = blocks.jacobian(branch, torch.randn(6, generator=generator, dtype=DOUBLE))
    least, most = blocks.ends(own)
    left = torch.linalg.svd(own).U
    assert float((own.T @ left[:, -1]).norm()) == pytest.approx(least, abs=1e-12)
    gains = (own.T @ torch.randn(6, 50, generator=generator, dtype=DOUBLE)).norm(dim=0)
    again = torch_generator(seed, "lengths")
    directions = torch.randn(6, 50, generator=again, dtype=DOUBLE)
    gains = (own.T @ directions).norm(dim=0) / directions.norm(dim=0)
    assert least - 1e-12 <= float(gains.min()) <= float(gains.max()) <= most + 1e-12


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), norm=st.floats(0.001, 0.5), depth=st.integers(1, 6))
def test_chains_of_small_blocks_keep_to_the_bounds(seed: int, norm: float, depth: int) -> None:
    # Kills: a chain that skips a block or leaves out its identity.
    low, high = blocks.chain_gains(6, depth, norm, seed)
    assert (1 - norm) ** depth - 1e-12 <= low <= high <= (1 + norm) ** depth + 1e-12


def test_every_block_of_a_chain_has_its_norm_where_it_is_met() -> None:
    # Kills: blocks scaled at the start of the chain, or by another norm.
    branches, x = blocks.chain_of(6, 5, 0.7, seed=1)
    for branch in branches:
        own = blocks.jacobian(branch, x) - torch.eye(6, dtype=DOUBLE)
        assert float(torch.linalg.svdvals(own)[0]) == pytest.approx(0.7)
        x = x + branch(x)
    assert len(branches) == 5


def test_the_branch_is_that_of_the_shipped_block() -> None:
    # Kills: a norm or a rectifier left out of the copy of the block's forward pass.
    torch.manual_seed(0)
    network = models.resnet(8, width=4).double()
    x = torch.randn(3, 1, 8, 8, dtype=DOUBLE)
    network(x)  # so that running statistics are not the ones it starts with
    network.eval()
    inside = network.stem_relu(network.stem_norm(network.stem(x)))
    block = network.stage1_block1
    expected = block(inside)
    assert torch.equal(torch.relu(inside + blocks.branch_of(block, inside)), expected)


def test_gains_of_a_trained_network_shrink_to_one_with_its_branch() -> None:
    # Kills: the branch's Jacobian scaled together with the identity.
    found = blocks.network_gains(width=2, examples=20, epochs=1, seed=0)
    spread = [max(-math.log(low), math.log(high)) for low, high in found]
    assert found[0][0] < 1 < found[0][1]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 0.1


def test_scaled_branches_by_automatic_differentiation() -> None:
    branch = blocks.random_branch(6, torch_generator(0, "x"))
    x = torch.ones(6, dtype=DOUBLE)
    own = blocks.jacobian(branch, x) - torch.eye(6, dtype=DOUBLE)
    scaled = blocks.jacobian(partial(blocks._scaled, branch, 0.1), x)
    assert torch.allclose(scaled, torch.eye(6, dtype=DOUBLE) + 0.1 * own)
    assert isinstance(models.resnet(8, width=2), nn.Sequential)
