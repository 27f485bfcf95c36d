"""Every architecture: all groups that there are, and not one that is none.

Oracles: groups counted by hand; the function itself in float64, with a member left out as the
negative control; and gradients, which must be permuted as the weights are.
"""

from __future__ import annotations

import pytest
import torch
from tests.symmetry.architectures import ARCHITECTURES, EXPECTED, INDEPENDENT, built, discovered

DEAD = {  # members that the outputs do not depend on
    **{"vit_separate": 2, "encoder_decoder": 3},  # norms of keys: their bias cancels in a softmax
    "relative_attention": 1,  # a shift of all positions cancels in a softmax
    "conditioned": 1,  # a bias before a norm
    "wavenet": 3,  # the last layer's way back to a stream that nobody reads
}


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_function_stays_and_the_control_moves_it(name: str) -> None:
    # Kills: any rule that lines up the wrong axes (outputs move by 1e-4 or more), and a member
    # missing from a group; and, by the control, a check that permutes nothing.
    found = discovered(name)
    checks = found.checks(seed=1)
    assert float(checks.change.max()) <= 1e-9
    assert float(checks.change_all) <= 1e-9
    assert int(checks.without_effect.sum()) == DEAD.get(name, 0)
    assert float(checks.control.min()) > 1e-8
    assert not any("changed" in f.reason for f in found.frozen)
    assert not found.unknown
    assert found.coverage > 0.93


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_groups_are_those_counted_by_hand(name: str) -> None:
    # Kills: an axis frozen or unified without need, a group lost, families of fused matrices.
    found = discovered(name)
    assert sorted(g.size for g in found.groups) == sorted(EXPECTED[name])
    assert sum(bool(g.within) for g in found.groups) == INDEPENDENT.get(name, 0)
    assert found.front_end == ("run" if name == "mixture_routed" else "export")


@pytest.mark.parametrize(
    "name", ["resnext", "unet", "vit_fused", "language_model", "lstm", "pruned"]
)
def test_gradients_are_permuted_as_the_weights_are(name: str) -> None:
    # Kills: `apply` that agrees with the float64 copy of the check but not with the model.
    model, inputs = built(name)
    model = model.double().eval()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    found = discovered(name)
    permutations = found.random(3)

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.sin(model(*inputs)).sum().backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    moved = found.apply(gradients(), permutations)
    model.load_state_dict(found.apply(model.state_dict(), permutations))
    largest = max(float(g.abs().max()) for g in moved.values())
    for key, gradient in gradients().items():
        assert float((gradient - moved[key]).abs().max()) <= 1e-9 * largest


@pytest.mark.parametrize("name", ["vit_fused", "resnext", "autoencoder", "gpt", "unet"])
def test_the_inverse_undoes(name: str) -> None:
    # Kills: an inverse that ignores where the outer permutation sends a head or a group.
    (model, _), found = built(name), discovered(name)
    permutations = found.random(5)
    there = found.apply(model.state_dict(), permutations)
    back = found.apply(there, found.inverse(permutations))
    for key, tensor in model.state_dict().items():
        assert torch.equal(back[key], tensor), key
    assert any(not torch.equal(there[k], v) for k, v in model.state_dict().items())


def test_random_permutations_reach_the_whole_group() -> None:
    # A hundred draws of 12! orders do not repeat. Kills: a seed that is not used.
    found = discovered("mlp_batch")
    drawn = {tuple(found.random(seed)["1.weight[0]"].tolist()) for seed in range(100)}
    assert len(drawn) == 100
