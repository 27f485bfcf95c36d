"""The measures of a survey against the functions they stand for, and against closed forms.

Oracle: ``plane``, ``line``, ``spectral_density``, ``eigenpairs`` and ``trace`` called directly;
linear regression, whose Hessian is known on paper.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.seeds import child_seed, torch_generator
from theodolite.surveys import load_run
from theodolite.surveys.measures import MEASURES
from theodolite.surveys.measures.hessians import VARYING
from theodolite.surveys.target import adjusted

SMALL = {
    "planes": {"count": 2, "steps": [3, 4], "span": [[-1.0, 1.0], [0.0, 1.0]]},
    "lines": {"count": 2, "steps": 21},
    "spectrum": {"steps": 5, "probes": 2},
    "eigenvalues": {"count": 2},
    "trace": {"max_products": 32},
}
CURVATURE = ("spectrum", "eigenvalues", "trace")


@pytest.fixture(scope="module")
def target() -> td.Target:
    """A small network on random data, with a test set."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))
    x, y = torch.randn(24, 5), torch.randint(3, (24,))
    loss = torch.nn.CrossEntropyLoss()
    train, test = (x[:16], y[:16]), (x[16:], y[16:])
    return td.Target(td.Objective(model, loss, train), test=td.Objective(model, loss, test))


@pytest.fixture(scope="module")
def tree(target: td.Target) -> xr.DataTree:
    names = ("planes", "lines", *CURVATURE)
    return td.survey(target, measures=names, settings=SMALL, seed=3)


def test_the_tree_has_a_child_for_every_result(tree):
    groups = ["plane_0", "plane_1", "line_0", "line_1", *CURVATURE]
    assert list(tree.children) == ["start", *groups]
    assert (tree.attrs["params"], tree.attrs["examples"], tree.attrs["seed"]) == (39, 16, 3)


@pytest.mark.parametrize("k", [0, 1])
def test_a_plane_computed_row_by_row_is_the_plane(tree, target, k):
    # kills: transposed rows, another direction for another row, span and steps of the other axis
    made = tree[f"plane_{k}"].to_dataset()
    own = child_seed(3, "plane", k)
    directions = td.random_directions(target.objective, seed=own)
    whole = td.plane(
        target.objective, directions, span=((-1, 1), (0, 1)), steps=(3, 4), test=target.test
    )
    for name in whole.variables:
        np.testing.assert_array_equal(made[name].values, whole[name].values, strict=True)
    assert (made.attrs["plane"], made.attrs["seed"], made.attrs["direction_seed"]) == (k, 3, own)
    assert made.attrs["normalize"] == "filter"
    assert made.attrs["axis_cosine"] == whole.attrs["axis_cosine"]


def test_lines_are_random_lines_and_differ(tree, target):
    direction = td.random_directions(target.objective, count=1, seed=child_seed(3, "line", 1))[0]
    whole = td.line(target.objective, direction, steps=21, test=target.test)
    for name in whole.variables:
        np.testing.assert_array_equal(tree["line_1"][name].values, whole[name].values)
    assert not np.array_equal(tree["line_0"]["loss"].values, tree["line_1"]["loss"].values)


def test_curvature_agrees_with_the_functions_called_alone(tree, target):
    # kills: a probe's number used as seed, probes laid along the wrong dimension
    hessian = td.hessian(target.objective)
    density = td.spectral_density(hessian, steps=5, probes=2, seed=3)
    made = tree["spectrum"].to_dataset()
    np.testing.assert_allclose(made["node"].values, density["node"].values, atol=1e-5)
    np.testing.assert_allclose(made["weight"].values, density["weight"].values, atol=1e-5)
    assert made.attrs["products"] == density.attrs["products"] == 10
    pairs = td.eigenpairs(hessian, count=2, which="both", tolerance=1e-2, seed=3)
    ends = tree["eigenvalues"]["eigenvalue"].values
    np.testing.assert_allclose(ends, pairs["eigenvalue"].values, atol=1e-2)
    estimate = td.trace(hessian, tolerance=0.05, max_products=32, seed=3)
    np.testing.assert_allclose(tree["trace"]["trace"], estimate["trace"], rtol=1e-5)


