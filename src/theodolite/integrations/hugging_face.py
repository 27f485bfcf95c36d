"""A monitor as a callback of the Hugging Face ``Trainer`` (extra ``hf``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from theodolite.errors import InvalidArgument

if TYPE_CHECKING:
    from theodolite.monitoring import Monitor

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise InvalidArgument(
        "the callback for the Hugging Face Trainer needs transformers, which is not installed.",
        fix='pip install "theodolite[hf]"',
        code="E-M22",
    ) from error

STATE = "theodolite_monitor.pt"
"""The monitor's state in a checkpoint folder of the trainer."""


class MonitorCallback(TrainerCallback):
    """Measure while a ``Trainer`` trains; the monitor's state is kept in its checkpoints.

    Parameters
    ----------
    monitor
        A `td.Monitor` whose objective holds the model that the trainer trains:
        ``td.Objective.from_batch_loss(model, lambda model, batch: model(**batch).loss, batches)``.

    Notes
    -----
    Called once an optimizer step, whatever the gradient accumulation. Read-only: it changes no
    control flag and no log of the trainer's. The state lies in
    ``checkpoint-N/theodolite_monitor.pt`` and is read again by
    ``trainer.train(resume_from_checkpoint=True)`` where the checkpoint is in the trainer's own
    output folder. Not for parameters cut into pieces (FSDP, DeepSpeed stage 3): those
    measurements fail and say so.

    Examples
    --------
    ``Trainer(model, arguments, callbacks=[MonitorCallback(td.Monitor(objective, every=100))])``
    """

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self.monitor = monitor

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        path = _place(args, state)
        if state.global_step > 0 and path.is_file():
            self.monitor.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        epoch = None if state.epoch is None else float(state.epoch)
        self.monitor.step(kwargs.get("optimizer"), step=int(state.global_step), epoch=epoch)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        path = _place(args, state)
        if state.is_world_process_zero and path.parent.is_dir():
            torch.save(self.monitor.state_dict(), path)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.monitor.close()


def _place(args: Any, state: Any) -> Path:
    """The file of the state beside the trainer's own of the same step."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE
