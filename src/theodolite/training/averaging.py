"""Averages of weights along a training: SWA and EMA, on top of torch.optim.swa_utils."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, final

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from theodolite.errors import InvalidArgument, InvalidData, StorageError
from theodolite.objective.statistics import batch_norm_layers
from theodolite.training.batch_norm import recompute_batch_norm


class WeightAverage:
    """What SWA and EMA share; not to be built by itself."""

    def __init__(self, model: nn.Module, average: AveragedModel, *, start: int, every: int) -> None:
        check_times(start, every, type(self).__name__)
        self._model, self._average = model, average
        self._start, self._every = start, every

    @property
    def count(self) -> int:
        """How many points were averaged."""
        return int(self._average.n_averaged)

    def __call__(self, step: int) -> bool:
        """Take in the model as it is after `step` updates, if it is due; returns whether it was."""
        if not due(step, self._start, self._every):
            return False
        self._average.update_parameters(self._model)
        return True

    def network(self, batches: Iterable[Any] | None = None) -> nn.Module:
        """A new network in eval mode with the averaged weights and its own BatchNorm statistics.

        ``batches`` are the training data, as `recompute_batch_norm` takes them; needed where there
        is BatchNorm (E-W14). Other buffers are the model's at the last point. Raises `InvalidData`
        before the first point (E-W13). Costs a copy of the model and a pass a BatchNorm layer.
        """
        refuse_none(self.count, 1, type(self).__name__)
        return finished(self._average.module, batches)

    def state_dict(self) -> dict[str, Any]:
        """Averages, buffers and count as tensors."""
        return {k: v.detach().clone() for k, v in self._average.state_dict().items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave; raises `StorageError` for another model's (E-W15).

        ``start``, ``every`` and ``decay`` are this object's.
        """
        refuse_foreign(state_dict, self._average.state_dict(), type(self).__name__)
        self._average.load_state_dict(state_dict)


@final
class SWA(WeightAverage):
    r"""Stochastic weight averaging: the mean of the weights at some steps of a training.

    .. math:: \bar\theta = \tfrac1n \sum_{k=1}^n \theta_k

    Parameters
    ----------
    model
        The network being trained; read, never written.
    start, every
        Call with the number of updates done; taken in are ``start``, ``start + every`` and so on.

    Notes
    -----
    Holds one copy of the model, in its own precision. The mean is only a good point where the
    points lie in one basin and the learning rate was still high enough to move between them, which
    is not checked; its BatchNorm statistics must be computed anew, see `network`. Raises
    `InvalidArgument` for times that are none (E-W16). Izmailov, Podoprikhin, Garipov, Vetrov,
    Wilson (2018), arXiv:1803.05407.

    Examples
    --------
    >>> w = nn.Linear(1, 1, bias=False)
    >>> swa = SWA(w, start=1)
    >>> for step, value in enumerate([9.0, 1.0, 2.0]):
    ...     _ = w.weight.data.fill_(value), swa(step)
    >>> swa.count, swa.network().weight.item()
    (2, 1.5)
    """

    def __init__(self, model: nn.Module, *, start: int = 0, every: int = 1) -> None:
        super().__init__(model, AveragedModel(model), start=start, every=every)


@final
class EMA(WeightAverage):
    r"""Exponential moving average of the weights of a training.

    .. math:: \bar\theta_1 = \theta_1, \qquad
              \bar\theta_{k} = \beta \bar\theta_{k-1} + (1 - \beta) \theta_k

    ``decay`` is beta; it remembers about ``1 / (1 - decay)`` points, and the first one with weight
    ``decay**(n-1)``: there is no correction for it. The rest is as for `SWA`. Raises
    `InvalidArgument` for a decay outside 0 to 1 (E-W16). Polyak, Juditsky (1992); Ruppert (1988).

    >>> w = nn.Linear(1, 1, bias=False)
    >>> ema = EMA(w, decay=0.75)
    >>> for step, value in enumerate([1.0, 5.0]):
    ...     _ = w.weight.data.fill_(value), ema(step)
    >>> ema.network().weight.item()  # 0.75 * 1 + 0.25 * 5
    2.0
    """

    def __init__(
        self, model: nn.Module, *, decay: float | int = 0.999, start: int = 0, every: int = 1
    ) -> None:
        if not 0 <= decay <= 1:
            raise InvalidArgument(
                f"decay must lie between 0 and 1; got {decay}.", where="EMA", code="E-W16"
            )
        rule = get_ema_multi_avg_fn(decay)
        super().__init__(model, AveragedModel(model, multi_avg_fn=rule), start=start, every=every)


def finished(model: nn.Module, batches: Iterable[Any] | None) -> nn.Module:
    """A copy in eval mode, with BatchNorm statistics of its own."""
    if batches is None and batch_norm_layers(model):
        raise InvalidArgument(
            "the model has BatchNorm, whose running statistics belong to other weights.",
            fix="pass batches=, the training data as a list of inputs or a loader.",
            code="E-W14",
        )
    network = copy.deepcopy(model).eval()
    network.zero_grad(set_to_none=True)
    if batches is not None:
        recompute_batch_norm(network, batches)
    return network


def due(step: int, start: int, every: int) -> bool:
    """Whether the point after `step` updates is one of those wanted."""
    return step >= start and (step - start) % every == 0


def check_times(start: int, every: int, where: str) -> None:
    """Raise for a first step below 0 or a distance below 1."""
    if start < 0 or every < 1:
        raise InvalidArgument(
            f"start must be at least 0 and every at least 1; got {start} and {every}.",
            where=where,
            code="E-W16",
        )


def refuse_none(count: int, needed: int, where: str) -> None:
    """Raise before there is anything to average."""
    if count < needed:
        raise InvalidData(
            f"{where} needs {needed} points at least; it has taken in {count}.",
            fix="call it after the updates of the training, and check its start.",
            code="E-W13",
        )


def refuse_foreign(found: dict[str, Any], own: dict[str, Any], where: str) -> None:
    """Raise where a saved state has other names or shapes than this one."""
    wrong = [
        k
        for k in {**own, **found}
        if k not in found or k not in own or found[k].shape != own[k].shape
    ]
    if wrong:
        raise StorageError(
            f"the state is another model's: {len(wrong)} entries differ, the first is {wrong[0]}.",
            where=where,
            fix="load it into an average over the same network.",
            code="E-W15",
        )
