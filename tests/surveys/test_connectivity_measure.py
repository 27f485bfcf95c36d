"""The connectivity measure of a survey. Oracle: the function it stands for, at the same points."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import theodolite as td
from connectivity.paths import classes, normalized
from theodolite.errors import InvalidArgument, RunMismatch
from theodolite.seeds import child_seed
from theodolite.surveys.headline import headline
from theodolite.training import load_state

FEW = {"steps": 5, "refine": 2, "resamples": 50}
LINES = {**FEW, "align": "none", "curve": "none"}


def target() -> td.Target:
    model = normalized()
    train, test = (td.Objective(model, nn.CrossEntropyLoss(), classes(30, k)) for k in (0, 1))
    return td.Target(train, test=test)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    made = []
    for k in range(3):
        state = normalized(k + 1).state_dict()
        state["1.running_mean"] += 0.3 * k
        save_file(state, tmp_path / f"net{k}.safetensors")
        made.append(str(tmp_path / f"net{k}.safetensors"))
    return made


def surveyed(files: list[str], **how: object) -> object:
    return td.survey(
        target(),
        measures=["connectivity"],
        settings={"connectivity": {"files": files, **LINES, **how}},
        seed=2,
    )


def test_every_pair_is_the_barrier_of_its_files_as_given_and_recomputed(files):
    # kills: pairs or ends exchanged, the variant measured on the given objective, no test
    tree = surveyed(files)
    names = {"barrier_0_1", "barrier_0_2", "barrier_1_2"}
    answers = {n.replace("barrier", "functions") for n in names}
    assert set(tree.children) == {"start"} | names | answers | {n + "_recomputed" for n in names}
    own, states = target(), [load_state(f) for f in files]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        for kind in ("", "_recomputed"):
            there = tree[f"barrier_{i}_{j}{kind}"].to_dataset()
            policy = "recompute" if kind else "frozen"
            alone = td.barrier(
                own.objective.with_batch_norm(policy),
                states[i],
                states[j],
                test=own.test.with_batch_norm(policy),
                **FEW,
                seed=child_seed(2, "barrier", i, j),
            )
            assert there.drop_vars("status", errors="ignore").equals(
                alone.drop_vars("status", errors="ignore")
            )
            assert there.attrs["statistics"] == ("recomputed" if kind else "interpolated")
            assert (there.attrs["first"], there.attrs["second"]) == (f"net{i}", f"net{j}")
            assert there.attrs["points"] == ["net0", "net1", "net2"]


def test_one_file_is_connected_with_the_target(files):
    # kills: the file at both ends; a recomputed line nobody asked for
    tree = surveyed(files[:1], batch_norm="given")
    assert set(tree.children) == {"start", "barrier", "functions"}
    found = tree["barrier"].to_dataset()
    own = target().objective
    assert float(found.loss[0]) == float(own.value())
    other = torch.nn.utils.parameters_to_vector(normalized(1).parameters()).detach()
    assert found.attrs["distance"] == pytest.approx(float((own.start - other).norm()))
    assert found.attrs["points"] == ["target", "net0"]


def test_the_headline_is_the_largest_barrier_with_its_interval(files):
    # kills: averaged statistics quoted, the least or another line's interval
    tree = surveyed(files)
    found = {n["name"]: n for n in headline(tree)}
    lines = [tree[f"barrier_{i}_{j}_recomputed"] for i, j in ((0, 1), (0, 2), (1, 2))]
    most = max(lines, key=lambda d: float(d["barrier"]))
    assert found["barrier"]["value"] == float(most["barrier"])
    assert f"{float(most['barrier_high']):.3g}" in found["barrier"]["note"]
    assert (
        f"{most.attrs['first']} to {most.attrs['second']} with recomputed"
        in (found["barrier"]["explain"])
    )
    errors = [100 * float(d["test_error_barrier"]) for d in lines]
    assert found["test_error_barrier"]["value"] == max(errors)
    assert found["test_error_barrier"]["unit"] == "pp"


def test_a_run_knows_its_files_by_their_content(files, tmp_path):
    # kills: a run continued with other weights under the same name
    how = {
        "measures": ["connectivity"],
        "settings": {"connectivity": {"files": files[:2], **LINES}},
    }
    td.survey(target(), out=tmp_path / "run", **how)
    save_file(normalized(9).state_dict(), files[1])
    with pytest.raises(RunMismatch, match="files of weights to connect"):
        td.survey(target(), out=tmp_path / "run", **how)


def test_files_of_one_name_are_told_apart(files, tmp_path):
    other = tmp_path / "b"
    other.mkdir()
    save_file(normalized(5).state_dict(), other / "net0.safetensors")
    same = [files[0], str(other / "net0.safetensors")]
    tree = surveyed(same, batch_norm="given")
    names = tree["barrier"].attrs["points"]
    assert names == [f"{tmp_path.name}/net0.safetensors", "b/net0.safetensors"]
    twice = surveyed([files[0], files[0]], batch_norm="given")
    assert twice["barrier"].attrs["points"] == ["net0 [0]", "net0 [1]"]
    assert float(twice["barrier"]["barrier"]) == 0.0


def test_without_files_there_is_nothing_unless_they_are_required():
    assert set(surveyed([]).children) == {"start"}
    with pytest.raises(InvalidArgument, match="connect needs a file of weights"):
        surveyed([], required=True)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"steps": 2}, "steps of connectivity"),
        ({"level": 1.5}, "level of connectivity"),
        ({"resamples": 0}, "resamples of connectivity"),
        ({"batch_norm": "all"}, "batch_norm must be"),
        ({"align": "magic"}, "align of connectivity must be"),
        ({"curve": "arc"}, "curve of connectivity must be"),
        ({"curve_steps": 0}, "curve_steps of connectivity"),
        ({"curve_rate": -0.1}, "curve_rate of connectivity"),
        ({"threshold": 0.0}, "threshold of connectivity"),
    ],
)
def test_settings_are_refused_by_name(files, how, words):
    with pytest.raises(InvalidArgument, match=words):
        surveyed(files, **how)
    with pytest.raises(InvalidArgument, match="must be a list of paths"):
        surveyed("a.safetensors")
