"""Worker processes of three kinds behind one form: submit a call, get a future, close.

They are asked for futures of the standard library, one unit each, and not through
``joblib.Parallel``: that waits for ever for a unit whose dask worker was killed, cannot give ray's
results before the last one is there, and does not say which units a dead pool was computing.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from theodolite.errors import InvalidArgument, TheodoliteError
from theodolite.surveys.sharding import Shard

BACKENDS = ("loky", "dask", "ray", "sequential")


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
    if isinstance(n_jobs, bool) or not (n_jobs == -1 or n_jobs >= 1):
        raise InvalidArgument(
            f"n_jobs must be at least 1, or -1 for one process a core; got {n_jobs!r}.",
            code="E-N02",
        )
    if threads is not None and threads < 1:
        raise InvalidArgument(f"threads must be at least 1; got {threads}.", code="E-N02")
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

    ``mends`` tells whether such a pool replaces its dead by itself; if not, it is made anew.
    ``close`` ends the workers at once, whatever they are doing.
    """

    submit: Callable[..., Future[Any]]
    close: Callable[[], None]
    dead: tuple[type[BaseException], ...]
    mends: bool


def pool_of(engine: Engine) -> Pool:
    """Start, or connect to, the workers of an engine."""
    return {"loky": loky_pool, "dask": dask_pool, "ray": ray_pool}[engine.backend](engine)


def loky_pool(engine: Engine) -> Pool:
    """Processes of this machine, started anew (never forked from a process with threads)."""
    from joblib.externals.loky import ProcessPoolExecutor

    count = str(engine.threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    made = ProcessPoolExecutor(engine.workers, env={**dict.fromkeys(names, count)})

    def close() -> None:
        made.shutdown(wait=True, kill_workers=True)

    return Pool(made.submit, close, (BrokenExecutor,), mends=False)


def dask_pool(engine: Engine) -> Pool:
    """Workers of a dask cluster: the given one, else one of this machine with its own processes."""
    import dask
    import distributed
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

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
        executor.shutdown(wait=False)
        client.close()
        if cluster is not None:
            cluster.close()

    return Pool(executor.submit, close, (KilledWorker, FutureCancelledError), mends=True)


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

    return Pool(submit, close, (WorkerCrashedError, OutOfMemoryError, NodeDiedError), mends=True)


@contextmanager
def unreachable(engine: Engine) -> Iterator[None]:
    """Name the cluster that could not be reached or started."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        where = engine.scheduler or "this machine"
        raise TheodoliteError(
            f"no {engine.backend} workers on {where}: {str(error).splitlines()[0][:200]}",
            fix="check the address given to --scheduler, or use --backend loky."
            if engine.scheduler
            else "use --backend loky, which needs no server.",
            code="E-N05",
        ) from error
