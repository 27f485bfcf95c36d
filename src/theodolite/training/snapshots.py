"""The weights at some steps of a training, kept in memory: FGE and snapshot ensembles."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, final

from torch import Tensor, nn

from theodolite.errors import InvalidArgument, StorageError
from theodolite.training.cycles import CYCLES, lowest_steps
from theodolite.training.recipe import Recipe


def snapshot_steps(recipe: Recipe) -> tuple[int, ...]:
    """The updates after which each cycle of a recipe's rate has been at its lowest.

    Raises `InvalidArgument` for a schedule without cycles (E-A96).

    >>> from theodolite import datasets, models
    >>> digits = datasets.digits(flatten=True)
    >>> how = {"schedule": "triangular", "cycles": 3, "epochs": 6}
    >>> snapshot_steps(Recipe(lambda: models.mlp((64, 16, 10)), digits, **how))
    (9, 27, 45)
    """
    if recipe.schedule not in CYCLES:
        raise InvalidArgument(
            f"the rate has no cycles: schedule is {recipe.schedule!r}.",
            fix=f"use schedule={' or '.join(map(repr, CYCLES))}, and cycles=.",
            code="E-A96",
        )
    found = lowest_steps(recipe.schedule, recipe.cycled_steps, recipe.cycles)
    return tuple(recipe.warmup_steps + step for step in found)


@final
class Snapshots:
    """Copies of a network's weights and buffers at some steps of its training.

    With ``snapshot_steps`` of a recipe with cycles these are the members of fast geometric
    ensembling ("triangular", from a trained network) or of a snapshot ensemble ("restarts"):
    ``td.ensemble(objective, snapshots.states)``.

    Parameters
    ----------
    model
        The network being trained; read, never written.
    at
        The numbers of updates done after which to copy it.

    Raises
    ------
    InvalidArgument
        For steps that are none (E-A96).

    Notes
    -----
    Holds one state dict a snapshot, on the model's device. Costs no pass. BatchNorm's running
    statistics are those of the training, which lag behind the weights; an objective with
    ``batch_norm="recompute"`` or flat tensors have them computed. Whether the rate is low at these
    steps is not checked. Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026;
    Huang, Li, Pleiss, Liu, Hopcroft, Weinberger (2017), arXiv:1704.00109.

    Examples
    --------
    >>> w = nn.Linear(1, 1, bias=False)
    >>> snapshots = Snapshots(w, at=[1, 3])
    >>> for step in range(4):
    ...     _ = w.weight.data.fill_(step), snapshots(step)
    >>> snapshots.steps, [s["weight"].item() for s in snapshots.states]
    ([1, 3], [1.0, 3.0])
    """

    def __init__(self, model: nn.Module, *, at: Iterable[int]) -> None:
        given = list(at)
        whole = [hasattr(s, "__index__") and not isinstance(s, bool) for s in given]
        if not given or not all(whole) or any(operator.index(s) < 0 for s in given):
            raise InvalidArgument(
                f"at must hold numbers of updates, 0 or more; got {given}.",
                where="Snapshots",
                fix="pass snapshot_steps(recipe).",
                code="E-A96",
            )
        self._model, self._at = model, frozenset(operator.index(s) for s in given)
        self._kept: dict[int, dict[str, Tensor]] = {}

    @property
    def steps(self) -> list[int]:
        """The steps of the snapshots made, in their order."""
        return sorted(self._kept)

    @property
    def states(self) -> list[dict[str, Tensor]]:
        """The snapshots as state dicts, in the order of their steps."""
        return [dict(self._kept[step]) for step in self.steps]

    def __call__(self, step: int) -> bool:
        """Copy the model as it is after `step` updates, if it is due; returns whether it was."""
        if step not in self._at:
            return False
        state = self._model.state_dict().items()
        self._kept[step] = {n: t.detach().clone() for n, t in state if isinstance(t, Tensor)}
        return True

    def state_dict(self) -> dict[str, Any]:
        """The snapshots as tensors by step and name."""
        return {
            f"{step}/{name}": tensor.clone()
            for step, state in self._kept.items()
            for name, tensor in state.items()
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave; raises `StorageError` for another model's (E-A97).

        ``at`` is this object's.
        """
        own = {n: t.shape for n, t in self._model.state_dict().items() if isinstance(t, Tensor)}
        kept: dict[int, dict[str, Tensor]] = {}
        for key, tensor in state_dict.items():
            step, _, name = str(key).partition("/")
            if own.get(name) != getattr(tensor, "shape", None) or not step.isdecimal():
                raise StorageError(
                    f"the snapshots are another model's: {key!r} is not one of its tensors.",
                    where="Snapshots",
                    fix="load them into snapshots of the same network.",
                    code="E-A97",
                )
            kept.setdefault(int(step), {})[name] = tensor.clone()
        self._kept = kept
