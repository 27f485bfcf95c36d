"""One live writer a folder; a dead one holds nothing.

Oracle: processes that really run, or have really ended.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

from theodolite.errors import StorageError
from theodolite.surveys import lock
from theodolite.surveys.lock import lock_holder, locked, started


def facts(pid: int, **changes: object) -> str:
    return json.dumps({"pid": pid, "host": platform.node(), "started": started(pid), **changes})


@pytest.fixture
def sleeper():
    """Another live process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_second_writer_is_refused_by_name_and_the_first_goes_on(tmp_path):
    # K11; kills: a lock that is only a file, or only advice
    with locked(tmp_path):
        assert lock_holder(tmp_path)["pid"] == os.getpid()
        with (
            pytest.raises(StorageError, match=rf"process {os.getpid()} on .*E-K04"),
            locked(tmp_path),
        ):
            pass
        assert (tmp_path / "lock").exists()
    assert lock_holder(tmp_path) == {}
    assert not (tmp_path / "lock").exists()


def test_the_lock_of_a_live_process_holds_even_without_the_kernel(tmp_path, sleeper, monkeypatch):
    # kills: believing flock alone, where the file system has none
    (tmp_path / "lock").write_text(facts(sleeper.pid))
    for kernel in (lock.fcntl, None):
        monkeypatch.setattr(lock, "fcntl", kernel)
        with pytest.raises(StorageError, match=f"process {sleeper.pid}"), locked(tmp_path):
            pass


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, sleeper):
    # K11; kills: a stale lock that refuses for ever; a number given to another process since
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    for stale in (
        facts(int(ended.stdout)),
        facts(sleeper.pid, started="1"),
        "",
        "{",
        '{"pid": "x"}',
        '{"pid": -1}',
    ):
        (tmp_path / "lock").write_text(stale)
        with locked(tmp_path):
            assert lock_holder(tmp_path)["pid"] == os.getpid()


def test_another_machine_is_believed(tmp_path):
    (tmp_path / "lock").write_text(facts(1, host="elsewhere"))
    with pytest.raises(StorageError, match="on elsewhere"), locked(tmp_path):
        pass


def test_it_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_two_processes_at_once_one_wins(tmp_path):
    # kills: reading, then writing, with a gap between
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from theodolite.errors import StorageError\n"
        "from theodolite.surveys.lock import locked\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    with locked(Path(sys.argv[1])):\n"
        "        time.sleep(0.5)\n"
        "        print('held')\n"
        "except StorageError:\n"
        "    print('refused')\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    said = sorted(worker.communicate()[0].strip() for worker in workers)
    assert said.count("held") >= 1
    assert set(said) == {"held", "refused"}
