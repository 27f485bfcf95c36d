"""Shards: every N-th unit of a plan, each computed by a process of its own into its own store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from theodolite.errors import InvalidArgument

SHARDS = "shards"
"""The folder of a run that holds one run folder a shard."""

MOST = 100_000
"""Parts of a plan: `status` has a line for each."""

_NAME = re.compile(r"([1-9][0-9]{0,5})-of-([1-9][0-9]{0,5})")
_TEXT = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Shard:
    """Part `part` of `parts`, counted from 1.

    >>> str(Shard(1, 2))
    '1/2'
    """

    part: int
    parts: int

    def __post_init__(self) -> None:
        if not 1 <= self.part <= self.parts <= MOST:
            raise InvalidArgument(
                f"shard K/N must have 1 <= K <= N <= {MOST}; got {self.part}/{self.parts}.",
                fix="for example --shard 1/4 to --shard 4/4.",
                code="E-N11",
            )

    def __str__(self) -> str:
        return f"{self.part}/{self.parts}"

    @property
    def name(self) -> str:
        return f"{self.part}-of-{self.parts}"


def parse_shard(text: str, environment: Mapping[str, str]) -> Shard:
    """``K/N``, or ``auto``: what the launcher says about this process.

    Raises `InvalidArgument` for another text (E-N11), and where nothing tells (E-N12).

    >>> parse_shard("2/3", {})
    Shard(part=2, parts=3)
    >>> parse_shard("auto", {"RANK": "0", "WORLD_SIZE": "2"})
    Shard(part=1, parts=2)
    """
    if text == "auto":
        return from_environment(environment)
    match = _TEXT.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            f"shard must be K/N with whole numbers, or auto; got {text[:40]!r}.",
            fix="for example --shard 1/4.",
            code="E-N11",
        )
    return Shard(int(match[1]), int(match[2]))


def from_environment(environment: Mapping[str, str]) -> Shard:
    """The shard that torchrun, a SLURM array or srun gives this process, in that order.

    Task numbers of an array count from ``SLURM_ARRAY_TASK_MIN`` to ``SLURM_ARRAY_TASK_MAX`` and
    must have no gaps.
    """
    have = environment.get
    pairs = (
        ("RANK", "WORLD_SIZE", "0"),
        ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", have("SLURM_ARRAY_TASK_MIN", "0")),
        ("SLURM_PROCID", "SLURM_NTASKS", "0"),
    )
    for index, count, least in pairs:
        values = (have(index), have(count), least)
        if None in values[:2]:
            continue
        if not all(v is not None and _NUMBER.fullmatch(v) for v in values):
            raise InvalidArgument(
                f"{index}={str(values[0])[:20]!r} and {count}={str(values[1])[:20]!r} are not "
                "whole numbers.",
                fix="pass --shard K/N.",
                code="E-N12",
            )
        k, n, low = (int(v) for v in values if v is not None)
        last = have("SLURM_ARRAY_TASK_MAX", "") if "ARRAY" in index else ""
        if not low <= k < low + n or last not in ("", str(low + n - 1)):
            raise InvalidArgument(
                f"{index} is {k}{f', the last {last}' * bool(last)} and {count} is {n}: the "
                "numbers have gaps.",
                fix="number the tasks without gaps, or pass --shard K/N.",
                code="E-N12",
            )
        return Shard(k - low + 1, n)
    raise InvalidArgument(
        "--shard auto found no launcher that numbers this process.",
        where=", ".join(f"{a} and {b}" for a, b, _ in pairs) + " are not set",
        fix="start it with torchrun or srun, or pass --shard K/N.",
        code="E-N12",
    )


def shard_units(groups: Sequence[str], units: Sequence[int], shard: Shard) -> dict[str, set[int]]:
    """The units of one shard, by group: every N-th of all, groups one after the other.

    >>> shard_units(["a", "b"], [1, 4], Shard(1, 2))
    {'a': {0}, 'b': {1, 3}}
    """
    found: dict[str, set[int]] = {}
    first = 0
    for name, count in zip(groups, units, strict=True):
        found[name] = {k for k in range(count) if (first + k) % shard.parts == shard.part - 1}
        first += count
    return found


def shard_folder(run: Path, shard: Shard) -> Path:
    """Where a shard of a run keeps its units."""
    return run / SHARDS / shard.name


def shard_folders(run: Path) -> list[tuple[Shard, Path]]:
    """The shards a run has, in a fixed order."""
    if not (run / SHARDS).is_dir():
        return []
    found = []
    for place in (run / SHARDS).iterdir():
        match = _NAME.fullmatch(place.name)
        if match and int(match[1]) <= int(match[2]) and (place / "provenance.json").exists():
            found.append((Shard(int(match[1]), int(match[2])), place))
    return sorted(found, key=lambda pair: (pair[0].parts, pair[0].part))
