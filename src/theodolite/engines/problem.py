"""What the engines need of an objective, and smaller or wider versions of one for checks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

MISTAKES = (
    RuntimeError,
    NotImplementedError,
    TypeError,
    ValueError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)
"""Plain errors: what torch and user code raise, and no error of ours or of the user's kind."""


@runtime_checkable
class Problem(Protocol):
    """A loss that is a sum of shares, one a batch, as a function of a flat vector.

    ``forward.fresh(theta)`` gives the tensors of the model at `theta`, ``forward.run_named`` runs
    with them; ``share(batch)`` is one batch's differentiable share of the loss, inside such a run.
    """

    @property
    def model(self) -> nn.Module: ...
    @property
    def space(self) -> Any: ...
    @property
    def data(self) -> Any: ...
    @property
    def forward(self) -> Any: ...
    @property
    def terms(self) -> Any: ...
    @property
    def dtype(self) -> torch.dtype: ...
    def share(self, batch: Any) -> Tensor: ...
    def weighted(self, losses: Tensor, weights: Tensor) -> Tensor: ...
    def guarded(
        self, body: Callable[[], Any], *, grad: bool = False, second: bool = False
    ) -> Any: ...
    def converted(self, dtype: torch.dtype) -> Any: ...


@dataclass(frozen=True, eq=False)
class Cast:
    """The batches of `source` with floating tensors in `dtype`, cast as they are read."""

    source: Any
    dtype: torch.dtype

    @property
    def batches(self) -> int:
        return int(self.source.batches)

    def __iter__(self) -> Iterator[Any]:
        def cast(leaf: Any) -> Any:
            floats = isinstance(leaf, Tensor) and leaf.is_floating_point()
            return leaf.to(self.dtype) if floats else leaf

        return (_mapped(batch, cast) for batch in self.source)


def in_float64(problem: Problem) -> Problem:
    """`problem` in double precision; batches are cast as they are read, so memory stays small."""
    bare = over(problem, ()).converted(torch.float64)
    made: Problem = _with_data(bare, Cast(problem.data, torch.float64))
    return made


def over(problem: Problem, batches: tuple[Any, ...]) -> Problem:
    """The share of some batches as a problem of its own, with the weights of the whole."""
    made: Problem = _with_data(problem, replace(problem.data, kept=batches, batches=len(batches)))
    return made


def section(batch: Any, start: int, stop: int) -> Any:
    """The examples of a batch from `start` to `stop`, which may lie beyond its end."""
    count = batch.examples
    if start <= 0 and stop >= count:
        return batch

    def cut(leaf: Any) -> Any:
        by_example = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == count
        return leaf[start:stop] if by_example else leaf

    return replace(_mapped(batch, cut), examples=min(stop, count) - start)


def derivative_at(problem: Problem, leaf: Tensor, batch: Any) -> Tensor | None:
    """The gradient of one batch's share at a leaf; None where no derivative leads through."""

    def gradient() -> Tensor | None:
        share = problem.share(batch)
        if not share.requires_grad:
            return None
        return torch.autograd.grad(share, leaf, allow_unused=True)[0]

    made: Tensor | None = problem.forward.run_named(problem.forward.fresh(leaf), gradient)
    return made


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Tensors that forward() makes without a dtype have this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    trees = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{k: pytree.tree_map(change, v) for k, v in trees.items()})


def _with_data(problem: Any, data: Any) -> Any:
    made = copy.copy(problem)
    object.__setattr__(made, "data", data)
    return made
