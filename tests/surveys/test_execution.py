"""Units are computed once each and saved as they are done.

Oracle: the same plan run without interruption; the log; the numbers each unit is defined by.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from theodolite.errors import NotFinite, StorageError
from theodolite.results import FAILED, OK, TODO
from theodolite.surveys import execution
from theodolite.surveys.execution import Progress, execute
from theodolite.surveys.groups import Group
from theodolite.surveys.journal import open_journal, read_journal
from theodolite.surveys.plan import Plan
from theodolite.surveys.reading import read_group
from theodolite.surveys.store import open_store, statuses

from .toys import row, toy_plan, whole


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_unit_is_computed_once_in_order_and_kept(memory):
    # kills: computing all units before saving, skipping the last, swapped units
    calls = []
    plan = toy_plan(calls)
    outcome = execute(plan, None, *memory)
    assert calls == [("rows", k) for k in range(5)] + [("whole", 0)]
    assert (outcome.computed, outcome.failed, outcome.left) == (6, 0, 0)
    rows = read_group(memory[0], "rows")
    expected = np.concatenate([row(k)["loss"].values for k in range(5)])
    np.testing.assert_array_equal(rows["loss"].values, expected)
    assert rows["loss"].dims == ("x", "y")
    assert rows.attrs == {"quantity": "toy", "seed": 7, "products": 5}
    np.testing.assert_array_equal(rows["x"].values, np.linspace(-1, 1, 5))


def test_a_whole_result_survives_with_text_scalars_and_empty_arrays(disk):
    # kills: text stored as objects, 0-d arrays lost, chunks of size zero
    execute(toy_plan([]), None, *disk)
    kept = read_group(disk[0], "whole")
    xr.testing.assert_identical(kept, whole(0).assign_attrs(kept.attrs)[list(kept)])
    assert kept.attrs["verdict"] == "certified"


def test_a_second_run_computes_nothing_not_even_the_row_of_nan(disk):
    # kills: inferring "done" from the numbers (an all-NaN row would be computed for ever)
    calls = []
    execute(toy_plan(calls), None, *disk)
    again = execute(toy_plan(calls), None, *disk)
    assert len(calls) == 6
    assert again.computed == 0
    assert np.isnan(read_group(disk[0], "rows")["loss"].values[1]).all()
    assert (read_group(disk[0], "rows")["status"].values[1] == 2).all()


class Stop(BaseException):
    """Something like Ctrl-C."""


@pytest.mark.parametrize("stop_at", range(6))
def test_stopped_anywhere_and_continued_it_ends_with_the_same_bytes(tmp_path, stop_at):
    # kills: marks before data, randomness that depends on the order, attributes written twice
    def stop(name, unit):
        if len(calls) == stop_at + 1 and not stopped:
            stopped.append(unit)
            raise Stop

    calls, stopped = [], []
    one = open_store(tmp_path / "one.zarr"), open_journal(tmp_path / "one.jsonl")
    two = open_store(tmp_path / "two.zarr"), open_journal(tmp_path / "two.jsonl")
    execute(toy_plan([]), None, *one)
    with pytest.raises(Stop):
        execute(toy_plan(calls, hook=stop), None, *two)
    execute(toy_plan(calls), None, open_store(tmp_path / "two.zarr"), two[1])
    assert files(tmp_path / "one.zarr") == files(tmp_path / "two.zarr")
    log = [(r["group"], r["unit"]) for r in read_journal(tmp_path / "two.jsonl")]
    assert sorted(log) == sorted({("rows", k) for k in range(5)} | {("whole", 0)})
    assert len(calls) == 7  # the interrupted unit is the only one begun twice


def test_a_unit_that_raises_is_marked_with_its_reason_and_the_rest_goes_on(disk, tmp_path):
    # kills: swallowing the reason, stopping at the first failure, marking it as done
    def trouble(name, unit):
        if (name, unit) == ("rows", 2):
            raise NotFinite("the loss is NaN at row 2.", code="E-X01")

    outcome = execute(toy_plan([], hook=trouble), None, *disk)
    assert (outcome.computed, outcome.failed, outcome.left) == (6, 1, 0)
    kept = read_group(disk[0], "rows")
    assert kept["status"].values[:, 0].tolist() == [1, 2, FAILED, 1, 1]
    assert np.isnan(kept["loss"].values[2]).all()
    assert "NotFinite: the loss is NaN at row 2. [E-X01]" in kept.attrs["failures"]
    assert any("row 2" in r.get("reason", "") for r in read_journal(tmp_path / "log.jsonl"))
    calls = []
    assert execute(toy_plan(calls), None, *disk).failed == 1
    assert calls == []
    assert execute(toy_plan(calls), None, *disk, retry_failed=True).failed == 0
    assert calls == [("rows", 2)]
    assert "failures" not in read_group(disk[0], "rows").attrs


def test_a_group_that_cannot_be_prepared_fails_alone(memory):
    # kills: an exception of `open` ending the survey
    def broken(target):
        raise RuntimeError("no second derivative")

    good = toy_plan([]).groups[1]
    outcome = execute(Plan((Group("bad", "bad", broken, 3, "x"), good)), None, *memory)
    assert (outcome.failed, outcome.left) == (3, 0)
    bad = read_group(memory[0], "bad")
    assert bad.attrs["failures"].count("no second derivative") == 3
    assert float(read_group(memory[0], "whole")["total"]) == 3.0


def test_an_exception_of_an_unforeseen_kind_ends_the_run_with_everything_saved(disk):
    # kills: losing finished units when a unit crashes the program
    class Odd(Exception):
        pass

    def crash(name, unit):
        if unit == 3:
            raise Odd

    plan = toy_plan([], hook=crash)
    with pytest.raises(Odd):
        execute(plan, None, *disk)
    assert statuses(disk[0], plan.groups[0]).tolist() == [OK, OK, OK, TODO, TODO]


def test_after_the_time_budget_no_unit_is_begun_but_one_always_is(memory):
    # kills: an endless first unit refused for ever; a budget that is ignored
    plan = toy_plan(calls := [], hook=lambda *_: time.sleep(0.02))
    outcome = execute(plan, None, *memory, time_budget=0.0)
    assert (len(calls), outcome.computed, outcome.left) == (1, 1, 5)
    assert outcome.stopped == "time budget"
    assert execute(plan, None, *memory, time_budget=0.05).computed in (1, 2)
    assert execute(plan, None, *memory, time_budget=60.0).left == 0


def test_progress_counts_units_of_the_group_and_what_is_left_of_the_whole(memory):
    seen: list[Progress] = []
    execute(toy_plan([]), None, *memory, watch=seen.append)
    rows = [p for p in seen if p.group == "rows"]
    assert [p.done for p in rows] == [0, 1, 2, 3, 4, 5]
    assert [p.passes_left for p in rows] == [8.0, 7.0, 6.0, 5.0, 4.0, 3.0]
    assert [p.passes_left for p in seen if p.group == "whole"] == [3.0, 0.0]


def test_units_of_another_shape_than_the_stored_ones_are_refused(memory):
    # kills: a chunk written over its neighbors
    def unit(k):
        return row(k) if k == 0 else row(k).isel(y=slice(0, 2))

    coords = {"x": [0.0, 1.0]}
    plan = Plan((Group("rows", "rows", lambda _: unit, 2, "x", coords),))
    with pytest.raises(StorageError, match=r"unit 1 of rows.*does not fit"):
        execute(plan, None, *memory)


def long_plan(words, finished):
    """Two groups whose single units say three times how far they are."""

    def opening(name):
        def unit(_, tell=None):
            for step in range(3):
                time.sleep(0.01)
                if tell is not None:
                    tell(f"{step} of 3")
                words.append((name, step))
            finished.append(name)
            return whole(0)

        return lambda _: unit

    return Plan(tuple(Group(n, "long", opening(n), told=True) for n in ("first", "second")))


def test_a_long_unit_says_how_far_it_is(memory):
    # kills: a bar that stands still for minutes
    seen: list[Progress] = []
    execute(long_plan([], []), None, *memory, watch=seen.append)
    within = [(p.group, p.within) for p in seen if p.within]
    assert within == [(g, f"{k} of 3") for g in ("first", "second") for k in range(3)]
    assert all(p.done == 0 for p in seen if p.within)


def test_a_long_unit_is_ended_when_the_time_is_up_and_left_for_later(memory, monkeypatch):
    # kills: a time budget that a unit of minutes overruns; a unit begun that counts as done;
    # runs of a short budget that never get on, because their first unit is ended every time
    words, finished = [], []
    monkeypatch.setattr(execution, "late", lambda *_: ("second", 1) in words)
    outcome = execute(long_plan(words, finished), None, *memory, time_budget=1.0)
    assert finished == ["first"]
    assert ("second", 2) not in words
    assert (outcome.computed, outcome.left, outcome.stopped) == (1, 1, "time budget")
    again = execute(long_plan(words, finished), None, *memory, time_budget=1.0)
    assert finished == ["first", "second"]
    assert (again.computed, again.left) == (1, 0)
