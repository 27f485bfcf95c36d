"""Landscape measures during training: read-only, within a budget, and never in its way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import xarray as xr
from torch import Tensor, nn

from theodolite.engines.snapshot import preserved
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.integrations.trackers import Tracker, tracker_of
from theodolite.monitoring.arguments import chosen_measures, facts_of, refuse_module, settings_of
from theodolite.monitoring.log import Log
from theodolite.monitoring.measures import Measure
from theodolite.monitoring.measuring import Place, measured
from theodolite.monitoring.reading import parameters_of, source_of
from theodolite.monitoring.schedule import AHEAD, Account, Schedule, every_of
from theodolite.monitoring.state import restore, state_of
from theodolite.monitoring.telling import publish, tell
from theodolite.objective import Objective
from theodolite.surveys.monitored import Head, history_of


class Monitor:
    r"""Sharpness, its stability threshold and other landscape measures while a model trains.

    Call `step` after every ``optimizer.step()``. When a measurement is due and affordable it is
    made on the objective's own data at the model's present weights; the training itself is
    bit-identical to one without a monitor: parameters, optimizer state, gradients, buffers, modes
    and every random generator. A measure that fails is logged as NaN with its reason and stops
    nothing; only Ctrl-C passes through.

    Parameters
    ----------
    objective
        What is measured: the model that is trained, a loss, and data of the monitor's own (a
        fixed sample of the training data; a few hundred to thousand examples). The training's
        loader is never read.
    every
        A whole number of steps, ``"epoch"``, or a share of the training time (``"5%"``, 0.05): as
        often as that allows.
    budget
        The largest share of the training time that measuring may take, beyond the first second.
        A measurement beyond it is skipped, and so are dear measures of the first. None: no limit.
    measures
        Names from ``theodolite.monitoring.MEASURES``, or `Measure` values of your own; by default
        all; ``"batch_sharpness"`` with a `batch_size`, ``"noise_scale"`` outside training mode.
    eigenvalues
        Largest eigenvalues to follow, begun from the last vectors; 2 to 4 as they come together.
    batch_size, batches
        The training's batch size, and how many random batches of the monitor's data are measured.
    tolerance
        Residual allowed, relative to the largest eigenvalue; the error is about its square.
    engine
        As for `hessian`; ``"differences"`` where the loss has no second derivative.
    folder
        A run folder for `theodolite report`: ``monitor.jsonl``, a line a measurement.
    trackers
        TensorBoard ``SummaryWriter``, W&B run, ``mlflow``, a Lightning logger, or any function
        ``(values, step)``; see `add`.
    show
        Print a line a measurement to stderr.

    Raises
    ------
    InvalidType, InvalidArgument
        For arguments that mean nothing: ``docs/errors.md``, codes E-M.

    Notes
    -----
    A measurement with the defaults costs about 10 to 20 Hessian products of 6 forward passes over
    the objective's data, twice that under Adam; the first one more. Memory: graphs of those passes,
    ``2 * eigenvalues + 30`` to 200 vectors meanwhile, ``2 * eigenvalues`` and the start in
    between. Two steps before a measurement parameters are copied, for the angle between updates.
    With ``torch.distributed`` rank 0 measures and the others wait for it at their next exchange,
    unless the objective is shared (``process_group``), which needs ``budget=None``.

    Parameters are looked up by name at every measurement, so they may be other objects than at
    the start, of the same shapes. Not checked: that the objective's loss is the one trained on,
    that its data are like the training's; dropout and augmentation are not part of it.

    References
    ----------
    Cohen et al. (2021), arXiv:2103.00065; (2022), arXiv:2207.14484.
    Andreyev, Beneventano (2024), arXiv:2412.20553.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = nn.Linear(2, 1, bias=False)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    >>> monitor = Monitor(td.Objective(model, nn.MSELoss(), (x, y)), every=1)
    >>> found = monitor.step(optimizer)  # after optimizer.step(), in a loop
    >>> round(found["relative_sharpness"], 5)  # eigenvalues 1 and 4, threshold 2 / 0.25
    0.5
    """

    def __init__(
        self,
        objective: Objective,
        *,
        every: int | str | float = 100,
        budget: float | int | str | None = 0.05,
        measures: Sequence[str | Measure] | None = None,
        eigenvalues: int = 2,
        batch_size: int | None = None,
        batches: int = 8,
        tolerance: float | int = 1e-2,
        engine: str = "kept",
        folder: str | Path | None = None,
        trackers: Iterable[Any] = (),
        show: bool = False,
        seed: int = 0,
    ) -> None:
        if not isinstance(objective, Objective):
            raise InvalidType(
                f"objective must be a td.Objective; got {type(objective).__name__}.",
                fix="pass td.Objective(model, loss, data), with data of the monitor's own.",
                code="E-M04",
            )
        wish = every_of(every, budget)
        if objective.ranks is not None and not (wish.share is None and wish.steps):
            raise InvalidArgument(
                "an objective shared by processes is measured by all of them at the same steps.",
                why="clocks differ between processes, so a budget would make them disagree.",
                fix="pass every=100 (a number of steps) and budget=None.",
                code="E-M07",
            )
        self.objective = objective
        self.settings = settings_of(
            objective, eigenvalues, batch_size, batches, tolerance, engine, seed
        )
        self.measures = chosen_measures(measures, self.settings, objective)
        self.show = bool(show)
        self.trackers: list[Tracker] = [tracker_of(t) for t in trackers]
        self._schedule = Schedule(wish, Account())
        facts = facts_of(objective, self.settings, {"every": every, "budget": budget})
        names = {k: v for m in self.measures for k, v in m.names.items()}
        head = Head(facts, names, {m.name: list(m.names) for m in self.measures})
        self._log = Log(None if folder is None else Path(folder), head)
        self._steps = 0
        self._kept: dict[int, Tensor] = {}
        self._warm: dict[str, Tensor] = {}
        self._told: set[str] = set()
        self._start = parameters_of(objective, objective.model)

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def steps(self) -> int:
        """Optimizer steps counted so far."""
        return self._steps

    @property
    def share(self) -> float:
        """What measuring took so far, as a share of the time of training."""
        return self._schedule.account.share()

    @property
    def skipped(self) -> int:
        """Measurements that were due and left out for the budget."""
        return self._schedule.skipped

    def add(self, tracker: Any) -> Monitor:
        """Send values to one more tracker; raises `InvalidType` where it is none."""
        self.trackers.append(tracker_of(tracker))
        return self

    def step(
        self,
        optimizer: Any = None,
        *,
        step: int | None = None,
        epoch: float | int | None = None,
        model: nn.Module | None = None,
    ) -> Mapping[str, Any] | None:
        """Count one optimizer step, and measure if one is due; call it after the optimizer's.

        Parameters
        ----------
        optimizer
            Read for the stability threshold; without it that measure is NaN.
        step
            The steps done, where the caller counts them; else every call is one. With gradient
            accumulation call once an update, not once a batch.
        epoch
            Epochs done, a fraction or whole; needed for ``every="epoch"``.
        model
            Where the trained weights are in another module than the objective's (a copy, an
            average); its parameters have the same names and shapes.

        Returns
        -------
        Mapping or None
            The values by name, None where nothing was measured. About a microsecond then.
        """
        self._steps = self._steps + 1 if step is None else int(step)
        if self._passive():
            return None
        refuse_module(optimizer)
        schedule = self._schedule
        schedule.account.begin()
        if schedule.due(self._steps, epoch):
            return self._measure(optimizer, epoch, model, schedule.room())
        if schedule.nearing(self._steps):
            self._keep(model)
        elif self._kept:
            self._kept.clear()
        return None

    def measure(
        self, optimizer: Any = None, *, epoch: float | int | None = None, model: Any = None
    ) -> Mapping[str, Any] | None:
        """Measure now, whatever schedule and budget say, at the steps counted so far."""
        refuse_module(optimizer)
        self._schedule.account.begin()
        return None if self._passive() else self._measure(optimizer, epoch, model)

    def history(self) -> xr.Dataset:
        """All measurements as a "monitor" result over ``time``, in optimizer steps.

        A value that was not measured is NaN; ``status(time, measure)`` and ``attrs["failures"]``
        say why.
        """
        made = history_of(self._log.head, self._log.rows)
        made.attrs |= {"skipped": self.skipped, "measuring_share": self.share}
        return made

    def close(self) -> None:
        """Note the end of the training in the folder; measuring again is allowed."""
        share = self.share
        if self._steps and not self._passive():
            share_known = share if math.isfinite(share) else None
            tell(self, lambda: self._log.close(steps=self._steps, share=share_known))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on: plain containers and tensors, for `torch.save`.

        Holds the start of training and the last eigenvectors: ``1 + 2 * eigenvalues`` vectors
        at most.
        """
        return state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; rows measured later are dropped, to be redone.

        Raises `InvalidArgument` for a state of other parameters.
        """
        restore(self, state)

    def _passive(self) -> bool:
        """Whether another process measures: rank 0 does, unless all share the objective."""
        if self.objective.ranks is not None or not dist.is_available():
            return False
        return dist.is_initialized() and dist.get_rank() != 0

    def _keep(self, model: nn.Module | None) -> None:
        """Copy the parameters two steps and one step before a measurement."""
        account = self._schedule.account
        began = account.clock()
        try:
            source = source_of(self.objective, model)
            place = preserved((), lambda: parameters_of(self.objective, source))
            self._kept = {k: v for k, v in self._kept.items() if k >= self._steps - 1}
            self._kept[self._steps] = place
        except InvalidArgument:  # they changed shape; the measurement will say so
            self._kept.clear()
        finally:
            account.spend(account.clock() - began, whole=False)

    def _measure(
        self, optimizer: Any, epoch: Any, model: nn.Module | None, room: float | None = None
    ) -> Mapping[str, Any]:
        if self.objective.device.type == "cuda":
            torch.cuda.synchronize(self.objective.device)  # else training's own work is billed
        account, complete = self._schedule.account, False
        training, began = account.training(), account.clock()
        try:
            place = Place(self._steps, epoch, optimizer, model, self._start, dict(self._kept), room)
            row, values, heard = measured(self, place)
            row |= {"training_seconds": training, "measuring_seconds": account.clock() - began}
            publish(self, row, values, heard)
            complete = True
        finally:
            account.spend(account.clock() - began, whole=complete)
        if 0 < self._schedule.every.steps <= AHEAD:
            self._keep(model)
        else:
            self._kept.clear()
        return values
