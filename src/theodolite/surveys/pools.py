"""Worker processes of three kinds behind one form: submit a call, get a future, close.

They are asked for futures of the standard library, one unit each, and not through
``joblib.Parallel``: that waits for ever for a unit whose dask worker was killed, cannot give ray's
results before the last one is there, and does not say which units a dead pool was computing.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from theodolite.errors import InvalidArgument, TheodoliteError
from theodolite.surveys.sharding import Shard

BACKENDS = ("loky", "dask", "ray", "sequential")

MOST = 1024
"""Processes of one machine, and threads of one process: beyond it, systems end both by a crash."""

WATCH = "theodolite-parent"
"""The name of the thread by which a worker sees its parent go."""


@dataclass(frozen=True)
class Engine:
    """Where units are computed: by how many processes of which kind, on how many threads each.

    ``workers`` 0 computes nothing. ``threads`` None leaves torch's own number. ``scheduler`` is the
    address of a dask scheduler or a ray cluster; without it workers are started on this machine.
    """

    workers: int = 1
    backend: str = "sequential"
    scheduler: str | None = None
    threads: int | None = None
    shard: Shard | None = None

    @property
    def farms(self) -> bool:
        return self.workers > 0 and self.backend != "sequential"


HERE = Engine()
"""In this process, in order."""


def engine_of(
    n_jobs: int = 1,
    backend: str = "loky",
    *,
    scheduler: str | None = None,
    threads: int | None = None,
    shard: Shard | None = None,
) -> Engine:
    """The engine so described; raises `InvalidArgument` for one that cannot be.

    One loky worker is this process itself. Several workers share the cores: ``threads`` is by
    default the cores by the workers, and at least 1.

    >>> engine_of(1), engine_of(2, threads=1).farms
    (Engine(workers=1, backend='sequential', scheduler=None, threads=None, shard=None), True)
    """
    if backend not in BACKENDS:
        raise InvalidArgument(
            f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}.", code="E-N01"
        )
    here = scheduler is None and backend != "ray"
    if n_jobs != -1 and not whole(n_jobs, MOST if here else None):
        raise InvalidArgument(
            f"n_jobs must be a whole number from 1{f' to {MOST}' if here else ''}, or -1 for one "
            f"process a core; got {n_jobs!r}.",
            fix="give as many as there are cores, or -1.",
            code="E-N02",
        )
    if threads is not None and not whole(threads, MOST):
        raise InvalidArgument(
            f"threads must be a whole number from 1 to {MOST}; got {threads!r}.",
            fix="leave it out: processes share the cores.",
            code="E-N02",
        )
    if scheduler is not None and backend not in ("dask", "ray"):
        raise InvalidArgument(
            f"scheduler is the address of a dask or ray cluster; the backend is {backend!r}.",
            fix="pass --backend dask or --backend ray as well.",
            code="E-N03",
        )
    workers = cores() if n_jobs == -1 else n_jobs
    if backend == "sequential" and workers > 1:
        raise InvalidArgument(
            f"backend 'sequential' is one process; got n_jobs={n_jobs}.",
            fix="leave out the backend, or n_jobs.",
            code="E-N01",
        )
    kind = "sequential" if backend == "loky" and workers == 1 else backend
    if kind != "sequential":
        needed(kind)
        threads = threads or max(1, cores() // workers)
    return Engine(workers, kind, scheduler, threads, shard)


def whole(value: Any, most: int | None) -> bool:
    """Whether a value is a count between 1 and `most`."""
    counts = isinstance(value, Integral) and not isinstance(value, bool)
    return counts and int(value) >= 1 and (most is None or int(value) <= most)


def cores() -> int:
    """The cores this process may use, containers and affinity taken into account."""
    import joblib

    return int(joblib.cpu_count())


def needed(backend: str) -> None:
    """Raise `InvalidArgument` where a backend's package is not installed."""
    package = {"loky": "joblib", "dask": "distributed", "ray": "ray"}[backend]
    if importlib.util.find_spec(package) is None:
        raise InvalidArgument(
            f"backend {backend!r} needs the package {package}, which is not installed.",
            fix=f'pip install "theodolite[{backend}]", or use --backend loky.',
            code="E-N04",
        )


