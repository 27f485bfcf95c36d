"""The options that say by how many processes, and on which machines, units are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from theodolite.surveys.pools import Engine


@Parameter(name="*")
@dataclass(frozen=True)
class Scale:
    """Shared by the commands that compute; None means not given."""

    n_jobs: Annotated[
        int, Parameter(name="--n-jobs", help="Processes that compute; -1 for one a core.")
    ] = 1
    backend: Annotated[str, Parameter(help="loky (this machine), dask, ray or sequential.")] = (
        "loky"
    )
    scheduler: Annotated[
        str | None, Parameter(help="Address of a dask scheduler or a ray cluster.")
    ] = None
    threads: Annotated[
        int | None, Parameter(help="Threads of each process; else the cores by --n-jobs.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Spread:
    """A survey divided over machines; None means not given."""

    shard: Annotated[
        str | None, Parameter(help="Compute part K/N; auto asks torchrun or SLURM.")
    ] = None
    launcher: Annotated[
        str | None, Parameter(help="slurm submits a job array; local runs it here.")
    ] = None
    tasks: Annotated[int | None, Parameter(help="Tasks of the array, a shard each.")] = None
    slurm: Annotated[
        tuple[str, ...], Parameter(help="key=value: partition, time, cpus, gpus, mem, ...")
    ] = ()


def engine_of(scale: Scale, shard: str | None = None) -> Engine:
    """The engine the options describe."""
    import os

    from theodolite.surveys import pools, sharding

    part = None if shard is None else sharding.parse_shard(shard, os.environ)
    return pools.engine_of(
        scale.n_jobs, scale.backend, scheduler=scale.scheduler, threads=scale.threads, shard=part
    )
