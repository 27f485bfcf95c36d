"""The layout of parameters: coordinates, names, filters, and what cannot be a coordinate.

Oracles: for filters, the layer itself (numbers of one filter reach one output channel and no
other); for layouts, the model's own parameters.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from theodolite.parameters import ParameterSpace


class Tied(nn.Module):
    def __init__(self, *, swapped: bool = False) -> None:
        super().__init__()
        for name in ("zoom", "embed") if swapped else ("embed", "zoom"):
            setattr(self, name, nn.Embedding(5, 3))
        self.zoom.weight = self.embed.weight


class Holder(nn.Module):
    """Parameters of any shape under chosen names."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.randn(shape)))


class CosineNormLinear(Holder):
    """A weight matrix in a module whose name only sounds like a normalization."""


class T5LayerNorm(Holder):
    """A normalization written by hand."""


class Conv1D(nn.Module):
    """The transposed linear layer of Hugging Face's GPT-2: weight has shape (in, out)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.nf = outputs
        self.weight = nn.Parameter(torch.randn(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def kinds(model: nn.Module) -> dict[str, str]:
    return {e.name: e.kind for e in ParameterSpace.from_model(model).entries}


def test_views_lie_in_the_vector_itself_and_flatten_inverts_them():
    # kills: copies instead of views, entries out of order
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    space = ParameterSpace.from_model(model)
    theta = space.flatten(model.state_dict())
    assert space.size == sum(p.numel() for p in model.parameters()) == len(theta)
    for name, view in space.views(theta).items():
        assert torch.equal(view, model.state_dict()[name])
        assert view.data_ptr() == theta.data_ptr() + 4 * space.entry(name).offset
    assert torch.equal(space.flatten(space.views(theta)), theta)
    assert theta.data_ptr() not in {p.data_ptr() for p in model.parameters()}


def test_views_of_a_strided_vector_hold_its_values():
    space = ParameterSpace.from_model(nn.Linear(3, 2))
    wide = torch.arange(16.0)
    assert torch.equal(space.views(wide[::2])["weight"], torch.arange(0.0, 12.0, 2).view(2, 3))


def test_memory_order_does_not_change_the_vector():
    # kills: flattening by storage instead of by index
    model = nn.Conv2d(3, 4, 2)
    theta = ParameterSpace.from_model(model).flatten(model.state_dict())
    laid = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert laid.weight.stride() != model.weight.stride()
    assert torch.equal(ParameterSpace.from_model(laid).flatten(laid.state_dict()), theta)


def test_tied_parameters_are_one_entry_under_all_their_names():
    # kills: a tied tensor counted twice
    space = ParameterSpace.from_model(Tied())
    assert space.size == 15
    assert space.entry("zoom.weight") is space.entry("embed.weight")
    assert space.names == ("embed.weight",)


@pytest.mark.parametrize("kept", ["embed.weight", "zoom.weight"])
def test_a_file_may_hold_a_tied_tensor_under_any_of_its_names(kept):
    # kills: looking for the first name only (formats that drop duplicates keep either)
    space, weight = ParameterSpace.from_model(Tied()), torch.randn(5, 3)
    assert torch.equal(space.flatten({kept: weight}), weight.reshape(-1))


def test_a_module_used_twice_is_one_layer():
    inner = nn.Linear(3, 3)
    space = ParameterSpace.from_model(nn.Sequential(inner, nn.ReLU(), inner))
    assert space.names == ("0.weight", "0.bias")
    assert list(space.layers()) == ["0"]


def test_frozen_parameters_and_buffers_have_no_coordinates():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model[0].weight.requires_grad_(False)
    space = ParameterSpace.from_model(model)
    assert space.names == ("0.bias", "1.weight", "1.bias")
    assert space.frozen_names(model) == ("0.weight",)


LAYERS = {
    "linear": (nn.Linear(4, 3, bias=False), (2, 4), 1),
    "conv1d": (nn.Conv1d(2, 3, 3, bias=False), (2, 2, 5), 1),
    "conv2d": (nn.Conv2d(2, 3, 3, bias=False), (2, 2, 5, 5), 1),
    "conv3d": (nn.Conv3d(2, 3, 2, bias=False), (2, 2, 3, 3, 3), 1),
    "conv2d in groups": (nn.Conv2d(4, 6, 3, groups=2, bias=False), (2, 4, 5, 5), 1),
    "transposed 1d": (nn.ConvTranspose1d(3, 4, 3, bias=False), (2, 3, 5), 1),
    "transposed 2d": (nn.ConvTranspose2d(3, 4, 3, bias=False), (2, 3, 5, 5), 1),
    "transposed 2d in groups": (
        nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False),
        (2, 4, 5, 5),
        1,
    ),
    "transposed 3d in groups": (
        nn.ConvTranspose3d(2, 4, 2, groups=2, bias=False),
        (2, 2, 3, 3, 3),
        1,
    ),
    "transposed linear": (Conv1D(4, 3), (2, 4), 1),
    "pruned linear": (prune.identity(nn.Linear(4, 3, bias=False), "weight"), (2, 4), 1),
    "weight norm": (parametrizations.weight_norm(nn.Linear(4, 3, bias=False)), (2, 4), 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_one_filter_makes_one_output_channel(name):
    # kills: dimension 0 for transposed convolutions, groups ignored, rows for columns
    layer, shape, channel = LAYERS[name]
    entry = next(
        e for e in ParameterSpace.from_model(layer).entries if e.reduce_dims and len(e.shape) > 1
    )
    kept = [d for d in range(len(entry.view_shape)) if d not in entry.reduce_dims]
    filters = torch.Size([entry.view_shape[d] for d in kept])
    x, reached = torch.randn(shape), []
    before = layer(x)
    tensor = dict(layer.named_parameters())[entry.name]
    for k in range(filters.numel()):
        mark = torch.zeros(filters).view(-1)
        mark[k] = 1
        sizes = [n if d in kept else 1 for d, n in enumerate(entry.view_shape)]
        moved = mark.view(sizes).expand(entry.view_shape) * torch.randn(entry.view_shape)
        state = {**dict(layer.named_buffers()), entry.name: tensor + moved.reshape(entry.shape)}
        after = torch.func.functional_call(layer, state, (x,))
        others = [d for d in range(before.dim()) if d != channel]
        hit = ((after - before).abs().amax(others) > 1e-6).nonzero().flatten().tolist()
        assert len(hit) == 1, f"filter {k} reaches channels {hit}"
        reached += hit
    assert sorted(reached) == list(range(before.shape[channel]))


FILTERS = {
    "embedding": (nn.Embedding(5, 3), "weight", "embedding", (5, 3), (1,)),
    "fused attention": (nn.MultiheadAttention(4, 2), "in_proj_weight", "attention", (12, 4), (1,)),
    "separate attention": (
        nn.MultiheadAttention(4, 2, kdim=3, vdim=3),
        "k_proj_weight",
        "attention",
        (4, 3),
        (1,),
    ),
    "recurrent": (nn.LSTM(3, 2), "weight_hh_l0", "recurrent", (8, 2), (1,)),
    "cell": (nn.GRUCell(3, 2), "weight_ih", "recurrent", (6, 3), (1,)),
    "bilinear": (nn.Bilinear(2, 3, 4), "weight", "linear", (4, 2, 3), (1, 2)),
    "class token": (Holder(token=(1, 1, 6)), "token", "other", (6,), (0,)),
    "positions": (Holder(position=(1, 7, 6)), "position", "other", (7, 6), (1,)),
    "matrix": (Holder(w=(3, 4)), "w", "other", (3, 4), (1,)),
    "scalar": (Holder(temperature=()), "temperature", "other", (), ()),
    "one number": (Holder(w=(1,)), "w", "other", (1,), (0,)),
    "empty": (Holder(w=(0, 3), v=(2,)), "w", "other", (0, 3), (1,)),
    "slopes": (nn.PReLU(4), "weight", "other", (4,), (0,)),
    "column of scales": (Holder(scale=(6, 1, 1)), "scale", "other", (6,), (0,)),
    "matrix in a module named Norm": (CosineNormLinear(w=(3, 4)), "w", "other", (3, 4), (1,)),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters_of_layers_without_output_channels(name):
    model, parameter, kind, view, dims = FILTERS[name]
    entry = ParameterSpace.from_model(model).entry(parameter)
    assert (entry.kind, entry.view_shape, entry.reduce_dims) == (kind, view, dims)


STILL = {
    "batch norm": (nn.BatchNorm2d(3), {"weight": "norm", "bias": "norm"}),
    "layer norm of an image": (nn.LayerNorm((2, 3)), {"weight": "norm", "bias": "norm"}),
    "group norm": (nn.GroupNorm(2, 4), {"weight": "norm", "bias": "norm"}),
    "root mean square": (nn.RMSNorm(4), {"weight": "norm"}),
    "by hand": (T5LayerNorm(weight=(4,)), {"weight": "norm"}),
    "by hand, for images": (T5LayerNorm(weight=(4, 1, 1)), {"weight": "norm"}),
    "layer scale": (Holder(layer_scale=(4, 1, 1)), {"layer_scale": "norm"}),
    "attention": (nn.MultiheadAttention(4, 2), {"in_proj_bias": "bias", "out_proj.bias": "bias"}),
    "recurrent": (nn.LSTM(2, 2), {"bias_ih_l0": "bias", "bias_hh_l0": "bias"}),
    "pruned": (prune.identity(nn.Linear(2, 2), "bias"), {"bias_orig": "bias"}),
    "pruned attention": (
        prune.identity(nn.MultiheadAttention(4, 2), "in_proj_bias"),
        {"in_proj_bias_orig": "bias"},
    ),
}


@pytest.mark.parametrize("name", STILL)
def test_biases_and_normalization_layers_have_no_filters(name):
    model, expected = STILL[name]
    space = ParameterSpace.from_model(model)
    assert {n: space.entry(n).kind for n in expected} == expected
    assert all(space.entry(n).reduce_dims is None for n in expected)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_lengths_of_weight_norm_are_scales_in_both_forms():
    new = kinds(parametrizations.weight_norm(nn.Conv2d(2, 3, 3)))
    assert new["parametrizations.weight.original0"] == "norm"
    assert new["parametrizations.weight.original1"] == "conv"
    old = kinds(nn.utils.weight_norm(nn.Linear(2, 3)))
    assert (old["weight_g"], old["weight_v"]) == ("norm", "linear")


class Product(nn.Module):
    """A low-rank parametrization: two originals, neither of them a length."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight[:, :1].clone(), weight[:1].clone()


