"""One objective shared by the processes of a group: each holds some batches, all get the sums.

Every exchange starts with a header of the same shape, so a rank that failed is heard by the
others wherever they are, and ranks that make different calls find out instead of waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidData, RankFailed, TheodoliteError
from theodolite.objective.mistakes import told
from theodolite.objective.rules import Sample
from theodolite.objective.statistics import Moments

Result = TypeVar("Result")

WELL, FAILED = 0, 1
CALLS = ("pass over the data", "sum of derivatives", "BatchNorm statistics", "comparison")
PASS, SUM, MOMENTS, COMPARISON = range(4)

_WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, eq=False)
class Ranks:
    """This process among those of a group; ``place`` is where the group exchanges tensors."""

    group: Any
    rank: int
    size: int
    place: torch.device

    def agreed(self, body: Callable[[], Result]) -> Result:
        """`body()`; if it fails here, the other ranks are told at their next exchange."""
        try:
            return body()
        except BaseException as error:
            if isinstance(error, Exception) and not getattr(error, "ranks_know", False):
                self._announce(error)
            raise

    def gathered(self, body: Callable[[], list[Sample]], indices: list[int]) -> list[Sample]:
        """The samples of all batches of all ranks, in the order of the data.

        `body` leaves the place of each of its samples among all batches in `indices`.
        """
        samples = self.agreed(body)
        kinds = [[k for k in sample if k is not None] for sample in samples]
        columns = min(map(len, kinds))
        counts = [len(sample[0]) for sample in samples]
        flat = [torch.cat([kind[c] for kind in kinds]).double() for c in range(columns)]
        head = torch.tensor([*indices, *counts], dtype=torch.float64)
        mine = torch.cat([head, *(column.cpu() for column in flat)])
        rows = self._headers(PASS, len(samples), sum(counts), columns)
        lengths = [2 * batches + n * width for batches, n, width in rows]
        whole = self._padded(mine, lengths)
        device = samples[0][0].device
        found: dict[int, Sample] = {}
        fewest = min(width for *_, width in rows)
        for (batches, n, _), payload in zip(rows, whole, strict=True):
            found |= _split(payload.to(device), batches, n, fewest)
        return [found[index] for index in sorted(found)]

    def summed(self, body: Callable[[], tuple[Tensor, bool]]) -> tuple[Tensor, bool]:
        """The sum of what `body` gives on all ranks, the same bits on each, and if any is true."""
        part, attached = self.agreed(body)
        rows = self._headers(SUM, part.numel(), int(attached))
        total = part.detach().to(self.place, copy=True).contiguous()
        with _contact():
            dist.all_reduce(total, group=self.group)
        return total.to(part.device), any(bool(row[1]) for row in rows)

    def merged(self, found: dict[int, Moments]) -> dict[int, Moments]:
        """Moments of all ranks, by place of the layer, merged in the order of ranks."""
        self._headers(MOMENTS)
        mine = {k: (m.count, _cpu(m.mean), _cpu(m.spread)) for k, m in found.items()}
        together: dict[int, Moments] = {}
        for part in self._objects(mine):
            for k, (count, mean, spread) in part.items():
                place = found[k].mean.device if k in found else self.place  # type: ignore[union-attr]
                together.setdefault(k, Moments()).merge(
                    Moments(count, mean.to(place), spread.to(place))
                )
        return together

    def alike(self, tensor: Tensor, name: str) -> None:
        """Raise unless `tensor` is the same on every rank: else their sums belong to no point."""
        rows = self._headers(COMPARISON, tensor.numel(), _checksum(tensor))
        self._compare(
            rows,
            f"{name} differs between the ranks",
            "make it from the same checkpoint and the same seed on every rank, or broadcast it.",
            "E-O62",
        )

    def alike_objectives(self, fingerprint: str, own: int, whole: int) -> None:
        """Raise unless model, data and settings agree and the ranks' batches make up the data.

        `own` and `whole` are sums of hashes of examples, which no order changes.
        """
        rows = self._headers(COMPARISON, int(fingerprint[:15], 16), whole, own)
        self._compare(
            [row[:2] for row in rows],
            "the objective differs between the ranks",
            "give every rank the same weights, the whole data, the same loss and settings.",
            "E-O63",
        )
        if sum(row[2] for row in rows) % (1 << 64) != whole % (1 << 64):
            raise _known(
                InvalidData(
                    "the ranks read the data in different orders: some batches would count twice, "
                    "others not at all.",
                    why="each rank keeps every N-th batch, and shuffling gives each another order.",
                    fix="pass the whole data with shuffle=False, without a DistributedSampler.",
                    code="E-O64",
                )
            )

    def first(self, value: Result) -> Result:
        """The value of the first rank."""
        self._headers(COMPARISON)
        return self._objects(value)[0]  # type: ignore[no-any-return]

    def _compare(self, rows: list[list[int]], what: str, fix: str, code: str) -> None:
        other = [k for k, row in enumerate(rows) if row != rows[0]]
        if other:
            named = ", ".join(map(str, other))
            raise _known(
                InvalidArgument(f"{what}: rank 0 has other than rank {named}.", fix=fix, code=code)
            )

    def _announce(self, error: Exception) -> None:
        header = torch.tensor([FAILED, 0, 0, 0, 0], dtype=torch.int64, device=self.place)
        self._all(header)
        self._objects(_headline(error))
        error.ranks_know = True  # type: ignore[attr-defined]

    def _headers(self, call: int, *numbers: int) -> list[list[int]]:
        """The numbers of every rank, once all are known to be well and in the same call."""
        padded = [_signed(k) for k in (*numbers, 0, 0, 0)[:3]]
        mine = torch.tensor([WELL, call, *padded], dtype=torch.int64, device=self.place)
        rows = torch.stack(self._all(mine)).tolist()
        bad = [k for k, row in enumerate(rows) if row[0] == FAILED]
        if bad:
            self._refuse_failed(bad)
        calls = [row[1] for row in rows]
        if len(set(calls)) > 1:
            told_calls = ", ".join(f"rank {k}: {CALLS[c]}" for k, c in enumerate(calls))
            raise _known(
                RankFailed(
                    f"the ranks make different calls ({told_calls}).",
                    why="a measurement runs on some ranks only, or in another order.",
                    fix="call every measurement on all ranks, with the same arguments.",
                    code="E-O65",
                )
            )
        return [row[2 : 2 + len(numbers)] for row in rows]

    def _refuse_failed(self, bad: list[int]) -> None:
        messages = self._objects("")
        first = bad[0]
        raise _known(
            RankFailed(
                f"rank {first} failed: {messages[first]}",
                where=f"{len(bad)} of {self.size} ranks; this is rank {self.rank}",
                fix=f"mend what rank {first} reports.",
                code="E-O61",
            )
        )

    def _padded(self, mine: Tensor, lengths: list[int]) -> list[Tensor]:
        most = max(lengths)
        sent = torch.zeros(most, dtype=torch.float64)
        sent[: len(mine)] = mine
        found = self._all(sent.to(self.place))
        return [row[:n] for row, n in zip(found, lengths, strict=True)]

    def _objects(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        with _contact():
            dist.all_gather_object(found, value, group=self.group)
        return found

    def _all(self, mine: Tensor) -> list[Tensor]:
        found = [torch.empty_like(mine) for _ in range(self.size)]
        with _contact():
            dist.all_gather(found, mine, group=self.group)
        return found


@contextmanager
def _contact() -> Iterator[None]:
    """Tell a lost connection as what it means."""
    try:
        yield
    except RuntimeError as error:
        raise _known(
            RankFailed(
                f"the contact to the other ranks was lost: {told(error)}",
                why="a rank has ended, or has not made this call within the group's timeout.",
                fix="look at what the other ranks printed; all ranks must make the same calls.",
                code="E-O67",
            )
        ) from error


def ranks_of(process_group: Any, device: torch.device) -> Ranks | None:
    """The ranks of a group, or of all processes for ``"world"``; None where there is one."""
    if process_group is None:
        return None
    if not dist.is_available() or not dist.is_initialized():
        raise _refused(
            "process_group needs torch.distributed, which is not initialized.",
            'call torch.distributed.init_process_group("gloo") in a script started by torchrun.',
        )
    group = dist.group.WORLD if process_group == "world" else process_group
    if isinstance(group, str) or not isinstance(group, dist.ProcessGroup):
        raise _refused(
            f'process_group must be "world" or a group of torch.distributed that this process '
            f"belongs to; got {process_group!r}.",
            "pass a group on its own members only.",
        )
    place = device if dist.get_backend(group) == "nccl" else torch.device("cpu")
    made = Ranks(group, dist.get_rank(group), dist.get_world_size(group), place)
    return made if made.size > 1 else None


def _refused(what: str, fix: str) -> InvalidArgument:
    return InvalidArgument(what, fix=fix, code="E-O60")


def _split(payload: Tensor, batches: int, n: int, columns: int) -> dict[int, Sample]:
    """The samples of one rank by the place of their batch."""
    head, values = payload[: 2 * batches].tolist(), payload[2 * batches :]
    counts = [int(k) for k in head[batches:]]
    cut = [values[c * n : (c + 1) * n].split(counts) for c in range(columns)]
    found: dict[int, Sample] = {}
    for k, index in enumerate(head[:batches]):
        hits = (cut[2][k], cut[3][k]) if columns == 4 else (None, None)
        found[int(index)] = (cut[0][k], cut[1][k], *hits)
    return found


def _checksum(tensor: Tensor) -> int:
    """The sum of a tensor's words: equal for equal bits, and hardly ever for others."""
    flat = tensor.detach().contiguous().reshape(-1)
    return int(flat.view(_WORDS[flat.element_size()]).sum(dtype=torch.int64)) if len(flat) else 0


def _signed(number: int) -> int:
    """A number modulo 2^64 as int64 holds it."""
    wrapped = number % (1 << 64)
    return wrapped - (1 << 64) if wrapped >= 1 << 63 else wrapped


def _headline(error: Exception) -> str:
    if isinstance(error, TheodoliteError):
        return f"{type(error).__name__}: {error.what} [{error.code}]"
    return told(error)


def _cpu(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().cpu()


def _known(error: TheodoliteError) -> TheodoliteError:
    """`error`, which every rank raises: nobody has to be told."""
    error.ranks_know = True  # type: ignore[attr-defined]
    return error
