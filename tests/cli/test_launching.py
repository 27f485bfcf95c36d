"""Tasks given to a launcher: what SLURM refuses, what would change tasks that wait, what is ended.

Oracle: an sbatch that the test plays, the codes of the errors, signals of the kernel.
"""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from theodolite.cli import launching
from theodolite.cli.scale import Spread
from theodolite.errors import InvalidArgument

SURVEY = ("line", "mine.py", "--lines", "4", "--steps", "3", "--launcher", "slurm", "--tasks", "2")
ASKED = ("--slurm", "time=2h", "-o", "run")


@pytest.fixture
def sbatch(place, monkeypatch):
    """An sbatch that takes every job; its text can be replaced."""
    (place / "bin").mkdir()
    for name in ("sbatch", "srun"):
        (place / "bin" / name).write_text("#!/bin/sh\necho 'Submitted batch job 4711'\n")
        (place / "bin" / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{place / 'bin'}:{os.environ['PATH']}")
    return place / "bin" / "sbatch"


def test_what_slurm_refuses_is_said_in_its_words(call, sbatch):
    # kills: the target's own code blamed for a partition that does not exist
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: nope' >&2\nexit 1\n")
    said = call(*SURVEY, *ASKED)
    assert said.code == 1
    error = said.err[said.err.index("Error:") :].splitlines()
    assert "SLURM did not take the tasks" in error[0]
    assert error[0].endswith("[E-N16]")
    assert "invalid partition: nope" in said.err
    assert "--dry-run" in error[-1]


def test_tasks_that_wait_keep_the_configuration_they_were_submitted_with(call, sbatch):
    # kills: a file replaced that tasks in the queue are going to read
    assert call(*SURVEY, *ASKED).code == 0
    kept = Path("run/shards/config.toml").read_bytes()
    other = call(*SURVEY, *ASKED, "--seed", "1")
    assert other.code == 2
    assert "seed: 0 -> 1" in other.err
    assert "[E-K05]" in other.err
    assert "run/shards/config.toml" in other.err
    assert Path("run/shards/config.toml").read_bytes() == kept
    assert call(*SURVEY, *ASKED).code == 0


@pytest.mark.parametrize("option", [("--fresh",), ("--time-budget", "10m")])
def test_options_that_the_tasks_would_not_see_are_refused(call, sbatch, option):
    # kills: old results kept in silence though --fresh was asked for; a budget nobody heeds
    said = call(*SURVEY, *ASKED, *option)
    assert said.code == 2
    assert f"takes no {option[0]}" in said.err
    assert not Path("run").exists()


def test_the_time_that_submitit_asks_for_by_itself_is_said(call, sbatch):
    # kills: tasks ended after five minutes that nobody has asked for
    assert "5 min" in call(*SURVEY, "-o", "run").err
    assert "5 min" in call(*SURVEY, "-o", "run", "--dry-run").err
    assert "5 min" not in call(*SURVEY, *ASKED).err


@pytest.mark.parametrize("text", ["0", "-5", "True", "0s"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(InvalidArgument, match=r"time .* at least 1.*E-N14"):
        launching.wanted(Spread(slurm=(f"time={text}",)))


@pytest.mark.parametrize(("text", "minutes"), [("1.5", 2), ("90s", 2), ("120", 120), ("2h", 120)])
def test_minutes_are_whole(text, minutes):
    # kills: --time=1.5, which SLURM reads as something else or not at all
    found = launching.wanted(Spread(slurm=(f"time={text}",)))
    assert found == {"time": minutes}
    assert isinstance(found["time"], int)


class Job:
    """A task that fails with some text, or is waited for when a signal arrives."""

    def __init__(self, failure: Exception | None = None, number: int = 0):
        self.failure, self.number, self.cancelled = failure, number, False

    def wait(self) -> None:
        if self.number:
            assert signal.getsignal(self.number) is not signal.SIG_DFL
            signal.raise_signal(self.number)

    def cancel(self) -> None:
        self.cancelled = True

    def exception(self) -> Exception | None:
        return self.failure


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_tasks_of_this_machine_end_with_the_one_that_waits_for_them(capsys, number, kind):
    # kills: tasks that go on for nobody after a SIGTERM
    jobs = [Job(number=number), Job()]
    with pytest.raises(kind):
        launching.waited(jobs)
    assert all(job.cancelled for job in jobs)
    assert "the same command" in capsys.readouterr().err


def test_the_reason_of_a_failed_task_is_what_went_wrong(capsys):
    # kills: the last line of a log, which is the advice and not the error; an error without text
    text = "log:\nError: run was made with another configuration [E-K05]\nWhere: seed\nFix: pass -o"
    jobs = [Job(), Job(RuntimeError(text)), Job(RuntimeError("one\ntwo")), Job(RuntimeError())]
    assert launching.waited(jobs) == [
        (2, "Error: run was made with another configuration [E-K05]"),
        (3, "two"),
        (4, "RuntimeError"),
    ]
