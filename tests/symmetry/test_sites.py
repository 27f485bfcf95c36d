"""Where units show in a run. Oracle: forward hooks, and permuted networks."""

from __future__ import annotations

import pytest
import torch
from tests.symmetry.architectures import built, discovered
from torch import Tensor, nn

from theodolite.symmetry.actions import permuted
from theodolite.symmetry.groups import Layout
from theodolite.symmetry.sites import Reader, Site, activation_sites

NAMES = ("resnext", "densenet", "vit_fused", "vit_separate", "gpt")


def seen(model: nn.Module, inputs: tuple, sites: tuple[Site, ...]) -> dict[Site, Tensor]:
    held: dict[Site, Tensor] = {}
    with torch.no_grad(), Reader(sites, lambda s, t: held.update({s: s.rows(t).clone()})):
        model(*inputs)
    return held


@pytest.mark.parametrize("name", NAMES)
def test_activations_of_a_permuted_network_are_permuted(name: str) -> None:
    # The definition. Kills: dimensions of a site in another order; a part of a concatenation read
    # at the wrong place; units of queries taken for units of values.
    (model, inputs), found = built(name), discovered(name)
    model = model.double().eval()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    sites = activation_sites(found, model, lambda: model(*inputs))
    before = seen(model, inputs, sites)
    drawn = found.random(4)
    model.load_state_dict(found.apply(model.state_dict(), drawn))
    after = seen(model, inputs, sites)
    assert {g for site in sites for g in site.groups} == {g.name for g in found.groups}
    within = {g.name: g.within for g in found.groups}
    for site in sites:
        old = before[site].reshape(*site.sizes, -1)
        units = [Layout("leaf", n, g) for n, g in zip(site.sizes, site.groups, strict=True)]
        moved = permuted(old, [*units, Layout("leaf", old.shape[-1])], drawn, within)
        assert torch.allclose(after[site], moved.reshape(after[site].shape), rtol=1e-5, atol=1e-6)


def test_rows_are_what_a_hook_sees() -> None:
    # Kills: rows that mix examples and units.
    (model, inputs), found = built("cnn"), discovered("cnn")
    model.eval()
    held = seen(model, inputs, activation_sites(found, model, lambda: model(*inputs)))
    caught: list[Tensor] = []
    convolution = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    handle = convolution.register_forward_hook(lambda m, i, o: caught.append(o.detach()))
    with torch.no_grad():
        model(*inputs)
    handle.remove()
    first = next(iter(held.values()))
    assert torch.equal(first, caught[0].movedim(1, 0).reshape(4, -1))


def test_weights_alone_are_no_activations() -> None:
    # Kills: transposed weights taken for activations.
    (model, inputs), found = built("mlp"), discovered("mlp")
    sites = activation_sites(found, model, lambda: model(*inputs))
    assert all("addmm" in s.operation or "relu" in s.operation for s in sites)
    assert activation_sites(found, model, lambda: [p.t() * 2 for p in model.parameters()]) == ()