def test_two_surveys_of_one_target_are_the_same_bytes(target, tmp_path):
    # kills: an engine chosen by the clock, times or counts among the attributes
    def files(folder: Path) -> dict[str, bytes]:
        root = folder / "results.zarr"
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    for name in ("a", "b"):
        td.survey(target, measures=("lines", *CURVATURE), settings=SMALL, out=tmp_path / name)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_in_memory_and_from_a_folder_is_the_same_tree(target, tree, tmp_path):
    names = ("planes", "lines", *CURVATURE)
    td.survey(target, measures=names, settings=SMALL, seed=3, out=tmp_path / "run")
    kept = load_run(tmp_path / "run")
    for name, child in tree.children.items():
        xr.testing.assert_identical(kept[name].to_dataset(), child.to_dataset())
    assert kept.attrs["headline"] == tree.attrs["headline"]
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["headline"] == json.loads(tree.attrs["headline"])


def test_linear_regression_has_its_closed_form():
    # kills: the trace of another matrix, ends of the spectrum swapped, loss not the mean
    torch.manual_seed(1)
    x, y = torch.randn(12, 4, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    model = torch.nn.Linear(4, 1, bias=False, dtype=torch.float64)
    objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    tree = td.survey(objective, measures=CURVATURE, settings={"trace": {"tolerance": 0.01}})
    exact = torch.linalg.eigvalsh(2 * x.T @ x / 12)
    found = {n["name"]: n for n in json.loads(tree.attrs["headline"])}
    assert found["largest_eigenvalue"]["value"] == pytest.approx(float(exact[-1]), rel=1e-2)
    assert found["smallest_eigenvalue"]["value"] == pytest.approx(float(exact[0]), rel=2e-2)
    trace = found["trace"]
    assert abs(trace["value"] - float(exact.sum())) <= 4 * trace["error"] + 1e-9
    residual = x @ model.weight.detach().T - y
    assert found["loss"]["value"] == pytest.approx(float((residual**2).mean()), rel=1e-12)
    assert found["negative_weight"]["value"] == 0.0


def test_numbers_outside_what_a_setting_allows_are_refused_before_any_work(target):
    wrong = {
        "planes": {"count": 0, "steps": [2, True], "span": [[1, -1], [0, 1]], "normalize": "no"},
        "lines": {"count": 1.5, "steps": 0, "normalize": None},
        "spectrum": {"steps": 0, "probes": "2"},
        "eigenvalues": {"count": -1, "tolerance": 0},
        "trace": {"tolerance": 1.0, "max_products": 8},
    }
    for measure, changes in wrong.items():
        for name, value in changes.items():
            with pytest.raises(InvalidArgument, match="must"):
                td.survey(target, measures=[measure], settings={measure: {name: value}})


def test_unknown_names_are_refused_with_the_nearest(target):
    for how, near in (
        ({"measures": ["plane"]}, "did you mean 'planes'"),
        ({"measures": []}, "at least one measure"),
        ({"preset": "slow"}, "quick, standard, thorough"),
        ({"settings": {"planes": {"step": 3}}}, "did you mean 'steps'"),
        ({"settings": {"plane": {}}}, "did you mean 'planes'"),
        ({"limit": 0}, "limit must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ):
        with pytest.raises(InvalidArgument, match=near):
            td.survey(target, **how)


def test_presets_cost_more_and_have_the_same_settings(target, tmp_path):
    files = [str(tmp_path / name) for name in ("a.pt", "b.pt")]
    for name in files:
        torch.save(target.objective.model.state_dict(), name)
    target = replace(target, checkpoints=tuple(f"epoch_{k}.pt" for k in range(300)))
    for measure in MEASURES.values():
        presets = [dict(measure.presets[p]) for p in ("quick", "standard", "thorough")]
        assert len({frozenset(p) for p in presets}) == 1
        presets = [p | ({"files": files} if "files" in p else {}) for p in presets]
        costs = [sum(g.units * g.passes for g in measure.groups(target, p, 0)) for p in presets]
        assert costs == sorted(costs)
        assert costs[0] < costs[2] or not presets[0]


def test_a_limit_is_one_fixed_sample_without_replacement(target):
    # kills: the first examples (sorted data would lose classes), another sample for each call
    small = adjusted(target, limit=5)
    again = adjusted(target, limit=5)
    assert small.objective.fingerprint == again.objective.fingerprint
    assert (small.objective.examples, small.test.examples) == (5, 5)
    assert small.examples_available == 16
    every = target.objective.losses()
    chosen = small.objective.losses()
    where = [int((every - c).abs().argmin()) for c in chosen]
    assert sorted(set(where)) == where
    assert where != [0, 1, 2, 3, 4]
    assert adjusted(target, limit=100).objective is target.objective


def test_a_sample_fills_batches_of_the_size_of_the_largest():
    # kills: one small batch for each of the data's, examples in another order, batches of other
    # shapes put together, batches of a loss over the whole batch put together
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool1d(3), torch.nn.Flatten())
    model.append(torch.nn.Linear(3, 2))
    data = [(torch.randn(4, 1, w), torch.randn(4, 2)) for w in (5, 5, 5, 5, 5, 7, 7)]
    whole = td.Objective(model, torch.nn.MSELoss(reduction="none"), data)
    small = adjusted(td.Target(whole), limit=14).objective
    shapes = [tuple(b.raw[0].shape[1:]) for b in small.data]
    assert shapes == sorted(shapes)
    assert set(shapes) == {(1, 5), (1, 7)}
    assert max(b.examples for b in small.data) == 4
    assert small.data.batches < 7
    losses = whole.losses().tolist()
    where = [losses.index(loss) for loss in small.losses().tolist()]
    assert len(set(where)) == 14
    assert where == sorted(where)

    def mean(model, batch):
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    own = adjusted(td.Target(td.Objective.from_batch_loss(model, mean, data)), limit=14).objective
    assert own.data.batches == sum(k > 0 for k in _left(28, 14, 4))


def _left(examples: int, limit: int, size: int) -> list[int]:
    """How many examples of each batch are in the sample."""
    order = torch.randperm(examples, generator=torch_generator(0, "limit", examples))
    return torch.bincount(order[:limit] // size, minlength=examples // size).tolist()


def test_a_checkpoint_moves_the_start_and_the_statistics(tmp_path):
    # kills: weights loaded after the start was read; BatchNorm statistics of the old weights
    def network(seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        model(torch.randn(8, 3))
        return model.eval()

    data = torch.randn(8, 3), torch.randint(4, (8,))
    trained = network(1)
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    target = td.Target(td.Objective(network(2), torch.nn.CrossEntropyLoss(), data))
    moved = adjusted(target, checkpoint=tmp_path / "weights.pt")
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(trained(data[0]), data[1]).item()
    assert float(moved.objective.value()) == pytest.approx(expected, rel=1e-6)


def test_progress_is_units_done_and_in_all(target):
    seen: list[tuple[int, int]] = []
    td.survey(
        target,
        measures=["planes"],
        settings=SMALL,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0] == (0, 7)
    assert seen[-1] == (7, 7)
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)


def test_no_clock_decides_how_products_are_made(target, monkeypatch):
    # kills: hessian(engine="auto"), whose engine and last digits depend on the moment
    def clock(*args: object) -> str:
        raise AssertionError("the clock was asked")

    monkeypatch.setattr("theodolite.operators.preparation.fastest", clock)
    monkeypatch.setattr("theodolite.operators.products.together", clock)
    tree = td.survey(target, measures=CURVATURE, settings=SMALL)
    for name in CURVATURE:
        attrs = tree[name].attrs
        assert attrs["engine"] == "kept"
        assert not (set(VARYING) - {"products"}) & set(attrs)


def test_a_missing_second_derivative_is_replaced_with_a_warning():
    # kills: a survey whose curvature fails where differences of gradients would do
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Hardsigmoid(), torch.nn.Linear(4, 1)
    )
    x, y = torch.randn(16, 3), torch.randn(16, 1)
    objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    with pytest.warns(TheodoliteWarning, match="differences of gradients"):
        tree = td.survey(objective, measures=["eigenvalues"])
    attrs = tree["eigenvalues"].attrs
    assert attrs["engine"] == "differences"
    assert "hardsigmoid" in attrs["switched_because"]
    with pytest.warns(TheodoliteWarning):
        exact = td.eigenpairs(td.hessian(objective), count=2, which="both", tolerance=1e-2)
    ends = tree["eigenvalues"]["eigenvalue"].values
    np.testing.assert_allclose(ends, exact["eigenvalue"].values, rtol=1e-2)
