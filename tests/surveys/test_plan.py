"""What is left to do, and that planning does none of it.

Oracle: counts by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from theodolite.errors import InvalidArgument, StorageError
from theodolite.results import FAILED
from theodolite.surveys import store as storing
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.execution import execute
from theodolite.surveys.folder import opened_run
from theodolite.surveys.groups import Group
from theodolite.surveys.inventory import inventory
from theodolite.surveys.plan import outline

from .toys import toy_plan


def test_an_outline_counts_what_is_left_and_why(memory):
    plan = toy_plan(calls := [])
    store, journal = memory
    first = outline(plan, store)
    assert [(o.measure, o.units, o.todo, o.passes, o.reason) for o in first] == [
        ("rows", 5, 5, 5.0, "nothing saved yet"),
        ("whole", 1, 1, 3.0, "nothing saved yet"),
    ]
    assert calls == []
    assert list(store.root) == []
    execute(plan, None, store, journal, time_budget=0.0)
    rows, whole = outline(plan, store)
    assert (rows.todo, rows.passes, rows.reason) == (4, 4.0, "1 of 5 saved")
    execute(plan, None, store, journal)
    storing.mark(store, plan.groups[0], 2, FAILED)
    rows, whole = outline(plan, store)
    assert (rows.todo, rows.failed) == (0, 1)
    assert rows.reason == "all saved; 1 failed before and are kept as failed"
    assert whole.reason == "all saved"
    assert (plan.units, plan.passes) == (6, 8.0)


def test_a_group_of_many_units_must_say_where_they_lie():
    for how in ({"units": 0}, {"units": 2}, {"units": 0, "along": "x"}):
        with pytest.raises(InvalidArgument, match="at least one unit"):
            Group("g", "g", lambda target: lambda unit: None, **how)


def test_the_inventory_of_a_folder_is_told_without_its_target(tmp_path):
    plan = toy_plan([])
    with opened_run(tmp_path / "run", Configuration((), {}), {"seed": 0}) as place:
        execute(plan, None, place.store, place.journal, time_budget=0.0)
        assert inventory(tmp_path / "run").writer["pid"] > 0
    found = inventory(tmp_path / "run")
    assert [(h.group, h.done, h.units) for h in found.holdings] == [("rows", 1, 5), ("whole", 0, 1)]
    assert (found.left, found.failed, found.writer) == (5, 0, {})
    with pytest.raises(StorageError, match="holds no run"):
        inventory(tmp_path)
    (tmp_path / "run/provenance.json").write_text("{")
    with pytest.raises(StorageError, match="cannot be read"):
        inventory(tmp_path / "run")


def test_reading_a_run_never_loads_torch(tmp_path):
    with opened_run(tmp_path / "run", Configuration((), {}), {}) as place:
        execute(toy_plan([]), None, place.store, place.journal)
    code = (
        "import sys, json\n"
        "from theodolite.surveys import load_run\n"
        "tree = load_run(sys.argv[1])\n"
        "print(json.dumps([sorted(tree.children), 'torch' in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [["rows", "whole"], False]
