"""A monitor as a callback of PyTorch Lightning (extra ``lightning``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from theodolite.errors import InvalidArgument

if TYPE_CHECKING:
    from theodolite.monitoring import Monitor

try:  # the two names under which Lightning is installed; a module belongs to one of them
    from pytorch_lightning import Callback
except ImportError:
    try:
        from lightning.pytorch import Callback  # type: ignore[no-redef,unused-ignore]
    except ImportError as error:
        raise InvalidArgument(
            "the callback for Lightning needs Lightning, which is not installed.",
            fix='pip install "theodolite[lightning]"',
            code="E-M21",
        ) from error


class MonitorCallback(Callback):  # type: ignore[misc,unused-ignore]
    """Measure while a ``Trainer`` fits; the monitor's state is kept in its checkpoints.

    Parameters
    ----------
    monitor
        A `td.Monitor` whose objective holds the LightningModule that is fitted, or a module
        inside it.

    Notes
    -----
    Called after every batch; a batch without an optimizer step (gradient accumulation) does not
    count. Read-only: it asks for nothing, stops nothing and writes to nothing of the trainer's.
    With several optimizers there is no threshold. With ``every="epoch"`` the last batch of an
    epoch is the moment, before validation. Not for parameters that a strategy has cut into pieces
    (FSDP, DeepSpeed stage 3): those measurements fail and say so.

    Examples
    --------
    ``Trainer(callbacks=[MonitorCallback(td.Monitor(objective, every=100))])``
    """

    def __init__(self, monitor: Monitor) -> None:
        super().__init__()
        self.monitor = monitor
        self._seen = 0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self._seen = int(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.sanity_checking or trainer.global_step == self._seen:
            return
        self._seen = int(trainer.global_step)
        optimizers = trainer.optimizers
        optimizer = optimizers[0] if len(optimizers) == 1 else None
        epoch = trainer.current_epoch + bool(trainer.is_last_batch)
        self.monitor.step(optimizer, step=self._seen, epoch=float(epoch))

    def on_train_end(self, trainer: Any, module: Any) -> None:
        self.monitor.close()

    def on_exception(self, trainer: Any, module: Any, exception: BaseException) -> None:
        self.monitor.close()

    def state_dict(self) -> dict[str, Any]:
        return self.monitor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.monitor.load_state_dict(state_dict)
