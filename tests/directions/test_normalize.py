"""Norms of normalized directions against norms taken filter by filter, by hand.

Oracle: loops over the layer's own output channels, written per layer kind below, and invariance
of the curve of a ReLU network under rescaling of its layers.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import theodolite as td
from theodolite.directions import normalized
from theodolite.errors import InvalidArgument, NotFinite
from theodolite.parameters import ParameterSpace


def rows(w: Tensor) -> list[Tensor]:
    return list(w)


def grouped_outputs(groups: int):
    """Filters of a transposed convolution: (in, out / groups, ...), one an output channel."""

    def filters(w: Tensor) -> list[Tensor]:
        return [block[:, k] for block in w.chunk(groups) for k in range(w.shape[1])]

    return filters


def columns(w: Tensor) -> list[Tensor]:
    return list(w.T)


def whole(w: Tensor) -> list[Tensor]:
    return [w]


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.position = nn.Parameter(torch.randn(1, 7, 6))
        self.temperature = nn.Parameter(torch.tensor(-0.3))


class Conv1D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nf, self.weight = 3, nn.Parameter(torch.randn(4, 3))


LAYERS = {
    "linear": (nn.Linear(5, 4), {"weight": rows}),
    "conv1d": (nn.Conv1d(2, 3, 3), {"weight": rows}),
    "conv2d": (nn.Conv2d(4, 6, 3, groups=2), {"weight": rows}),
    "conv3d": (nn.Conv3d(2, 3, 2), {"weight": rows}),
    "transposed": (nn.ConvTranspose2d(3, 4, 2), {"weight": grouped_outputs(1)}),
    "transposed in groups": (nn.ConvTranspose1d(6, 4, 3, groups=2), {"weight": grouped_outputs(2)}),
    "transposed linear": (Conv1D(), {"weight": columns}),
    "embedding": (nn.Embedding(5, 3), {"weight": rows}),
    "attention": (
        nn.MultiheadAttention(4, 2),
        {"in_proj_weight": rows, "out_proj.weight": rows},
    ),
    "recurrent": (nn.LSTM(3, 2), {"weight_ih_l0": rows, "weight_hh_l0": rows}),
    "tokens": (
        Tokens(),
        {"token": whole, "position": lambda w: list(w[0]), "temperature": whole},
    ),
    "weight norm": (
        parametrizations.weight_norm(nn.Conv2d(2, 3, 3)),
        {"parametrizations.weight.original1": rows},
    ),
    "norms": (nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), {"0.weight": rows}),
}


def vectors(model: nn.Module, seed: int = 0) -> tuple[ParameterSpace, Tensor, Tensor]:
    """The layout of a model, a point with filters of very different norms, and a direction."""
    space = ParameterSpace.from_model(model)
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(space.size, generator=generator) * torch.logspace(-2, 2, space.size)
    return space, theta, torch.randn(space.size, generator=generator)


@pytest.mark.parametrize("name", LAYERS)
def test_every_filter_has_the_norm_of_that_filter_of_theta_and_nothing_else_moves(name):
    # kills: norms by tensor, the wrong dimension, scalars normalized one by one, moving biases
    model, filters = LAYERS[name]
    space, theta, direction = vectors(model)
    made = normalized(direction, theta, space, "filter")
    for parameter, moved in space.views(made).items():
        if parameter not in filters:
            assert not moved.any(), parameter
            continue
        split = filters[parameter]
        triples = zip(
            split(moved),
            split(space.views(theta)[parameter]),
            split(space.views(direction)[parameter]),
            strict=True,
        )
        for d, t, raw in triples:
            assert float(d.norm()) == pytest.approx(float(t.norm()), rel=1e-6)
            cosine = (d * raw).sum() / (d.norm() * raw.norm())
            assert float(cosine) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_normalization_takes_each_weight_tensor_as_one(name):
    # kills: filter norms under the name of layers; biases normalized as layers
    model, filters = LAYERS[name]
    space, theta, direction = vectors(model)
    views = space.views(normalized(direction, theta, space, "layer"))
    for parameter, moved in views.items():
        t, raw = space.views(theta)[parameter], space.views(direction)[parameter]
        expected = float(t.norm()) if parameter in filters else 0.0
        assert float(moved.norm()) == pytest.approx(expected, rel=1e-6)
        if parameter in filters:
            torch.testing.assert_close(moved, raw * (t.norm() / raw.norm()))


def test_model_normalization_scales_the_whole_vector_once():
    # kills: biases left out; a norm by tensor
    space, theta, direction = vectors(LAYERS["norms"][0])
    made = normalized(direction, theta, space, "model")
    torch.testing.assert_close(made, direction * (theta.norm() / direction.norm()))
    assert float(made.norm()) == pytest.approx(float(theta.norm()), rel=1e-6)


def test_no_normalization_changes_no_bit():
    space, theta, direction = vectors(LAYERS["norms"][0])
    assert torch.equal(normalized(direction, theta, space, None), direction)


@pytest.mark.parametrize("normalize", ["filter", "layer", "model"])
def test_normalizing_twice_changes_nothing_and_neither_does_the_length_of_the_direction(normalize):
    space, theta, direction = vectors(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(4, 3)))
    once = normalized(direction.double(), theta.double(), space, normalize)
    twice = normalized(once, theta.double(), space, normalize)
    torch.testing.assert_close(twice, once, rtol=1e-14, atol=0)
    longer = normalized(1e3 * direction.double(), theta.double(), space, normalize)
    torch.testing.assert_close(longer, once, rtol=1e-14, atol=0)


@pytest.mark.parametrize("normalize", ["filter", "layer", "model"])
def test_dead_filters_give_zero_and_no_nan(normalize):
    # kills: division by a zero norm; 1e-10 in place of a zero
    space, theta, direction = vectors(nn.Linear(3, 4, bias=False))
    theta[3:6] = 0
    direction[6:9] = 0
    made = normalized(direction, theta, space, normalize).view(4, 3)
    assert torch.isfinite(made).all()
    assert not made[2].any()
    assert bool(made[1].any()) == (normalize != "filter")


def test_masked_weights_stay_and_do_not_count_in_the_norms():
    # kills: masking after normalizing; the norm of weights that a mask hides
    layer = nn.Linear(4, 2, bias=False)
    keep = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]])
    prune.custom_from_mask(layer, "weight", keep)
    space = ParameterSpace.from_model(layer)
    theta = torch.tensor([3.0, 100.0, 4.0, 100.0, 9.0, 9.0, 9.0, 9.0])
    for normalize, norm in {"filter": 5.0, "layer": 5.0, "model": 5.0}.items():
        made = normalized(torch.ones(8), theta, space, normalize)
        assert float(made.norm()) == pytest.approx(norm, rel=1e-6)
        assert not made[~keep.bool().view(-1)].any()
    raw = normalized(torch.ones(8), theta, space, None)
    assert raw.tolist() == keep.view(-1).tolist()


def test_a_scalar_keeps_its_size_and_only_its_sign_is_drawn():
    space = ParameterSpace.from_model(Tokens())
    theta = torch.ones(space.size)
    theta[-1] = -0.3
    for sign in (1.0, -1.0):
        made = normalized(sign * torch.ones(space.size), theta, space, "filter")
        assert float(made[-1]) == pytest.approx(sign * 0.3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_direction_keeps_its_dtype(dtype):
    space, theta, direction = vectors(nn.Linear(3, 2))
    assert normalized(direction.to(dtype), theta, space).dtype == dtype


def test_norms_do_not_depend_on_threads():
    # kills: reductions that are split over threads
    space, theta, direction = vectors(nn.Linear(500, 300))
    theta, direction = theta.double(), direction.double()
    before, made = torch.get_num_threads(), {}
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made[threads] = [normalized(direction, theta, space, n) for n in ("layer", "model")]
    finally:
        torch.set_num_threads(before)
    for one, two in zip(made[1], made[2], strict=True):
        assert torch.equal(one, two)
    weight = float(theta[:150000].norm())
    assert [math.sqrt(math.fsum((m**2).tolist())) for m in made[1]] == pytest.approx(
        [weight, float(theta.norm())], rel=1e-13
    )


def test_a_rescaled_relu_network_has_the_same_filter_normalized_curve():
    # kills: norms of the direction alone (negative control: raw directions see the rescaling)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).double()
    x, y = torch.randn(20, 1, 4, 4, dtype=torch.float64), torch.randint(3, (20,))

    def curves(normalize: str | None) -> list:
        objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
        direction = td.random_directions(objective, count=1, normalize=normalize, seed=4)[0]
        return td.line(objective, direction, steps=5).loss.values

    before = {n: curves(n) for n in ("filter", "layer", None)}
    with torch.no_grad():
        model[0].weight.mul_(20)
        model[0].bias.mul_(20)
        model[3].weight.div_(20)
    assert curves("filter") == pytest.approx(before["filter"], rel=1e-10)
    assert curves("layer") == pytest.approx(before["layer"], rel=1e-10)
    assert curves(None) != pytest.approx(before[None], rel=1e-2)


def test_refusals_name_what_is_wrong():
    space, theta, direction = vectors(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    with pytest.raises(InvalidArgument, match=r'"layer", "model" or None; got \'filters\''):
        normalized(direction, theta, space, "filters")
    with pytest.raises(InvalidArgument, match=r"direction must have shape \(12,\); got \(11,\)"):
        normalized(direction[1:], theta[1:], space)
    theta[7] = math.nan
    with pytest.raises(NotFinite, match=r"(?s)theta must be finite; coordinate 7 is nan.*'0.bias'"):
        normalized(direction, theta, space)
    direction[8] = math.inf
    with pytest.raises(NotFinite, match=r"(?s)direction must be finite; .*'1.weight'"):
        normalized(direction, theta, space)


@pytest.mark.parametrize("normalize", ["filter", "layer"])
def test_a_direction_in_which_nothing_moves_is_refused(normalize):
    space, theta, direction = vectors(nn.BatchNorm1d(3))
    with pytest.raises(InvalidArgument, match=r"(?s)direction is zero.*biases and norm.*\"model\""):
        normalized(direction, theta, space, normalize)
    assert normalized(direction, theta, space, "model").any()


@pytest.mark.parametrize("normalize", ["filter", "layer", "model"])
def test_a_theta_of_zeros_is_refused_as_a_measure_of_length(normalize):
    space, theta, direction = vectors(nn.Linear(3, 2))
    with pytest.raises(InvalidArgument, match=r"(?s)direction is zero.*norm zero"):
        normalized(direction, 0 * theta, space, normalize)
