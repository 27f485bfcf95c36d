"""Matched units, curves and answers as units of a survey. Oracle: a copy with units permuted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import theodolite as td
from connectivity.paths import classes, normalized
from theodolite.errors import InvalidArgument
from theodolite.reporting.connection_parts import relations_of
from theodolite.reporting.contents import read_trees
from theodolite.surveys.measures.connectivity_weights import weights_of

FEW = {"steps": 5, "refine": 2, "resamples": 30, "curve_steps": 24, "threshold": 1e-3}


def target() -> td.Target:
    model = normalized()
    train, test = (td.Objective(model, nn.CrossEntropyLoss(), classes(30, k)) for k in (0, 1))
    return td.Target(train, test=test)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A network, and the same with its hidden units in another order."""
    model = normalized(1)
    state = model.state_dict()
    state["1.running_mean"] += 0.2 * torch.arange(4)
    units = td.symmetries(model, torch.zeros(2, 3, dtype=torch.float64))
    save_file(state, tmp_path / "one.safetensors")
    save_file(units.apply(state, units.random(3)), tmp_path / "two.safetensors")
    return [str(tmp_path / f"{n}.safetensors") for n in ("one", "two")]


def surveyed(files: list[str], out: Path | None = None, **how: object) -> object:
    settings = {"connectivity": {"files": files, **FEW, **how}}
    return td.survey(target(), measures=["connectivity"], settings=settings, seed=2, out=out)


def test_a_permuted_copy_is_recognized_and_all_parts_are_there(files, tmp_path):
    """Kills: the first point permuted, averaged statistics judged, answers on training data."""
    tree = surveyed(files, tmp_path / "run")
    names = {"barrier", "barrier_recomputed", "functions", "matching", "aligned_barrier", "curve"}
    assert set(tree.children) == {"start", *names, "aligned_curve"}
    assert float(tree["matching"]["distance"]) == 0.0
    assert float(tree["aligned_barrier"]["barrier"]) == 0.0
    assert tree["aligned_barrier"].attrs["statistics"] == "recomputed"
    assert tree["functions"].attrs["split"] == "test"
    assert tree["aligned_curve"].attrs["not_measured"] == "the two ends are one point"
    (found,) = relations_of(read_trees(tree)[0].connections)
    assert found.verdict.word == "same up to permutation"
    assert found.evidence.barrier.value == float(tree["barrier_recomputed"]["barrier"])
    again = surveyed(files, tmp_path / "run")
    for name in tree.children:
        assert (
            tree[name]
            .to_dataset()
            .drop_vars("status", errors="ignore")
            .equals(again[name].to_dataset().drop_vars("status", errors="ignore"))
        )


def test_parts_taken_up_from_the_store_are_those_made_at_once(files):
    """Oracle: the other way. Kills: a resumed matching read in another order."""
    from theodolite.surveys.measures.connectivity import CONNECTIVITY
    from theodolite.surveys.plan import resolved_settings

    settings = resolved_settings(CONNECTIVITY, "quick", {"files": files, **FEW})
    own = target()
    groups = {g.name: g for g in CONNECTIVITY.groups(own, settings, 5)}
    line = groups["aligned_barrier"]
    matching = groups["matching"].open(own)(0)
    said: list[str] = []
    taken, made = line.resume(own, matching)(0, said.append), line.open(own)(0)
    np.testing.assert_array_equal(taken["loss"].values, made["loss"].values)
    assert said[0] == "place 1 of 5"


def test_weights_are_found_in_checkpoints_of_trainers(tmp_path):
    """Kills: an optimizer's averages taken for weights; a prefix left on; two sets guessed at."""
    model = normalized(2)
    own, state = target().objective, model.state_dict()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 3, dtype=torch.float64)).sum().backward()
    optimizer.step()
    for name, held in {
        "plain": dict(state),
        "trainer": {"epoch": 3, "model": state, "optimizer": optimizer.state_dict()},
        "lightning": {"state_dict": {f"net.{k}": v for k, v in state.items()}, "lr": 0.1},
        "wrapped": {"run": {"weights": {f"module.{k}": v for k, v in state.items()}}},
    }.items():
        path = tmp_path / f"{name}.pt"
        torch.save(held, path)
        found = weights_of(own, path)
        assert set(found) == set(state), name
        assert all(torch.equal(found[k], state[k]) for k in state)
    both = tmp_path / "both.pt"
    torch.save({"model": state, "average": state}, both)
    with pytest.raises(InvalidArgument, match="that fit: 'model', 'average'"):
        weights_of(own, both)


def changed(**tensors: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = {k.replace(".", "_"): (k, v) for k, v in normalized(2).state_dict().items()}
    made = dict(state.values())
    for name, value in tensors.items():
        full = state[name][0] if name in state else name
        if value is None:
            made.pop(full)
        else:
            made[full] = value
    return made


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            changed(**{"0_weight": torch.zeros(4, 5)}),
            "0.weight has shape (4, 5), the model's (4, 3)",
        ),
        (changed(**{"0_weight": None, "extra": torch.zeros(1)}), "0.weight missing"),
        (changed(**{"0_weight": torch.full((4, 3), torch.nan)}), "0.weight holds NaN"),
        (changed(**{"1_running_var": torch.ones(7)}), "1.running_var has shape (7,)"),
        (changed(**{"3_bias": torch.zeros(2, dtype=torch.long)}), "3.bias holds whole numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_runs(tmp_path, state, words):
    """Kills: a failed unit in place of a wrong usage; a file that is not named."""
    path = tmp_path / "net.pt"
    torch.save(state, path)
    with pytest.raises(InvalidArgument) as caught:
        surveyed([str(path)], tmp_path / "run")
    assert words in caught.value.what
    assert caught.value.what.startswith("net.pt does not fit the model")
    assert caught.value.code == "E-A07"
    assert not (tmp_path / "run").exists()
    if "missing" in words:
        assert "extra" in caught.value.why


def test_a_file_without_weights_says_what_is_in_it_and_strangers_are_named(tmp_path):
    """Kills: keys that are not listed; extra tensors that stop a run."""
    own = target().objective
    torch.save({"epoch": 3, "log": [1, 2]}, tmp_path / "log.pt")
    with pytest.raises(InvalidArgument, match="its keys are epoch, log"):
        weights_of(own, tmp_path / "log.pt")
    torch.save(changed(n_averaged=torch.ones(1)), tmp_path / "swa.pt")
    with pytest.warns(UserWarning, match=r"swa.pt holds n_averaged, which the model does not have"):
        found = weights_of(own, tmp_path / "swa.pt", told=True)
    assert "n_averaged" not in found
