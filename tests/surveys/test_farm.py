"""Units computed by workers, in any order, by workers that die: the same bytes and nothing lost.

Oracle: the same plan computed here in order, byte for byte; workers really killed by the kernel are
in ``tests/cli/test_scale.py``. Here the workers are played by futures that the test settles.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import pytest

from theodolite.errors import (
    InvalidArgument,
    TheodoliteError,
    TheodoliteWarning,
)
from theodolite.results import FAILED
from theodolite.surveys import farm as farming
from theodolite.surveys import workers
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.execution import Progress, execute
from theodolite.surveys.journal import open_journal, read_journal
from theodolite.surveys.pools import Engine, Pool
from theodolite.surveys.reading import read_group
from theodolite.surveys.store import open_store, statuses

from .toys import row, toy_plan, whole

ERRAND = workers.Errand("test", Configuration(("toy",), {}), {}, 1, (0, ""))
ENGINE = Engine(2, "loky", threads=1)


class Died(BrokenExecutor):
    """What a future raises whose worker was killed."""


def answer(group: str, unit: int) -> workers.Answer:
    return workers.Answer(row(unit) if group == "rows" else whole(unit), "", 0.5)


class Crew:
    """Workers that settle the last unit they were given first, and die on some units."""

    def __init__(self, kill=(), times=99, together=False, respond=answer):
        self.kill, self.times, self.respond = set(kill), times, respond
        self.together = together
        self.given: list[tuple[str, int]] = []
        self.open: list[tuple[Future, tuple[str, int]]] = []
        self.most = self.closed = self.started = 0
        self.deaths: Counter[tuple[str, int]] = Counter()

    def submit(self, function, errand, group, unit):
        assert function is workers.compute
        assert errand is ERRAND
        future: Future = Future()
        self.given.append((group, unit))
        self.open.append((future, (group, unit)))
        self.most = max(self.most, len(self.open))
        return future

    def wait(self, futures, return_when=None):
        while self.open:
            future, item = self.open.pop()
            if item in self.kill and self.deaths[item] < self.times:
                self.deaths[item] += 1
                future.set_exception(Died())
                while self.together and self.open:  # a machine that is lost, with all that it had
                    self.open.pop()[0].set_exception(Died())
                return
            try:
                future.set_result(self.respond(*item))
            except Exception as error:
                future.set_exception(error)
            if return_when is not None:
                return

    def pool(self, engine):
        self.started += 1
        return Pool(self.submit, self.close, (BrokenExecutor,))

    def close(self):
        self.closed += 1


@pytest.fixture
def farmed(tmp_path, monkeypatch):
    """Run the toy plan by a crew into a folder; the outcome, the store and the log."""

    def run(crew, rows=5, name="farm", **how):
        monkeypatch.setattr(farming, "pool_of", crew.pool)
        monkeypatch.setattr(farming, "wait", crew.wait)
        store = open_store(tmp_path / f"{name}.zarr")
        journal = open_journal(tmp_path / f"{name}.jsonl")
        plan = toy_plan([], rows=rows)
        done = execute(plan, None, store, journal, engine=ENGINE, errand=ERRAND, **how)
        return done, store, read_journal(tmp_path / f"{name}.jsonl")

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def in_order(folder: Path, rows: int = 5) -> dict[str, bytes]:
    execute(
        toy_plan([], rows=rows), None, open_store(folder / "x.zarr"), open_journal(folder / "x")
    )
    return files(folder / "x.zarr")


def test_units_that_come_back_in_another_order_leave_the_same_bytes(farmed, tmp_path):
    # kills: attributes in the order of arrival, a group finished before its last unit; a unit that
    # waits behind a slow one while another worker has nothing to do
    crew = Crew()
    done, _, log = farmed(crew)
    assert (done.computed, done.failed, done.left, done.stopped) == (6, 0, 0, "done")
    assert [(r["group"], r["unit"]) for r in log][:2] == [("rows", 1), ("rows", 2)]
    assert files(tmp_path / "farm.zarr") == in_order(tmp_path)
    assert sorted(crew.given) == sorted(set(crew.given))
    assert (crew.most, crew.started, crew.closed) == (2, 1, 1)  # a unit for each worker


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("unit", range(5))
def test_a_worker_killed_once_costs_no_unit(farmed, tmp_path, unit, together):
    # kills: units lost with the pool; saved units computed again
    crew = Crew(kill=[("rows", unit)], times=1, together=together)
    done, _, log = farmed(crew)
    assert (done.computed, done.failed, done.left) == (6, 0, 0)
    assert files(tmp_path / "farm.zarr") == in_order(tmp_path)
    (death,) = [r for r in log if r["event"] == "worker died"]
    lost = {tuple(u) for u in death["units"]}
    assert ("rows", unit) in lost
    assert len(lost) <= (2 if together else 1)
    assert Counter(crew.given) == Counter(
        {**dict.fromkeys(crew.given, 1), **dict.fromkeys(lost, 2)}
    )
    assert crew.started == crew.closed == 1


@pytest.mark.parametrize("together", [False, True])
def test_a_unit_that_kills_its_workers_is_marked_and_its_neighbors_are_not(farmed, together):
    # kills: blaming every unit that was out when a worker died; trying for ever
    crew = Crew(kill=[("rows", 2)], together=together)
    done, store, log = farmed(crew)
    assert (done.computed, done.failed, done.left) == (6, 1, 0)
    assert statuses(store, toy_plan([]).groups[0]).tolist() == [1, 1, FAILED, 1, 1]
    assert "its worker process died twice" in read_group(store, "rows").attrs["failures"]
    assert crew.deaths["rows", 2] == 2
    assert [r["alone"] for r in log if r["event"] == "worker died"] == [False, True]
    again = farmed(Crew(), retry_failed=True)
    assert (again[0].computed, again[0].failed) == (1, 0)
    assert "failures" not in read_group(again[1], "rows").attrs


def test_workers_that_die_whatever_they_are_given_end_the_run(farmed):
    # kills: marking every unit of a survey failed because the target does not fit into memory
    crew = Crew(kill=[("rows", k) for k in range(9)] + [("whole", 0)], together=True)
    with pytest.raises(TheodoliteError, match=r"first 3 units.*\n.*\n.*\n.*--n-jobs.*--retry"):
        farmed(crew, rows=9)
    assert crew.started == crew.closed


def test_a_failing_unit_carries_its_reason_and_others_go_on(farmed):
    def respond(group, unit):
        if (group, unit) == ("rows", 3):
            return workers.Answer(None, "NotFinite: the loss is NaN", 0.1)
        return answer(group, unit)

    done, store, log = farmed(Crew(respond=respond))
    assert (done.computed, done.failed) == (6, 1)
    assert "the loss is NaN" in read_group(store, "rows").attrs["failures"]
    assert [r["unit"] for r in log if r["event"] == "failed"] == [3]


def test_a_failure_that_comes_first_leaves_the_bytes_of_one_that_comes_in_its_turn(
    farmed, tmp_path
):
    # kills: attributes of a group in the order in which they were first written
    def trouble(name, unit):
        if (name, unit) == ("rows", 1):
            raise ValueError("too large")

    def respond(group, unit):
        failed = workers.Answer(None, "ValueError: too large", 0.1)
        return failed if (group, unit) == ("rows", 1) else answer(group, unit)

    one = open_store(tmp_path / "one.zarr")
    execute(toy_plan([], hook=trouble), None, one, open_journal(tmp_path / "one.jsonl"))
    crew = Crew(respond=respond)
    assert farmed(crew)[2][0]["event"] == "failed"  # the first that came back
    assert files(tmp_path / "farm.zarr") == files(tmp_path / "one.zarr")


def test_reasons_are_in_the_order_of_the_units_whatever_came_first(farmed, tmp_path):
    # kills: JSON in the order of arrival
    def respond(group, unit):
        failed = workers.Answer(None, f"X: {unit}", 0.1)
        return failed if group == "rows" and unit in (1, 2, 3) else answer(group, unit)

    _, store, _ = farmed(Crew(respond=respond))
    assert read_group(store, "rows").attrs["failures"] == '{"1": "X: 1", "2": "X: 2", "3": "X: 3"}'


def test_what_the_target_raises_in_a_worker_ends_the_run_with_everything_saved(farmed, tmp_path):
    # kills: a target that cannot be built counted as a hundred failed units
    def respond(group, unit):
        if unit == 3:
            raise InvalidArgument("no such file", code="E-S22")
        return answer(group, unit)

    crew = Crew(respond=respond)
    with pytest.raises(InvalidArgument, match="no such file"):
        farmed(crew)
    assert crew.closed == 1
    store = open_store(tmp_path / "farm.zarr")
    assert int((statuses(store, toy_plan([]).groups[0]) == 1).sum()) == 2


def test_units_that_came_back_with_an_error_of_the_target_are_saved_first(farmed, tmp_path):
    # kills: numbers that were there, lost to an error that was looked at before them
    class Both(Crew):
        def wait(self, futures, return_when=None):
            self.open[0][0].set_exception(InvalidArgument("no such file", code="E-S22"))
            self.open[1][0].set_result(answer(*self.open[1][1]))

    with pytest.raises(InvalidArgument, match="no such file"):
        farmed(Both())
    store = open_store(tmp_path / "farm.zarr")
    assert statuses(store, toy_plan([]).groups[0]).tolist() == [0, 1, 0, 0, 0]


def test_a_cluster_that_is_lost_is_named_and_what_came_back_is_saved(farmed, tmp_path):
    # kills: a "CancelledError: no message", for which the target's own code is blamed
    class Lost(Crew):
        def wait(self, futures, return_when=None):
            assert self.open[0][0].cancel()
            self.open[1][0].set_result(answer(*self.open[1][1]))

    crew = Lost()
    with pytest.raises(TheodoliteError, match=r"all loky workers were lost.*E-N05") as caught:
        farmed(crew)
    assert "resume" in caught.value.fix
    assert crew.closed == 1
    store = open_store(tmp_path / "farm.zarr")
    assert statuses(store, toy_plan([]).groups[0]).tolist() == [0, 1, 0, 0, 0]


def test_after_the_time_budget_nothing_is_given_out_but_one_unit_is(farmed):
    crew = Crew()
    done, _, _ = farmed(crew, time_budget=0.0)
    assert (done.computed, done.left, done.stopped) == (1, 5, "time budget")
    assert farmed(Crew(), time_budget=60.0)[0].left == 0


def test_the_watcher_counts_units_in_any_order(farmed):
    # kills: a count of units that follows their numbers; work of several workers summed as time
    seen: list[Progress] = []
    farmed(Crew(), watch=seen.append)
    rows = [p for p in seen if p.group == "rows"]
    assert [p.done for p in rows] == [0, 1, 2, 3, 4, 5]
    assert [p.seconds for p in rows] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]
    left = [p.passes_left for p in seen]
    assert left == sorted(left, reverse=True)
    assert (left[0], left[-1]) == (8.0, 0.0)


def test_a_warning_of_the_workers_is_given_once(farmed):
    def respond(group, unit):
        made = answer(group, unit)
        return workers.Answer(made.result, "", 0.1, ("Products use differences.",))

    with pytest.warns(TheodoliteWarning, match="Products use differences") as caught:
        farmed(Crew(respond=respond))
    assert len(caught) == 1
