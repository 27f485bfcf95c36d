"""Progress for people and for logs.

Oracle: counts by hand; text rendered to a string.
"""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from theodolite.cli import terminal, watching
from theodolite.cli.durations import about, clock, parse_duration
from theodolite.errors import InvalidArgument
from theodolite.surveys.execution import Progress as State
from theodolite.surveys.groups import Group
from theodolite.surveys.plan import Plan

PLAN = Plan(
    (
        Group("plane_0", "planes", lambda t: lambda k: None, 2, "alpha"),
        Group("plane_1", "planes", lambda t: lambda k: None, 2, "alpha"),
        Group("trace", "trace", lambda t: lambda k: None),
    )
)


def state(group: str, done: int, left: float, seconds: float = 1.0, failed: str = "") -> State:
    plan = {g.name: g for g in PLAN.groups}[group]
    return State(group, plan.measure, done, plan.units, done, seconds, left, failed)


def test_without_a_terminal_there_is_one_line_a_measure(capsys):
    # kills: a line for every unit in a log, one for every plane
    with watching.watching(PLAN) as watch:
        for group, done in (("plane_0", 0), ("plane_0", 1), ("plane_0", 2), ("plane_1", 1)):
            watch(state(group, done, 1.0))
        assert capsys.readouterr().err == ""
        watch(state("plane_1", 2, 1.0, failed="NotFinite: x"))
        watch(state("trace", 1, 0.0, seconds=0.25))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["planes       4 rows  2.0 s, 1 failed", "trace        1 done  0.2 s"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal that is a string."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(terminal, "console", lambda: console)
    monkeypatch.setattr(terminal, "interactive", lambda: True)
    return text


def test_on_a_terminal_a_bar_a_measure_with_rate_and_time_left(screen):
    with watching.watching(PLAN) as watch:
        watch(state("plane_0", 0, 5.0))
        watch(state("plane_0", 1, 4.0))
        watch(state("plane_1", 2, 1.0))
        watch(state("trace", 1, 0.0))
    shown = screen.getvalue()
    assert "planes" in shown
    assert "3/4" in shown
    assert "rows" in shown
    assert "100 %" in shown


def test_one_clock_over_several_stages(screen, monkeypatch):
    # kills: stages counted by number and not by cost
    moments = iter([0.0, 10.0, 20.0, 30.0, 40.0, 50.0])
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(moments))
    left = watching.time_left()
    assert left(100.0) == float("inf")
    assert left(50.0) == pytest.approx(10.0)  # half of it took ten seconds
    assert left(25.0) == pytest.approx(20.0 * 25 / 75)


def test_the_bar_of_the_whole_moves_by_cost(screen):
    with watching.whole({"train": 30.0, "survey": 70.0}) as advance:
        advance("train", 1.0)
        advance("survey", 0.5)
        advance("survey", 0.4)
    assert " 65 %" in screen.getvalue()


def test_spans_of_time():
    assert [parse_duration(t) for t in ("90", "1.5m", "1h30m", "2d", " 10S ")] == [
        90.0,
        90.0,
        5400.0,
        172800.0,
        10.0,
    ]
    for text in ("", "m", "10 minutes", "-5s", "1x", "nan", "inf"):
        with pytest.raises(InvalidArgument, match="must look like 90s"):
            parse_duration(text)
    assert about(float("inf")) == "an unknown time"
    assert (about(5000.0), clock(float("nan"))) == ("about 83 min", "-:--")


def test_a_log_hears_now_and_then_of_a_long_unit(monkeypatch):
    # kills: a line of the log for every step, and none for minutes
    said: list[str] = []
    moments = iter([0.0, 1.0, 16.0, 16.0, 20.0, 40.0, 40.0])
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(watching.terminal, "say", said.append)
    say = watching.throttled()
    for line in ("at 1", "at 16", "at 20", "at 40"):
        say(line)
    assert said == ["at 16", "at 40"]


def test_a_log_hears_now_and_then_of_a_measure_of_several_long_units(monkeypatch):
    # kills: silence for as long as all units of a measure take together
    said: list[str] = []
    moments = iter([0.0, 1.0, 16.0, 16.0])
    monkeypatch.setattr(watching.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(watching.terminal, "say", said.append)
    watch = watching.stages(PLAN)
    watch(state("plane_0", 1, 1.0))
    watch(state("plane_0", 2, 1.0))
    assert said == ["planes       2 of 4 done"]


def test_a_target_that_takes_long_is_named_and_a_quick_one_is_not(monkeypatch):
    # kills: minutes without a word while the target's own code trains
    said = threading.Event()
    monkeypatch.setattr(watching.terminal, "say", lambda line: said.set())
    with watching.slow_target("quick.py:build"):
        pass
    monkeypatch.setattr(watching, "PATIENCE", 0.0)
    assert not said.is_set()
    with watching.slow_target("slow.py:build"):
        assert said.wait(5.0)