@dataclass(frozen=True, eq=False)
class Pool:
    """Worker processes; ``dead`` are the errors of a future whose worker died.

    A pool replaces its dead by itself, and a death is told by the futures of that worker only.
    ``close`` ends the workers at once, whatever they are doing; ``gone`` are the errors of a pool
    that has lost them all.
    """

    submit: Callable[..., Future[Any]]
    close: Callable[[], None]
    dead: tuple[type[BaseException], ...]
    gone: tuple[type[BaseException], ...] = ()


def pool_of(engine: Engine) -> Pool:
    """Start, or connect to, the workers of an engine."""
    return {"loky": loky_pool, "dask": dask_pool, "ray": ray_pool}[engine.backend](engine)


@dataclass(eq=False)
class Hand:
    """One worker process of this machine, started with its first call, and what it was given."""

    executor: Any = None
    given: list[Future[Any]] = field(default_factory=list)

    def busy(self) -> int:
        self.given = [f for f in self.given if not f.done()]
        return len(self.given)


def loky_pool(engine: Engine) -> Pool:
    """Processes of this machine, started anew (never forked from a process with threads).

    Each is an executor of its own: one that dies takes along what it was given and nothing else.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    env, parent = dict.fromkeys(names, str(engine.threads)), (os.getpid(),)
    hands = [Hand() for _ in range(engine.workers)]

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        hand = min(hands, key=Hand.busy)
        while True:
            if hand.executor is None:
                hand.executor = ProcessPoolExecutor(
                    1, env=env, initializer=attached, initargs=parent
                )
            try:
                future: Future[Any] = hand.executor.submit(function, *arguments)
            except BrokenExecutor:  # it died since, idle or with what is told by its futures
                hand.executor.shutdown(wait=True, kill_workers=True)
                hand.executor = None
                continue
            hand.given.append(future)
            return future

    def close() -> None:
        for hand in hands:
            if hand.executor is not None:
                hand.executor.shutdown(wait=True, kill_workers=True)

    return Pool(submit, close, (BrokenExecutor,))


def attached(parent: int) -> None:
    """In a worker: end with the process `parent`, or now if it is gone; leave Ctrl-C to it."""
    deaf()
    if os.getppid() != parent:
        os._exit(1)
    if any(t.name == WATCH for t in threading.enumerate()):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name=WATCH, daemon=True).start()


def deaf() -> None:
    """Leave Ctrl-C, which a terminal sends to all of its processes, to the one that asks."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_pool(engine: Engine) -> Pool:
    """Workers of a dask cluster: the given one, else one of this machine with its own processes."""
    import dask
    import distributed
    from distributed import KilledWorker
    from distributed.client import ClosedClientError, FutureCancelledError

    untyped: Any = distributed  # its constructors have no annotations
    cluster = None
    # a unit is tried once by dask: whether it is tried again is decided here, for every engine
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), unreachable(engine):
        if engine.scheduler is None:
            cluster = untyped.LocalCluster(
                n_workers=engine.workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=50,
            )
        client = untyped.Client(
            cluster if cluster is not None else engine.scheduler, set_as_default=False
        )
    executor = client.get_executor(pure=False)

    def close() -> None:
        with suppress(ClosedClientError):
            executor.shutdown(wait=False)
        client.close()
        if cluster is not None:
            cluster.close()

    return Pool(executor.submit, close, (KilledWorker, FutureCancelledError), (ClosedClientError,))


def ray_pool(engine: Engine) -> Pool:
    """Workers of a ray cluster: the given one, one that is connected already, else a local one."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray
    from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

    own = not ray.is_initialized()
    if own:
        local: dict[str, Any] = {"num_cpus": engine.workers, "include_dashboard": False}
        how = local if engine.scheduler is None else {"address": engine.scheduler}
        with unreachable(engine):
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    remote: dict[Callable[..., Any], Any] = {}

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        if function not in remote:
            remote[function] = ray.remote(num_cpus=1, max_retries=0)(function)
        future: Future[Any] = remote[function].remote(*arguments).future()
        return future

    def close() -> None:
        if own:
            ray.shutdown()

    return Pool(submit, close, (WorkerCrashedError, OutOfMemoryError, NodeDiedError))


@contextmanager
def unreachable(engine: Engine) -> Iterator[None]:
    """Name the cluster that could not be reached or started."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        where = engine.scheduler or "this machine"
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise TheodoliteError(
            f"no {engine.backend} workers on {where}: {reason}",
            fix="check the address given to --scheduler, or use --backend loky."
            if engine.scheduler
            else "use --backend loky, which needs no server.",
            code="E-N05",
        ) from error
