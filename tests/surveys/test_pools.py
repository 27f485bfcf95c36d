"""Worker processes: what a death costs, what a death of the parent leaves, what cannot be asked.

Oracle: the kernel, asked for the processes there are; workers and parents are really killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from theodolite.errors import InvalidArgument, TheodoliteError
from theodolite.surveys import pools
from theodolite.surveys.pools import MOST, Engine, engine_of, loky_pool, unreachable

TWO = Engine(2, "loky", threads=1)


@pytest.fixture
def pool():
    made = loky_pool(TWO)
    yield made
    made.close()


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    """Whether all of some processes end within so many seconds; a zombie has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_worker_that_dies_costs_nothing_that_others_were_given(pool):
    # kills: one executor for all workers, which ends them all when one dies
    dies, goes_on = pool.submit(signal.raise_signal, signal.SIGKILL), pool.submit(time.sleep, 1.0)
    assert isinstance(dies.exception(timeout=60), pool.dead)
    assert goes_on.exception(timeout=60) is None
    again = [pool.submit(os.getpid) for _ in range(3)]
    assert len({f.result(timeout=60) for f in again}) == 2


def test_a_worker_killed_between_two_units_is_replaced(pool):
    # kills: an error of submitting, raised where nobody waits for one
    first = [pool.submit(os.getpid) for _ in range(2)]
    pids = [f.result(timeout=60) for f in first]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert gone(pids)
    time.sleep(0.5)  # until the pool has seen it as well
    assert pool.submit(os.getpid).result(timeout=60) not in pids


def test_workers_are_started_when_there_is_something_for_them(pool):
    # kills: a thousand processes for three units
    before = set(psutil.Process().children(recursive=True))
    pid = pool.submit(os.getpid).result(timeout=60)
    started = set(psutil.Process().children(recursive=True)) - before
    lines = [" ".join(p.cmdline()) for p in started if p.pid != pid]
    assert not [line for line in lines if "popen_loky" in line]


def test_workers_have_their_number_of_threads_from_the_start(pool):
    # kills: linear algebra outside torch on all cores of the machine
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert pool.submit(os.getenv, name).result(timeout=60) == "1"


PARENT = """
import os, signal
from pathlib import Path
from theodolite.surveys.pools import Engine, loky_pool

if __name__ == "__main__":
    pool = loky_pool(Engine(2, "loky", threads=1))
    asked = [pool.submit(os.getpid) for _ in range(2)]
    text = " ".join(str(f.result()) for f in asked)
    Path("pids").write_text(text)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_that_have_computed_nothing_yet_end_with_a_killed_parent(tmp_path):
    # kills: a watch that only begins with a worker's first unit
    (tmp_path / "parent.py").write_text(PARENT)
    line = [sys.executable, "parent.py"]
    assert subprocess.run(line, cwd=tmp_path, timeout=120).returncode == -signal.SIGKILL
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert gone(pids)


def test_a_worker_whose_parent_died_while_it_started_ends_too():
    # kills: a watch that waits for a change that has happened already
    line = "import sys; from theodolite.surveys import pools; pools.attached(-1); sys.exit(0)"
    assert subprocess.run([sys.executable, "-c", line], timeout=120).returncode == 1


REFUSED = {
    "yes": ({"n_jobs": True}, "n_jobs .* got True"),
    "too many": ({"n_jobs": MOST + 1}, f"from 1 to {MOST}, .* got {MOST + 1}"),
    "too many of dask": ({"n_jobs": MOST + 1, "backend": "dask"}, "n_jobs"),
    "a thread, perhaps": ({"n_jobs": 2, "threads": True}, "threads .* got True"),
    "too many threads": ({"threads": MOST + 1}, f"threads .* 1 to {MOST}; got {MOST + 1}"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_no_machine_has_are_refused(name):
    # kills: a crash of the system's thread library, half a worker, a fork bomb
    how, match = REFUSED[name]
    with pytest.raises(InvalidArgument, match=match) as caught:
        engine_of(**how)
    assert (caught.value.code, bool(caught.value.fix)) == ("E-N02", True)


@pytest.mark.parametrize("value", [0, -1, 2.5, "2", True, None, 4])
def test_a_count_is_a_whole_number(value):
    # kills: half a worker; comparisons of texts, which raise something else
    assert not pools.whole(value, 3)
    assert pools.whole(4, None)


def test_a_cluster_may_have_more_workers_than_one_machine(monkeypatch):
    monkeypatch.setattr(pools, "needed", lambda backend: None)
    assert engine_of(5000, "dask", scheduler="tcp://a:1").workers == 5000


def test_a_cluster_that_gives_no_reason_is_named_all_the_same():
    # kills: the first line of an empty text
    said, engine = "no dask workers on tcp://a:1: TimeoutError", Engine(2, "dask", "tcp://a:1")
    with pytest.raises(TheodoliteError, match=said) as caught, unreachable(engine):
        raise TimeoutError
    assert "--scheduler" in caught.value.fix


CANNOT_BE = {
    "backend": ((2, "spark"), {}, "E-N01"),
    "no workers": ((0, "loky"), {}, "E-N02"),
    "minus": ((-2, "loky"), {}, "E-N02"),
    "threads": ((1, "loky"), {"threads": 0}, "E-N02"),
    "scheduler": ((2, "loky"), {"scheduler": "tcp://a:1"}, "E-N03"),
    "sequential": ((2, "sequential"), {}, "E-N01"),
}


@pytest.mark.parametrize("name", CANNOT_BE)
def test_engines_that_cannot_be_are_refused(name):
    arguments, how, code = CANNOT_BE[name]
    with pytest.raises(InvalidArgument, match=code):
        engine_of(*arguments, **how)


def test_a_backend_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InvalidArgument, match="E-N04") as caught:
        engine_of(2, "ray")
    assert 'pip install "theodolite[ray]"' in caught.value.fix


def test_workers_share_the_cores(monkeypatch):
    # kills: every worker on all cores
    monkeypatch.setattr("theodolite.surveys.pools.cores", lambda: 7)
    assert [engine_of(n).threads for n in (1, 2, 3, 9)] == [None, 3, 2, 1]
    assert (engine_of(-1).workers, engine_of(-1).threads) == (7, 1)
    assert not engine_of(1, "loky").farms
    assert engine_of(1, "dask").farms
