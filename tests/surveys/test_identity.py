"""A run is continued only by the run it was.

Oracle: the settings that differ, written out by hand.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from theodolite.errors import RunMismatch, TheodoliteWarning
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.folder import opened_run
from theodolite.surveys.identity import differences, identity, refuse_mismatch

FACTS = {"dtype": "float32", "device": "cpu", "objective": "aaaa", "test": None}
BASE = Configuration(
    ("planes",), {"planes": {"count": 1, "steps": [25, 25]}}, seed=0, arguments={"width": 8}
)


@pytest.mark.parametrize(
    ("changed", "facts", "line"),
    [
        ({"seed": 1}, {}, "seed: 0 -> 1"),
        ({"limit": 100}, {}, "limit: none -> 100"),
        ({"arguments": {"width": 16}}, {}, "argument width: 8 -> 16"),
        ({"settings": {"planes": {"count": 2, "steps": [25, 25]}}}, {}, "planes.count: 1 -> 2"),
        (
            {"settings": {"planes": {"count": 1, "steps": [25, 51]}}},
            {},
            "planes.steps: [25, 25] -> [25, 51]",
        ),
        ({"measures": ("lines",)}, {}, "measures: planes -> lines"),
        (
            {},
            {"objective": "bbbb"},
            "training objective (model, weights, data, loss): aaaa -> bbbb",
        ),
        ({}, {"test": "cccc"}, "test objective (model, weights, data, loss): none -> cccc"),
        ({}, {"dtype": "float64"}, "dtype: float32 -> float64"),
    ],
)
def test_every_change_is_shown_as_old_and_new(tmp_path, changed, facts, line):
    # K10; kills: a setting left out of the identity (two runs mixed), old and new swapped
    old = identity(BASE, FACTS, "sha")
    new = identity(replace(BASE, **changed), {**FACTS, **facts}, "sha")
    assert line in differences(old, new)
    with opened_run(tmp_path / "run", BASE, old):
        pass
    with pytest.raises(RunMismatch) as caught, opened_run(tmp_path / "run", BASE, new):
        pass
    assert line in str(caught.value)
    assert "--fresh" in caught.value.fix
    with opened_run(tmp_path / "run", BASE, old):
        pass
    with opened_run(tmp_path / "run", BASE, new, fresh=True):
        pass


def test_a_changed_checkpoint_is_a_change_and_a_moved_one_is_not():
    old = identity(replace(BASE, checkpoint="a.pt"), FACTS, "1" * 64)
    assert differences(old, identity(replace(BASE, checkpoint="b/a.pt"), FACTS, "1" * 64)) == []
    (line,) = differences(old, identity(BASE, FACTS, "2" * 64))
    assert line == f"checkpoint (SHA-256): {'1' * 12} -> {'2' * 12}"


def test_what_changes_no_number_changes_no_identity():
    old = identity(BASE, FACTS)
    for same in ({"preset": "standard"}, {"target": "elsewhere.py:build"}, {"device": "cpu"}):
        assert identity(replace(BASE, **same), FACTS) == old
    tuples = replace(BASE, settings={"planes": {"count": 1, "steps": (25, 25)}})
    assert identity(tuples, FACTS) == old
    assert json.loads(json.dumps(old)) == old


def test_at_most_five_lines_are_shown(tmp_path):
    old, new = {f"k{i}": 0 for i in range(9)}, {f"k{i}": 1 for i in range(9)}
    with pytest.raises(RunMismatch, match="9 differences") as caught:
        refuse_mismatch(tmp_path, old, new)
    assert len(caught.value.where.splitlines()) == 5
    assert caught.value.where.endswith("and 5 more")


def test_results_without_a_record_are_not_mixed(tmp_path):
    with opened_run(tmp_path / "run", BASE, identity(BASE, FACTS)):
        pass
    (tmp_path / "run/provenance.json").unlink()
    with (
        pytest.raises(RunMismatch, match="without a record"),
        opened_run(tmp_path / "run", BASE, identity(BASE, FACTS)),
    ):
        pass


def test_another_version_or_number_of_threads_is_a_warning(tmp_path):
    with opened_run(tmp_path / "run", BASE, {}, threads=1):
        pass
    with (
        pytest.warns(TheodoliteWarning, match="threads 1 -> 2"),
        opened_run(tmp_path / "run", BASE, {}, threads=2),
    ):
        pass


def test_time_and_endings_of_every_stretch_are_recorded(tmp_path):
    with opened_run(tmp_path / "run", BASE, {}, command=["theodolite", "survey"]):
        pass
    with pytest.raises(KeyError), opened_run(tmp_path / "run", BASE, {}):
        raise KeyError
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert [s["ended"] for s in record["stretches"]] == ["end", "KeyError"]
    assert all(s["wall_seconds"] >= 0 and s["cpu_seconds"] >= 0 for s in record["stretches"])
    assert set(record["versions"]) >= {"python", "torch", "zarr", "theodolite"}
    assert record["machine"]["cores"] >= 1
