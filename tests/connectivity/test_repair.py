"""REPAIR. Oracles: means and deviations of activations, by hooks of the test's own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from connectivity.matching_cases import objective, squared
from theodolite.errors import InvalidArgument, TheodoliteWarning, UnsupportedModel


class Convolutions(nn.Module):
    """Plain, grouped and transposed convolutions, and a linear layer over places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv1d(2, 4, 3), nn.Conv1d(4, 6, 1, groups=2)
        self.back = nn.ConvTranspose1d(6, 4, 2, groups=2)
        self.last = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.grouped(torch.relu(self.first(x))))
        return self.last(torch.relu(self.back(h)).transpose(1, 2)).mean(1)


def nets(kind: type[nn.Module] | None = None) -> tuple[td.Objective, list[dict[str, Tensor]]]:
    """An objective in three batches, and three networks' state dicts."""
    made = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(3):
            net = kind() if kind else normalized()
            made.append(net.double().eval())
        x = torch.randn(30, *((2, 6) if kind else (1, 8, 8)), dtype=torch.float64)
        y = torch.zeros(30, made[0](x).shape[1], dtype=torch.float64)
    states = [net.state_dict() for net in made]
    return td.Objective(made[0], squared, (x, y), batch_size=11), states


def normalized() -> nn.Module:
    net = td.models.cnn((4, 6))
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 2)
                module.bias.normal_()
    return net


def spreads(made: td.Objective, state: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Means and deviations over all data, with hooks, of layers that nothing normalizes."""
    import copy

    net = copy.deepcopy(made.model)
    net.load_state_dict(state)
    found: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str):
        def hook(layer: nn.Module, inputs: object, output: Tensor) -> None:
            dim = -1 if isinstance(layer, nn.Linear) else 1
            rows = output.detach().movedim(dim, 0).flatten(1)
            found[name] = rows.mean(1), rows.std(1, unbiased=False)

        return hook

    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    kinds = (nn.Linear, nn.BatchNorm2d) if norms else (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)
    for name, module in net.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(keep(name))
    net.eval()(torch.cat([batch.inputs[0] for batch in made.data]))
    return found


@pytest.mark.parametrize("kind", [Convolutions, None])
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_every_unit_gets_the_mean_and_deviation_between_the_ends(
    kind: type[nn.Module] | None, share: float
) -> None:
    # Kills: layers repaired out of order (each from the unrepaired network); a bias scaled and not
    # shifted; groups of a transposed convolution mixed up; the epsilon of BatchNorm left out;
    # shares exchanged; variances interpolated instead of deviations.
    made, (theta, a, b) = nets(kind)
    fixed = td.repair(made, theta, a, b, share=share)
    got, first, second = (spreads(made, state) for state in (fixed, a, b))
    assert len(got) == (4 if kind else 3)
    for name, (mean, deviation) in got.items():
        assert torch.allclose(mean, torch.lerp(first[name][0], second[name][0], share), atol=1e-7)
        between = torch.lerp(first[name][1], second[name][1], share)
        assert torch.allclose(deviation, between, rtol=1e-6, atol=1e-9)
    assert list(fixed) == list(theta)
    assert all(fixed[n].dtype == t.dtype for n, t in theta.items())


def test_an_end_repaired_towards_itself_stays() -> None:
    made, (_, a, _) = nets(Convolutions)
    fixed = td.repair(made, a, a, a)
    assert all(torch.allclose(fixed[n], t, rtol=1e-9, atol=1e-12) for n, t in a.items())


def test_collapse_is_measured_before_and_after() -> None:
    # Opposite ends cancel to nothing but their bias. Kills: a ratio of deviations; one end alone.
    made, (_, a, b) = nets(Convolutions)
    middle = {n: (t + b[n]) / 2 for n, t in a.items()}
    ratio = td.variance_collapse(made, middle, a, b).ratio
    found = [spreads(made, state) for state in (middle, a, b)]
    for name in ratio.layer.values:
        mine, one, other = (float((f[name][1] ** 2).sum()) for f in found)
        assert float(ratio.sel(layer=name)) == pytest.approx(2 * mine / (one + other), rel=1e-9)
    after = td.variance_collapse(made, td.repair(made, middle, a, b), a, b)
    assert list(ratio.layer.values) == ["first", "grouped", "back", "last"]
    assert float(ratio.min()) < 0.7 < float(after.ratio.min())


class Awkward(nn.Module):
    """A layer used twice, one without bias, one frozen, a tied one, one never called."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.plain = nn.Linear(3, 3), nn.Linear(3, 4, bias=False)
        self.still, self.tied, self.again = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied.weight = self.again.weight
        self.still.weight.requires_grad_(False)
        self.silent = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.twice(torch.tanh(self.twice(x))))
        h = self.again(torch.tanh(self.tied(torch.tanh(self.still(torch.tanh(self.plain(h)))))))
        return nn.functional.linear(h, self.silent.weight, self.silent.bias)


def test_what_cannot_be_rescaled_is_named() -> None:
    torch.manual_seed(0)
    model = Awkward()
    made = td.Objective(model, squared, (torch.randn(9, 3), torch.zeros(9, 2)))
    a, b = made.start, torch.randn(made.space.size)
    with pytest.warns(TheodoliteWarning, match="E-A61") as caught:
        fixed = td.repair(made, (a + b) / 2, a, b)
    text = str(caught[0].message)
    for told in ("twice (it runs 2 times", "plain (no bias", "still (its weight is frozen"):
        assert told in text
    assert "tied (its weight is shared" in text or "again (its weight is" in text
    assert "silent" in text or "more" in text
    middle = dict(zip(made.space.names, made.space.views((a + b) / 2).values(), strict=True))
    assert torch.equal(fixed["twice.weight"], middle["twice.weight"])
    assert not torch.equal(fixed["plain.weight"], middle["plain.weight"])
    ratio = td.variance_collapse(made, (a + b) / 2, a, b).ratio
    assert np.isnan(float(ratio.sel(layer="twice")))


def test_a_constant_unit_is_shifted_alone() -> None:
    model = nn.Linear(1, 2)
    made = td.Objective(model, squared, (torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 2)))
    a, b = torch.tensor([1.0, 2.0, 0.0, 4.0]), torch.tensor([3.0, 2.0, 1.0, 6.0])
    merged = torch.tensor([0.0, 1.0, 7.0, 7.0])  # the first unit does not vary
    fixed = td.repair(made, merged, a, b)
    assert fixed["weight"].flatten().tolist() == [0.0, 2.0]
    assert fixed["bias"].tolist() == pytest.approx([0.5, 5.0])


def test_objectives_and_models_that_cannot_be_repaired_are_refused() -> None:
    made = objective("perceptron")
    with pytest.raises(InvalidArgument, match="E-A02"):
        td.repair(made, made.start, made.start, made.start, share=2.0)
    x = torch.ones(4, 2)
    scales = td.Objective(nn.Sequential(nn.LayerNorm(2)), squared, (x, x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidArgument, match="E-A62"):
            td.repair(scales, scales.start, scales.start, scales.start)
    training = td.Objective(nn.Linear(2, 2), squared, (x, x), mode="train")
    with pytest.raises(UnsupportedModel, match="E-A63"):
        td.repair(training, training.start, training.start, training.start)
