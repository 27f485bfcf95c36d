"""Averages of weights. Oracle: closed forms of one weight, and networks that are the same."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from averaging.nets import bowl, fitted, shifted
from connectivity.paths import at, classes, curve, double_well
from theodolite.errors import InvalidArgument, InvalidData, InvalidType


def test_a_bowl_has_its_closed_form_with_weights():
    # kills: equal weights instead of those given, a change from the plain mean, a shifted row
    objective, test = bowl(), bowl(2.0)
    found = td.average(
        objective, [at(w) for w in (-1.0, 3.0, 5.0)], weights=[2, 1, 1], test=test, names="abc"
    )
    middle = (2 * -1 + 3 + 5) / 4
    assert found.parameters.item() == middle
    assert list(found.network.values) == ["a", "b", "c", "average", "ensemble"]
    losses = np.array([1.0, 9.0, 25.0, middle**2, middle**2])
    mean = (2 * 1 + 9 + 25) / 4
    assert np.allclose(found.loss, losses, rtol=0, atol=1e-14)
    assert np.allclose(found.loss_change, losses - mean, rtol=0, atol=1e-14)
    assert np.allclose(found.loss_change_best, losses - 1.0, rtol=0, atol=1e-14)
    assert np.allclose(found.test_loss, 4 * losses, rtol=0, atol=1e-13)
    assert np.all(found.barrier == 0.0)
    assert found.attrs["weights"] == [0.5, 0.25, 0.25]
    assert "error" not in found


def test_two_sides_of_a_double_well_are_refused_with_the_way_out():
    # kills: a refusal that names another pair or height; a limit of another scale
    well = double_well()
    with pytest.raises(InvalidArgument) as refused:
        td.average(well, [at(-1.0), at(-0.9), at(1.0)], names=["left", "near", "right"])
    said = str(refused.value)
    assert "2 of 3 pairs lie in different basins: left and right (barrier 1, 1 to 1)" in said
    assert "near and right" in said
    assert "near (barrier" not in said.replace("near and right (barrier", "")
    assert "half way between left and right the loss is 1, at the worse of them 0" in said
    assert 'align="weights"' in said
    assert "td.ensemble" in said
    assert "E-A85" in said
    middle = td.average(well, [at(-1.0), at(1.0)], threshold=1.0)
    assert float(middle.loss.sel(network="average")) == 1.0
    with pytest.raises(InvalidArgument, match=r"The most allowed is 0.999 \(given\)"):
        td.average(well, [at(-1.0), at(1.0)], threshold=0.999)


def test_the_usual_limit_is_a_share_of_what_was_learned():
    # kills: a limit in absolute units, or relative to the members' own loss
    scale = torch.full((4,), 1e-6, dtype=torch.float64)
    with pytest.raises(InvalidArgument, match="1 of 1 pairs"):
        td.average(double_well(scale), [at(-1.0), at(1.0)])
    found = td.average(double_well(), [at(0.8), at(1.1)])
    learned = 1.0 - max((w**2 - 1) ** 2 for w in (0.8, 1.1))
    assert found.attrs["threshold"] == pytest.approx(0.02 * learned, rel=1e-12)
    assert "what training gained" in found.attrs["threshold_source"]
    flat = td.average(bowl(), [at(1.0), at(3.0)])
    assert flat.attrs["threshold"] == pytest.approx(0.02 * 9.0)
    assert "worse end" in flat.attrs["threshold_source"]


def test_a_loss_that_is_not_finite_on_the_way_parts_the_points():
    # kills: NaN compared with the limit the wrong way round
    objective = curve(lambda w, s: s * w**2 / ((w - 0.5).abs() > 0.1))
    with pytest.raises(InvalidArgument, match=r"0 and 1 .the loss between them is not finite"):
        td.average(objective, [at(-1.0), at(1.0)], threshold=1e9)


def test_the_mean_is_taken_in_float64():
    # kills: sums in the points' precision
    model = nn.Linear(1, 1, bias=False)
    one = torch.ones(2, 1)
    objective = td.Objective(model, nn.MSELoss(), (one, one))
    values = [1.0, 2.0**-24, 2.0**-24]
    found = td.average(objective, [torch.tensor([v]) for v in values], threshold=9.0)
    exact = np.float32(sum(values) / 3)
    assert found.parameters.values[0] == exact
    assert found.parameters.dtype == np.float32


@pytest.fixture(scope="module")
def planted() -> tuple[td.Objective, dict[str, torch.Tensor], dict[str, torch.Tensor], object]:
    data = classes(60)
    net = fitted(0, data)
    objective = td.Objective(net, nn.CrossEntropyLoss(), data)
    found = td.symmetries(net, data[0][:4])
    state = {k: v.clone() for k, v in net.state_dict().items()}
    return objective, state, found.apply(state, found.random(1)), found


def test_a_permuted_copy_is_refused_and_aligned_it_is_the_network(planted):
    # kills: alignment that is not applied, or applied to the first; barriers not measured again
    objective, state, other, _ = planted
    with pytest.raises(InvalidArgument, match="1 of 1 pairs lie in different basins"):
        td.average(objective, [state, other], steps=5, refine=0)
    found = td.average(objective, [state, other], align="weights", steps=5, refine=0)
    made = td.averaged_state(found)
    assert max(float((made[k] - v).abs().max()) for k, v in state.items()) < 1e-14
    assert float(found.barrier[0, 1]) > 2 * found.attrs["threshold"]
    assert float(found.aligned_barrier[0, 1]) < 1e-12
    assert float(found.aligned_distance[0, 1]) < 1e-12 < float(found.distance[0, 1])
    assert np.ptp(found.loss.values) < 1e-12
    assert found.attrs["align"] == "weights"


def test_permutations_and_matchings_that_are_at_hand_are_used(planted):
    objective, state, other, symmetries = planted
    matching = td.weight_matching(symmetries, state, other)
    theta = [objective.space.flatten(s) for s in (state, other)]
    for given in (matching, [matching], [matching.permutations]):
        found = td.average(objective, theta, align=given, steps=3, refine=0)
        assert np.allclose(found.parameters, theta[0], rtol=0, atol=1e-14)
        assert found.attrs["align"] == "given"
    worse = symmetries.identity()
    with pytest.raises(InvalidArgument, match="still, with their units aligned"):
        td.average(objective, theta, align=[worse], steps=3, refine=0)
    for wrong, words in (
        ([matching] * 2, "each of the 1 points after the first; got 2"),
        ({1, 2}, "got set"),
        ("weight", "one of weights, activations, straight-through"),
    ):
        with pytest.raises(InvalidArgument, match=words):
            td.average(objective, theta, align=wrong, steps=3, refine=0)


def test_linear_networks_average_as_they_ensemble():
    # kills: an ensemble of the average's answers, or of its own
    torch.manual_seed(0)
    x, y = torch.randn(20, 3).double(), torch.randn(20, 2).double()
    nets = [nn.Linear(3, 2).double() for _ in range(3)]
    objective = td.Objective(nets[0], nn.MSELoss(), (x, y))
    found = td.average(objective, [n.state_dict() for n in nets], steps=3, refine=0)
    whole, one = (float(found.loss.sel(network=n)) for n in ("ensemble", "average"))
    outputs = (sum(n(x) for n in nets) / 3).detach()
    assert whole == pytest.approx(one, abs=1e-14)
    assert whole == pytest.approx(nn.functional.mse_loss(outputs, y).item(), abs=1e-14)
    assert found.attrs["combined"] == "the mean of their outputs"


def test_errors_and_disagreement_are_shares_of_examples():
    # kills: hits for errors, disagreement over all networks instead of the members
    data, test = classes(50), classes(31, 5)
    nets = [fitted(k, data, 3 + k) for k in range(3)]
    objective, other = (td.Objective(nets[0], nn.CrossEntropyLoss(), d) for d in (data, test))
    found = td.average(
        objective, [n.state_dict() for n in nets], test=other, threshold=99.0, steps=3, refine=0
    )
    for prefix, (x, y) in (("", data), ("test_", test)):
        answers = [n(x).argmax(1) for n in nets]
        wrong = [float((a != y).double().mean()) for a in answers]
        assert found[f"{prefix}error"].values[:3] == pytest.approx(wrong)
        pairs = [(0, 1), (0, 2), (1, 2)]
        differ = np.mean([float((answers[i] != answers[j]).double().mean()) for i, j in pairs])
        assert float(found[f"{prefix}disagreement"]) == pytest.approx(differ)
        normal = float(found[f"{prefix}normalized_disagreement"])
        assert normal == pytest.approx(differ / np.mean(wrong))


def test_nothing_of_the_callers_is_changed_also_by_a_refusal(planted):
    objective, state, other, _ = planted
    held = [state, other]
    before = copy.deepcopy((held, objective.model.state_dict()))
    objective.model.train()
    for p in objective.model.parameters():
        p.grad = torch.ones_like(p)
    drawn = torch.get_rng_state()
    with pytest.raises(InvalidArgument):
        td.average(objective, held, steps=3, refine=0)
    td.average(objective, held, align="weights", steps=3, refine=0)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert objective.model.training
    assert all(bool((p.grad == 1).all()) for p in objective.model.parameters())
    for old, new in zip(
        before[0] + [before[1]], [*held, objective.model.state_dict()], strict=True
    ):
        assert all(torch.equal(old[k], new[k]) for k in old)
    objective.model.eval().zero_grad()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"weights": [1.0]}, "weights must be 2 finite numbers"),
        ({"weights": [-1, 2]}, "0 or more"),
        ({"weights": [0, 0]}, "not all 0"),
        ({"threshold": -1.0}, "threshold must be a number"),
        ({"names": ["a"]}, "2 different names"),
        ({"names": ["average", "b"]}, "none of them 'average'"),
        ({"level": 2.0}, "level"),
        ({"resamples": 0}, "resamples"),
        ({"steps": 2}, "steps"),
    ],
)
def test_settings_are_refused_by_name(how, words):
    with pytest.raises(InvalidArgument, match=words):
        td.average(bowl(), [at(1.0), at(2.0)], **how)


def test_points_and_objectives_that_do_not_fit_are_refused():
    with pytest.raises(InvalidArgument, match="2 or more points; got 1"):
        td.average(bowl(), [at(1.0)])
    with pytest.raises(InvalidType, match="list of points"):
        td.average(bowl(), at(1.0))
    x, y = classes()
    trained = td.Objective(shifted(), nn.CrossEntropyLoss(), (x, y), mode="train")
    with pytest.raises(InvalidArgument, match="evaluation mode"):
        td.average(trained, [trained.start, trained.start])
    net = shifted()
    net.last.requires_grad_(False)
    objective = td.Objective(net, nn.CrossEntropyLoss(), (x, y))
    other = shifted(1).state_dict()
    with pytest.raises(InvalidArgument, match=r"last.weight of thetas.1. differs"):
        td.average(objective, [net.state_dict(), other])
    objective = td.Objective(shifted(), nn.CrossEntropyLoss(), (x, y))
    wide = {**shifted(1).state_dict(), "shift": torch.zeros(4)}
    with pytest.raises(InvalidData, match=r"shift of thetas\[1\] has shape \(4,\)"):
        td.average(objective, [shifted().state_dict(), wide])
    with pytest.raises(InvalidArgument, match="holds no network"):
        td.averaged_state(td.barrier(bowl(), at(0.0), at(1.0), steps=3))


def test_units_of_the_average_are_repaired_where_it_is_asked_for(planted):
    """Kills: the ends' own order of units taken, the limit on the barrier in place of the average,
    a repair that is told and not made."""
    objective, state, other, _ = planted
    found = td.average(objective, [state, other], align="weights", repair=True)
    losses = found.loss.sel(network=["0", "average"]).values
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)  # the statistics are the ends' own
    assert found.attrs["repaired"] == "true"
    plain = td.average(objective, [state, other], threshold=10.0)
    fixed = td.average(objective, [state, other], repair=True, threshold=10.0)
    a, b, c = (td.averaged_state(r) for r in (plain, fixed, found))
    spread = [objective_spread(objective, s) for s in (a, b, c)]
    assert spread[0] < 0.9 * spread[2]  # averaged units cancel each other
    assert spread[1] == pytest.approx(spread[2], rel=0.05)  # of mean deviations, not variances
    with pytest.raises(InvalidArgument, match=r"repaired average has a loss .*most allowed is 0 "):
        td.average(objective, [state, other], repair=True, threshold=0.0)
    with pytest.raises(InvalidArgument, match="repair is for the average of two points; got 3"):
        td.average(objective, [state, state, other], repair=True)


def objective_spread(objective: td.Objective, state: dict[str, torch.Tensor]) -> float:
    """The root mean variance of the first layer's units over the data."""
    x = torch.cat([b.inputs[0] for b in objective.data])
    return float((x @ state["0.weight"].T).var(0).mean().sqrt())


def test_three_are_matched_to_the_mean_of_the_others(planted):
    # kills: each matched to the first alone, the first moved
    objective, state, other, symmetries = planted
    third = symmetries.apply(state, symmetries.random(9))
    found = td.average(objective, [state, other, third], align="weights")
    assert float(found.aligned_distance.max()) < 1e-9
    made = td.averaged_state(found)
    assert all(torch.allclose(made[k], state[k], rtol=0, atol=1e-12) for k in state)
