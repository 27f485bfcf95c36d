"""What a monitor measures, logs and continues.

Oracles: the dense Hessian of a quadratic; an objective built anew at the same weights; sums by
hand; the same training without a break.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.monitoring import quadratics, trainings
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType, TheodoliteError
from theodolite.monitoring import Measure
from theodolite.results import FAILED, TODO
from theodolite.surveys import load_run
from theodolite.surveys.monitored import LOG


def descended(steps: int, **how: Any) -> tuple[td.Monitor, list[torch.Tensor]]:
    """Gradient descent on the bowl, and its path."""
    model = quadratics.Bowl()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    monitor = td.Monitor(quadratics.objective(model), budget=None, tolerance=1e-8, **how)
    x, y = quadratics.data()
    path = [torch.cat([*model.parameters()]).detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        quadratics.half_square(model(x), y).mean().backward()
        optimizer.step()
        path.append(torch.cat([*model.parameters()]).detach().clone())
        monitor.step(optimizer)
    return monitor, path


def test_everything_on_a_quadratic_is_exact() -> None:
    # Kills: an eigenvalue of another point or data; a distance from the last measurement; an angle
    # of parameters instead of updates; a batch's gradient with the whole's Hessian.
    monitor, path = descended(6, every=3, batch_size=30)
    history = monitor.history()
    assert history.attrs["failures"] == "{}"
    matrix = quadratics.dense()
    values = torch.linalg.eigvalsh(matrix).flip(0)
    assert np.allclose(history["eigenvalue"], values[:2].numpy(), rtol=1e-9)
    assert np.allclose(history["sharpness"], float(values[0]), rtol=1e-9)
    assert np.allclose(history["threshold"], 2 / 0.5)
    for time in (3, 6):
        now = history.sel(time=time)
        at, last, before = (path[time - k] for k in range(3))
        gradient = matrix @ at
        assert float(now["loss"]) == pytest.approx(float(at @ matrix @ at) / 2)
        assert float(now["gradient_norm"]) == pytest.approx(float(gradient.norm()))
        assert float(now["distance_from_start"]) == pytest.approx(float((at - path[0]).norm()))
        assert float(now["step_length"]) == pytest.approx(float((at - last).norm()))
        cosine = nn.functional.cosine_similarity(at - last, last - before, dim=0)
        assert float(now["step_angle"]) == pytest.approx(math.degrees(math.acos(cosine)), rel=1e-6)
        whole = float(gradient @ matrix @ gradient / (gradient @ gradient))
        assert float(now["batch_sharpness"]) == pytest.approx(whole)
        assert float(now["batch_sharpness_ratio"]) == pytest.approx(whole)


def test_batch_sharpness_is_the_mean_over_batches_and_the_ratio_of_means() -> None:
    # Kills: the two means exchanged; the full Hessian for a batch's; a sum over examples for the
    # mean. Batches of one example: H_i = x x', g_i = x (x't), so the curvature is |x|^2.
    monitor, path = descended(1, every=1, batch_size=1, batches=30, measures=["batch_sharpness"])
    x, _ = quadratics.data()
    squares = (x**2).sum(1)
    weights = squares * (x @ path[1]) ** 2  # |g_i|^2
    found = monitor.history().isel(time=0)
    assert float(found["batch_sharpness"]) == pytest.approx(float(squares.mean()))
    error = float(squares.std() / math.sqrt(30))
    assert float(found["batch_sharpness_error"]) == pytest.approx(error)
    ratio = float((weights * squares).sum() / weights.sum())
    assert float(found["batch_sharpness_ratio"]) == pytest.approx(ratio)


def test_the_present_statistics_of_batch_norm_are_used() -> None:
    # Kills: the running statistics and frozen weights the objective was built with.
    model = trainings.Net(0.0).train()
    model.body[4].bias.requires_grad_(False)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    monitor = trainings.monitored(model, every=1)
    x, y = trainings.data(64)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x + 2), y).backward()
        optimizer.step()
        with torch.no_grad():
            model.body[4].bias.add_(0.1)
        monitor.step(optimizer)
    anew = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    found = monitor.history().isel(time=-1)
    assert float(found["loss"]) == float(anew.value())
    assert float(found["accuracy"]) == anew.metrics()["accuracy"]
    assert float(found["gradient_norm"]) == pytest.approx(float(anew.gradient().norm()), rel=1e-6)
    pairs = td.eigenpairs(td.hessian(anew), count=1)
    assert float(found["eigenvalue"][0]) == pytest.approx(float(pairs.eigenvalue[0]), rel=1e-4)


def test_the_last_vectors_make_the_next_measurement_cheaper() -> None:
    # Kills: eigenvectors not kept between measurements, or those of another operator used.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.Linear(40, 3))
    monitor = trainings.monitored(model, measures=["eigenvalues", "threshold"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = [monitor.measure(optimizer) for _ in range(2)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[1]["products"] < found[0]["products"]
    assert found[1]["eigenvalue"] == pytest.approx(found[0]["eigenvalue"], rel=1e-4)


def resumed(stop: int | None, folder: Path) -> td.Monitor:
    """A training of 12 steps, broken off after `stop` (and some steps more) and taken up."""
    trainings.seeded()
    model = trainings.Net(0.0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    how = {"every": 3, "folder": folder, "batch_size": None}
    monitor, kept = trainings.monitored(model, **how), None
    x, y = trainings.data()

    def advance(first: int, last: int) -> None:
        for k in range(first, last):
            torch.manual_seed(k)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            monitor.step(optimizer)

    if stop is None:
        advance(0, 12)
        return monitor
    advance(0, stop)
    states = (model.state_dict(), optimizer.state_dict(), monitor.state_dict())
    torch.save(states, folder / "kept.pt")
    advance(stop, stop + 4)  # lost with the process
    kept = torch.load(folder / "kept.pt", weights_only=True)
    model = trainings.Net(0.0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.load_state_dict(kept[0])
    optimizer.load_state_dict(kept[1])
    monitor = trainings.monitored(model, **how)
    monitor.load_state_dict(kept[2])
    advance(stop, 12)
    return monitor


def test_taken_up_from_a_state_the_history_is_that_of_an_unbroken_training(tmp_path: Path) -> None:
    # Kills: rows measured twice; the start, the vectors or the count of steps lost.
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, broken = resumed(None, tmp_path / "a"), resumed(7, tmp_path / "b")
    times = ["training_seconds", "measuring_seconds"]
    mine, other = (m.history().drop_vars(times) for m in (broken, whole))
    assert mine["time"].values.tolist() == [3, 6, 9, 12]
    kept = ["loss", "distance_from_start", "sharpness", "gradient_norm", "status", "products"]
    for name in kept:
        assert np.array_equal(mine[name], other[name]), name
    on_disk = load_run(tmp_path / "b")["monitor"].to_dataset()
    assert np.array_equal(on_disk["sharpness"], mine["sharpness"])
    assert not list((tmp_path / "b").glob("monitor-*.jsonl"))


def test_the_folder_is_read_as_it_grows_and_a_torn_line_does_not_count(tmp_path: Path) -> None:
    # Kills: a log written at the end only; a training's log overwritten by the next one.
    monitor, _ = descended(4, every=2, folder=tmp_path)
    with (tmp_path / LOG).open("a") as file:
        file.write('{"event": "measured", "step": 6, "val')
    tree = load_run(tmp_path)
    assert tree["monitor"]["time"].values.tolist() == [2, 4]
    assert tree["monitor"]["loss"].values.tolist() == monitor.history()["loss"].values.tolist()
    numbers = {n["name"]: n["value"] for n in json.loads(tree.attrs["headline"])}
    assert numbers["relative_sharpness"] == pytest.approx(numbers["sharpness"] * 0.5 / 2)
    descended(2, every=2, folder=tmp_path)
    assert load_run(tmp_path)["monitor"]["time"].values.tolist() == [2]
    assert len((tmp_path / "monitor-1.jsonl").read_text().splitlines()) == 4


def test_a_measure_of_ones_own_and_shapes_that_changed() -> None:
    # Kills: a table of measures that nobody can add to; a point of another shape as an error.
    model = nn.Linear(2, 1, bias=False)
    objective = td.Objective(model, nn.MSELoss(), (torch.eye(2), torch.zeros(2, 1)))
    own = Measure("entries", {"entry": "first entry"}, lambda m: {"entry": float(m.theta[0])})
    monitor = td.Monitor(objective, measures=[own, "loss"])
    assert monitor.measure() == {"entry": float(model.weight.detach()[0, 0]), **objective.metrics()}
    model.weight = nn.Parameter(model.weight.detach() + 1)  # another object: found by its name
    found = monitor.measure()
    assert found is not None
    assert found["entry"] == float(model.weight.detach()[0, 0])
    model.weight = nn.Parameter(torch.zeros(1, 5))
    assert monitor.measure() == {}
    assert int(monitor.history()["status"].isel(time=-1)[0]) == FAILED
    assert "weight" in monitor.history().attrs["failures"]


def test_without_an_optimizer_there_is_no_threshold_and_all_the_rest() -> None:
    model = quadratics.Bowl()
    monitor = td.Monitor(quadratics.objective(model))
    found = monitor.measure()
    assert found is not None
    assert "eigenvalue" in found
    assert "sharpness" not in found
    assert "without the optimizer" in monitor.history().attrs["failures"]
    assert monitor.history()["status"].sel(measure="threshold").values.tolist() == [FAILED]
    assert TODO not in monitor.history()["status"]


def test_trackers_get_finite_numbers_and_one_that_fails_is_dropped() -> None:
    # Kills: NaN sent to a tracker; a tracker's error in the training's way.
    seen: list[tuple[dict[str, float], int]] = []

    def broken(values: object, step: int) -> None:
        raise ConnectionError("no network")

    model = quadratics.Bowl()
    monitor = td.Monitor(quadratics.objective(model), trackers=[broken], measures=["loss", "path"])
    monitor.add(lambda values, step: seen.append((dict(values), step)))
    with pytest.warns(td.errors.TheodoliteWarning, match="no network"):
        monitor.measure()
    monitor.measure()
    assert [step for _, step in seen] == [0, 0]
    assert seen[0][0] == {"distance_from_start": 0.0, **quadratics.objective(model).metrics()}


def test_a_line_a_measurement(capsys: pytest.CaptureFixture[str]) -> None:
    descended(2, every=1, show=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("step 1  loss ")
    assert "of 4)" in lines[0]
    assert "% of training" in lines[1]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"every": 0}, "E-M01"),
        ({"budget": 3}, "E-M02"),
        ({"measures": ["hessian"]}, "E-M05"),
        ({"measures": ["batch_sharpness"]}, "E-M05"),
        ({"measures": []}, "E-M05"),
        ({"eigenvalues": 6}, "E-M06"),
        ({"batch_size": 31}, "E-M06"),
        ({"tolerance": 0.0}, "E-M06"),
        ({"trackers": [3]}, "E-M20"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(how: dict[str, Any], code: str) -> None:
    with pytest.raises(TheodoliteError) as caught:
        td.Monitor(quadratics.objective(quadratics.Bowl()), **how)
    assert caught.value.code == code


def test_a_model_for_an_optimizer_and_a_state_of_another_model_are_refused() -> None:
    monitor = td.Monitor(quadratics.objective(quadratics.Bowl()))
    with pytest.raises(InvalidType, match="must be the optimizer"):
        monitor.step(quadratics.Bowl())
    other = td.Monitor(
        td.Objective(nn.Linear(2, 1), nn.MSELoss(), (torch.eye(2), torch.eye(2)[:1].T))
    )
    with pytest.raises(InvalidArgument, match="not one of a monitor of this model"):
        monitor.load_state_dict(other.state_dict())
