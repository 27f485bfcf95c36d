"""Every engine, any number of workers and shards leave the same bytes; killed, nothing is lost.

Oracle: the same survey computed by one process in order, byte for byte; processes really killed by
the kernel. Engines run in processes of their own: their threads and warnings are not this suite's.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import psutil
import pytest

import theodolite as td
from theodolite.surveys.journal import read_journal

TARGET = """
import os, signal, time
from pathlib import Path
import torch
import theodolite as td

def build(wait: float = 0.0, die: str = ""):
    class Slow(torch.nn.Linear):
        def forward(self, x):
            time.sleep(wait)
            flag = Path(die or "/nonexistent")
            if os.environ.get("THEODOLITE_WORKER") and flag.exists():
                flag.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().forward(x)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(24, k, generator=generator) for k in (3, 4))
    torch.manual_seed(0)
    model = torch.nn.Sequential(Slow(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    data, held = (x[:16], y[:16]), (x[16:], y[16:])
    loss = torch.nn.MSELoss()
    return td.Target(td.Objective(model, loss, data), test=td.Objective(model, loss, held))
"""

CONFIG = """
measures = ["planes", "lines", "spectrum"]
[settings.planes]
count = 1
steps = [7, 5]
method = "dense"
evaluation = "plain"
[settings.lines]
count = 2
steps = 3
[settings.spectrum]
probes = 2
steps = 3
"""

UNITS = 1 + 7 + 2 + 2

SCRIPT = """
import sys, tomllib, warnings
from pathlib import Path
import theodolite as td

if __name__ == "__main__":
    table = tomllib.loads(Path("scale.toml").read_text())
    out, backend, jobs, *die = sys.argv[1:]
    how = {"n_jobs": int(jobs), "backend": backend, "threads": 1}
    if die:
        Path(die[0]).touch()
    td.survey("mine.py:killing" if die else "mine.py:build", out=out, **table, **how)
"""


def furnished(folder: Path) -> Path:
    killing = f"\ndef killing():\n    return build(die={str(folder / 'die')!r})\n"
    (folder / "mine.py").write_text(TARGET + killing)
    (folder / "scale.toml").write_text(CONFIG)
    (folder / "script.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return furnished(tmp_path)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves, computing in order."""
    folder = furnished(tmp_path_factory.mktemp("one"))
    table = tomllib.loads(CONFIG)
    td.survey(f"{folder / 'mine.py'}:build", out=folder / "run", threads=1, **table)
    return stored(folder / "run")


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "RANK", "WORLD"))}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def command(*argv: object) -> list[str]:
    start = "import sys; from theodolite.cli import main; sys.exit(main())"
    return [sys.executable, "-c", start, *map(str, argv)]


def called(home: Path, *argv: object, **how) -> subprocess.CompletedProcess[str]:
    env = environment(**how.pop("env", {}))
    return subprocess.run(
        command(*argv), cwd=home, env=env, capture_output=True, text=True, timeout=280, **how
    )


def survey(*argv: object) -> list[object]:
    return ["survey", "mine.py", "--config", "scale.toml", "--threads", "1", *argv]


def stored(run: Path) -> dict[str, bytes]:
    """Every file of the results, the target's place and function left out of its name."""
    root = run / "results.zarr"
    found = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    for plain, name in ((b"", str(run.parent).encode() + b"/"), (b"mine", b"mine:killing")):
        found["zarr.json"] = found["zarr.json"].replace(name, plain)
    found["zarr.json"] = found["zarr.json"].replace(b"mine.py:killing", b"mine.py:build")
    return found


def events(run: Path) -> list[dict]:
    """The whole records of a log that may have a torn end."""
    return read_journal(run / "log.jsonl")


def units_done(run: Path) -> int:
    return sum(r["event"] == "unit" for r in events(run))