def test_a_parametrized_tensor_belongs_to_the_layer_it_is_made_for():
    # kills: `original0` of any parametrization taken for a length; a bias taken for a weight
    model = nn.Sequential(nn.Linear(4, 3))
    parametrize.register_parametrization(model[0], "weight", Product(), unsafe=True)
    parametrize.register_parametrization(model[0], "bias", nn.Identity())
    space = ParameterSpace.from_model(model)
    assert set(space.layers()) == {"0"}
    prefix = "0.parametrizations"
    assert kinds(model) == {
        f"{prefix}.weight.original0": "linear",
        f"{prefix}.weight.original1": "linear",
        f"{prefix}.bias.original": "bias",
    }


def test_pruned_coordinates_are_those_a_mask_holds_at_zero():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    prune.custom_from_mask(model[0], "weight", torch.tensor([[1, 0, 1], [0, 1, 1]]))
    space = ParameterSpace.from_model(model)
    views = space.views(space.pruned.float())
    assert views["0.weight_orig"].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert space.pruned.sum() == 2
    assert ParameterSpace.from_model(nn.Linear(2, 2)).pruned is None


@pytest.mark.parametrize(
    ("dtype", "master"),
    [
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_points_are_never_kept_in_half_precision(dtype, master):
    model = nn.Linear(2, 2).to(dtype)
    space = ParameterSpace.from_model(model)
    assert space.dtype == space.flatten(model.state_dict()).dtype == master
