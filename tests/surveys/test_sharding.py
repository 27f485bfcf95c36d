"""Shards divide a plan's units, and merged they give the bytes of a run made in one go.

Oracle: the same survey without shards, byte for byte; counts by hand.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument, RunMismatch, StorageError, TheodoliteWarning
from theodolite.surveys.inventory import inventory
from theodolite.surveys.journal import read_journal
from theodolite.surveys.pools import Engine
from theodolite.surveys.sharding import Shard, parse_shard, shard_folders, shard_units
from theodolite.surveys.surveying import conduct, configured
from theodolite.surveys.target import Target

SETTINGS = {
    "planes": {"count": 1, "steps": [4, 3], "method": "dense", "evaluation": "plain"},
    "lines": {"count": 2, "steps": 3},
    "spectrum": {"probes": 2, "steps": 3},
}


def target() -> Target:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(8, k, generator=generator) for k in (3, 2))
    torch.manual_seed(0)
    return Target(td.Objective(nn.Linear(3, 2), nn.MSELoss(), (x, y)), name="mine")


def surveyed(folder: Path, shard: str = "", seed: int = 0, **how: object) -> td.DataTree:
    part = parse_shard(shard, {}) if shard else None
    engine = how.pop("engine", None) or Engine(threads=1, shard=part)
    configuration = configured(measures=list(SETTINGS), settings=SETTINGS, seed=seed)
    return conduct(target(), configuration, folder, engine=engine, **how)


def stored(run: Path) -> dict[str, bytes]:
    root = run / "results.zarr"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    surveyed(folder)
    return folder


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_every_unit_belongs_to_exactly_one_shard_and_shards_are_even(units, parts):
    # kills: numbering that starts anew in each group (one-unit groups would all be shard 1's)
    names = [f"g{k}" for k in range(len(units))]
    shares = [shard_units(names, units, Shard(k, parts)) for k in range(1, parts + 1)]
    for name, count in zip(names, units, strict=True):
        assert sorted(u for share in shares for u in share[name]) == list(range(count))
    sizes = [sum(map(len, share.values())) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("order", [("1/2", "2/2"), ("2/2", "1/2"), ("3/3", "1/3", "2/3")])
def test_merged_shards_have_the_bytes_of_a_run_made_in_one_go(tmp_path, whole, order):
    # kills: attributes in the order of arrival, facts of a complete group lost, a unit swapped
    for shard in order:
        surveyed(tmp_path / "run", shard)
        assert not (tmp_path / "run/results.zarr").exists()
    found = inventory(tmp_path / "run")
    assert (found.left, found.unmerged) == (0, 9)
    done = surveyed(tmp_path / "run", engine=Engine(workers=0, threads=1))
    assert (done.outcome.computed, done.outcome.left) == (0, 0)
    assert stored(tmp_path / "run") == stored(whole)
    assert inventory(tmp_path / "run").unmerged == 0
    for _, folder in shard_folders(tmp_path / "run"):  # none of them held the whole
        events = [r["event"] for r in read_journal(folder / "log.jsonl")]
        assert 0 < events.count("unit") < 9


def test_what_is_missing_after_a_merge_is_computed_by_resume_or_by_another_shard(tmp_path, whole):
    # kills: units computed twice; a shard that knows nothing of the others' units
    run = tmp_path / "run"
    first = surveyed(run, "1/2")
    merged = surveyed(run, engine=Engine(workers=0, threads=1))
    assert (merged.outcome.computed, merged.outcome.left) == (0, 9 - first.outcome.computed)
    again = surveyed(run, "1/3")  # half of these the run has already
    rest = surveyed(run)
    assert first.outcome.computed + again.outcome.computed + rest.outcome.computed == 9
    assert 0 < again.outcome.computed < 3
    assert stored(run) == stored(whole)


def test_a_shard_of_another_configuration_is_refused(tmp_path):
    # kills: merging by the name of the folder alone
    surveyed(tmp_path / "run", "1/2", seed=1)
    with pytest.raises(RunMismatch, match=r"1-of-2 was made with another.*E-K05"):
        surveyed(tmp_path / "run")
    with pytest.raises(RunMismatch, match="seed: 1 -> 0"):
        surveyed(tmp_path / "run", "2/2")


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def chunks(run: Path, shard: str, array: str) -> list[Path]:
    place = run / "shards" / shard / "results.zarr" / array / "c"
    return sorted(p for p in place.rglob("*") if p.is_file())


def test_a_damaged_mark_of_a_shard_is_repaired_too(tmp_path, whole):
    # kills: marks read before what is damaged was looked for, which no --repair gets past
    run = tmp_path / "run"
    surveyed(run, "1/2")
    damage(chunks(run, "1-of-2", "plane_0/unit_status")[0])
    with pytest.raises(StorageError, match="E-K06"):
        surveyed(run)
    surveyed(run, "2/2")  # what another shard can compute, it computes
    done = surveyed(run, repair=True)
    assert done.outcome.computed == 1
    assert stored(run) == stored(whole)


def test_a_shard_may_start_anew_and_one_in_the_way_is_named(tmp_path):
    # kills: "--fresh starts this one anew" said to somebody who has passed it
    run = tmp_path / "run"
    surveyed(run, "1/2", seed=1)
    surveyed(run, "1/2", fresh=True)
    surveyed(run, "2/2", seed=0)
    with pytest.raises(RunMismatch, match="seed: 0 -> 1") as caught:
        surveyed(run, "1/2", seed=1, fresh=True)
    assert "2-of-2" in caught.value.what
    assert "delete that folder" in caught.value.fix
    assert "--fresh" not in caught.value.fix


def test_a_damaged_shard_is_named_and_its_unit_computed_again_on_request(tmp_path, whole):
    # kills: a damaged chunk copied as if it were sound
    run = tmp_path / "run"
    surveyed(run, "1/2")
    place = run / "shards/1-of-2/results.zarr/plane_0/loss/c"
    chunk = next(p for p in sorted(place.rglob("*")) if p.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(bytes(content))
    with pytest.raises(StorageError, match=r"1-of-2/results.zarr/plane_0 is damaged.*E-K06"):
        surveyed(run)
    surveyed(run, repair=True)
    assert stored(run) == stored(whole)


def test_a_failed_unit_is_merged_with_its_reason_and_replaced_by_numbers(tmp_path, monkeypatch):
    # kills: a failed unit of a shard taken for one that is not computed; reasons left behind
    run = tmp_path / "run"
    from theodolite.surveys.measures import planes

    real = planes.plane_rows

    def broken(*args, **kw):
        raise RuntimeError("no row today")

    with monkeypatch.context() as patch:
        patch.setattr(planes, "plane_rows", broken)
        assert surveyed(run, "1/2").outcome.failed == 2
    merged = surveyed(run, engine=Engine(workers=0, threads=1))
    assert merged.outcome.failed == 2
    assert "no row today" in merged.tree.attrs["failures"]
    assert planes.plane_rows is real
    surveyed(run, "1/2", retry_failed=True)
    done = surveyed(run)
    assert done.outcome.failed == 0
    assert "failures" not in done.tree.attrs


def test_shards_of_other_thread_counts_are_told(tmp_path):
    surveyed(tmp_path / "run", "1/2")
    surveyed(tmp_path / "run", engine=Engine(threads=2, shard=Shard(2, 2)))
    with pytest.warns(TheodoliteWarning, match=r"shard 2-of-2 was computed with threads 1 -> 2"):
        surveyed(tmp_path / "run")


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_shards_of_other_thread_counts_are_told_also_when_they_are_merged_one_by_one(
    tmp_path, order
):
    # kills: a shard compared with those of the same merge only
    none = Engine(workers=0, threads=1)
    for turn, part in enumerate(order):
        surveyed(tmp_path / "run", engine=Engine(threads=part, shard=Shard(part, 2)))
        if turn == 0:
            surveyed(tmp_path / "run", engine=none)
    with pytest.warns(TheodoliteWarning, match=r"shard 2-of-2 was computed with threads 1 -> 2"):
        surveyed(tmp_path / "run", engine=none)
    surveyed(tmp_path / "run", engine=none)  # nothing new, nothing told


def test_fresh_removes_the_shards_too(tmp_path):
    surveyed(tmp_path / "run", "1/2")
    surveyed(tmp_path / "run", fresh=True)
    assert not (tmp_path / "run/shards").exists()


def test_the_state_of_shards_says_who_has_what_and_how_long_it_takes(tmp_path):
    # kills: the time left summed over shards that work side by side
    run = tmp_path / "run"
    surveyed(run, "1/2")
    surveyed(run, "2/2", time_budget=0.0)
    states = {s.shard: s for s in inventory(run).shards}
    assert [(s.units, s.done, s.left, s.begun) for s in states.values()] == [
        (5, 5, 0, True),
        (4, 1, 3, True),
    ]
    assert inventory(run).seconds_left == states["2/2"].seconds_left > 0
    shutil.rmtree(run / "shards/2-of-2")
    other = inventory(run).shards[1]
    assert (other.shard, other.begun, other.left) == ("2/2", False, 4)


ENVIRONMENTS = {
    "torchrun": ({"RANK": "3", "WORLD_SIZE": "4"}, "4/4"),
    "array": ({"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "3"}, None),
    "array from 4": (
        {
            "SLURM_ARRAY_TASK_ID": "5",
            "SLURM_ARRAY_TASK_COUNT": "3",
            "SLURM_ARRAY_TASK_MIN": "4",
        },
        "2/3",
    ),
    "array with gaps": (
        {
            "SLURM_ARRAY_TASK_ID": "2",
            "SLURM_ARRAY_TASK_COUNT": "3",
            "SLURM_ARRAY_TASK_MIN": "0",
            "SLURM_ARRAY_TASK_MAX": "4",
        },
        None,
    ),
    "array to its end": (
        {
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_ARRAY_TASK_COUNT": "3",
            "SLURM_ARRAY_TASK_MIN": "1",
            "SLURM_ARRAY_TASK_MAX": "3",
        },
        "3/3",
    ),
    "beyond": ({"RANK": "4", "WORLD_SIZE": "4"}, None),
    "longer than a number": ({"RANK": "0", "WORLD_SIZE": "9" * 5000}, None),
    "srun": ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "1/2"),
    "array before srun": (
        {
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_ARRAY_TASK_COUNT": "2",
            "SLURM_PROCID": "0",
            "SLURM_NTASKS": "1",
        },
        "2/2",
    ),
    "none": ({}, None),
    "half": ({"RANK": "1"}, None),
    "words": ({"RANK": "one", "WORLD_SIZE": "2"}, None),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_auto_takes_the_launchers_numbers_or_says_that_there_are_none(name):
    # kills: numbers from 0 taken as from 1; an array numbered from 4; rank beyond the count; an
    # array of 0, 2 and 4, whose second task is not the third
    environment, expected = ENVIRONMENTS[name]
    if expected is None:
        with pytest.raises(InvalidArgument, match="E-N12"):
            parse_shard("auto", environment)
    else:
        assert str(parse_shard("auto", environment)) == expected


NO_PARTS = ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", "", "1/", " 1/2", "1 / 2", "+1/2"]
NO_PARTS += ["1/100001", "1/" + "9" * 5000, "٢/٣"]


@pytest.mark.parametrize("text", NO_PARTS)
def test_parts_that_are_none_are_refused(text):
    # kills: a number longer than Python reads; as many lines of `status` as somebody mistyped
    with pytest.raises(InvalidArgument, match="E-N11"):
        parse_shard(text, {})