def scripted(home: Path, *argv: str) -> None:
    done = subprocess.run(
        [sys.executable, "script.py", *argv],
        cwd=home,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("backend", ["loky", "dask", "ray"])
def test_an_engine_leaves_the_bytes_of_one_process_though_a_worker_is_killed(home, one, backend):
    # kills: attributes or numbers that depend on the order, the process or its place in a pool;
    # a pool that is lost with one worker, or what the others were computing; a wait without end
    # for the unit of a dead one
    scripted(home, "many", backend, "2", str(home / "die"))
    assert not (home / "die").exists()
    assert stored(home / "many") == one
    log = events(home / "many")
    assert sum(r["event"] == "unit" for r in log) == UNITS
    deaths = [r for r in log if r["event"] == "worker died"]
    assert len(deaths) == 1
    assert len(deaths[0]["units"]) == 1


def slow(home: Path, *argv: object, units: int = 2) -> subprocess.Popen[str]:
    """A survey by two workers, at work on its units when this returns."""
    line = command(*survey("-a", "wait=0.03", "--n-jobs", "2", "-o", "run", *argv))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    child = subprocess.Popen(line, cwd=home, env=environment(), **pipes)
    deadline = time.monotonic() + 100
    while units_done(home / "run") < units and time.monotonic() < deadline:
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)
    return child


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=15)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_parent_takes_its_workers_along_and_the_run_goes_on(home, one):
    # kills: orphans that compute for nobody, a lock that outlives its owner
    child = slow(home)
    family = psutil.Process(child.pid).children(recursive=True)
    assert len(family) >= 2
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert gone(family)
    before = units_done(home / "run")
    assert 2 <= before < UNITS
    status = json.loads(called(home, "status", "run", "--json").stdout)
    assert (status["writer"], status["left"] > 0) == (None, True)
    assert status["seconds_left"] > 0
    done = called(home, "resume", "run", "--n-jobs", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert units_done(home / "run") <= UNITS  # at most the unit killed before its record twice
    assert stored(home / "run") == one


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_ends_its_workers_and_says_how_to_go_on(home, number, code):
    # kills: workers left behind, tracebacks of workers on Ctrl-C
    child = slow(home)
    family = psutil.Process(child.pid).children(recursive=True)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == code
    assert "To go on: theodolite resume run" in said
    assert "Traceback" not in said
    assert gone(family)


@pytest.mark.usefixtures("one")  # imported before the state of the process is noted
def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_space(home):
    # kills: a worker pool that hangs, or a traceback, when the parent cannot write
    def small_files() -> None:  # the log of 40 lines grows beyond it, and nothing before does
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))

    argv = ("line", "mine.py", "--lines", 40, "--steps", 3, "--threads", 1, "--n-jobs", 2)
    full = called(home, *argv, "-o", "run", preexec_fn=small_files)
    assert full.returncode == 1, full.stderr
    error = full.stderr[full.stderr.index("Error:") :].splitlines()
    assert "No space left while writing" in error[0]
    assert error[0].endswith("[E-K02]")
    assert "of 41 units are safe" in error[1]
    assert "Traceback" not in full.stderr
    assert 0 < units_done(home / "run") < 41
    assert called(home, *argv, "-o", "run").returncode == 0
    how = {"measures": ["lines"], "settings": {"lines": {"count": 40, "steps": 3}}}
    td.survey(f"{home / 'mine.py'}:build", out=home / "one", threads=1, **how)
    assert stored(home / "run") == stored(home / "one")


def test_a_local_array_of_shards_is_merged_to_the_same_bytes(home, one):
    # kills: tasks that do not know their part, a run that only the submitter could collect
    argv = survey("--launcher", "local", "--tasks", "2", "-o", "run", "--json")
    sent = called(home, *argv)
    assert sent.returncode == 0, sent.stderr
    facts = json.loads(sent.stdout)
    assert (len(facts["jobs"]), facts["failed"]) == (2, [])
    assert facts["merge"] == "theodolite merge run"
    assert "shard 2/2  6 of 6 done" in called(home, "status", "run").stdout
    merged = called(home, "merge", "run")
    assert merged.returncode == 0, merged.stderr
    assert (home / "run/report.html").exists()
    assert stored(home / "run") == one


SBATCH = """#!/bin/sh
cp "$1" {folder}/sent.sh
echo "Submitted batch job 4711"
"""


def test_a_slurm_array_is_submitted_with_what_was_asked(home):
    # kills: one job instead of an array; hours taken for minutes
    asked = ("--launcher", "slurm", "--tasks", "3", "--slurm", "time=2h", "--slurm", "cpus=4")
    argv = survey(*asked, "--slurm", "partition=short", "-o", "run")
    dry = called(home, *argv, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "#SBATCH --array=0-2%3" in dry.stderr
    assert not (home / "run").exists()
    lacking = called(home, *argv)
    assert lacking.returncode == 1
    assert "[E-N16]" in lacking.stderr
    (home / "bin").mkdir()
    for name, text in (("sbatch", SBATCH.format(folder=home)), ("srun", "#!/bin/sh\n")):
        (home / "bin" / name).write_text(text)
        (home / "bin" / name).chmod(stat.S_IRWXU)
    sent = called(home, *argv, env={"PATH": f"{home / 'bin'}:{os.environ['PATH']}"})
    assert sent.returncode == 0, sent.stderr
    assert "4711_0, 4711_1, 4711_2" in sent.stderr
    lines = (home / "sent.sh").read_text().splitlines()
    for line in ("--array=0-2%3", "--time=120", "--cpus-per-task=4", "--partition=short"):
        assert f"#SBATCH {line}" in lines
    assert len(list((home / "run/shards/jobs").glob("4711_*_submitted.pkl"))) == 3


def test_a_task_runs_its_own_shard(home):
    # the numbers of the launcher, as torchrun and srun set them
    done = called(
        home, *survey("-o", "run", "--shard", "auto"), env={"RANK": "1", "WORLD_SIZE": "4"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "run/shards/2-of-4"
    none = called(home, *survey("-o", "run", "--shard", "auto"))
    assert none.returncode == 2
    assert "[E-N12]" in none.stderr
