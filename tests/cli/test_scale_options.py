"""The options of scale: what does not go together is refused, and what will be used is said.

Oracle: the codes of the errors; sums by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from theodolite.cli.scale_lines import stopped
from theodolite.surveys.pools import Engine
from theodolite.surveys.sharding import Shard

REFUSED = {
    "tasks without launcher": (("--tasks", "2"), "E-N14"),
    "unknown launcher": (("--launcher", "pbs", "--tasks", "2"), "E-N14"),
    "no tasks": (("--launcher", "local"), "E-N14"),
    "two shards": (("--launcher", "local", "--tasks", "2", "--shard", "1/2"), "E-N14"),
    "unknown key": (("--launcher", "slurm", "--tasks", "2", "--slurm", "cpu=1"), "E-N14"),
    "backend": (("--backend", "spark", "--n-jobs", "2"), "E-N01"),
    "shard": (("--shard", "5/4"), "E-N11"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_do_not_go_together_are_refused(call, name):
    options, code = REFUSED[name]
    said = call("survey", "mine.py", *options, "-o", "run")
    assert said.code == 2
    assert f"[{code}]" in said.err
    assert not Path("run").exists()


def test_a_dry_run_says_who_computes_and_the_memory_of_all(call):
    # kills: the memory of one process printed for several
    options = ("--measures", "lines", "--n-jobs", "3", "--threads", "1", "--dry-run")
    said = call("survey", "mine.py", *options, "--json")
    assert "3 loky workers, 1 thread each; memory about" in said.err
    facts = json.loads(said.out)
    assert (facts["backend"], facts["workers"], facts["threads"]) == ("loky", 3, 1)
    assert facts["memory_bytes"] == 4 * facts["memory_bytes_each"]


def test_scale_is_told_by_every_command_that_computes(call):
    for name in ("survey", "plane", "line", "spectrum", "resume"):
        said = call(name, "--help").out
        assert "--n-jobs" in said
        assert "--backend" in said


def test_a_stopped_shard_goes_on_with_its_own_command():
    # kills: a shard sent to `resume`, which computes what is left of all of them
    path = Path("run")
    assert stopped(Engine(), path).endswith("To go on: theodolite resume run")
    said = stopped(Engine(shard=Shard(2, 4)), path)
    assert "The same command goes on with shard 2/4; to compute all" in said
