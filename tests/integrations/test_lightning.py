"""A monitor in PyTorch Lightning.

Oracle: the same fit without it, bit for bit; an objective at the weights of a checkpoint.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from tests.monitoring import trainings
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td
from theodolite.integrations.lightning import MonitorCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and loggers


class Lit(pl.LightningModule):
    """The network of the other tests, with Lightning's own loop."""

    def __init__(self) -> None:
        super().__init__()
        self.net = trainings.Net(0.0)

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        made = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [made], [torch.optim.lr_scheduler.StepLR(made, 1, 0.5)]


class States(pl.Callback):
    """Hashes of everything after every batch."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.seen.append(trainings.digest(trainings.state(module, trainer.optimizers[0]), batch))


def fitted(
    folder: Path, *, epochs: int = 2, monitored: bool = True, path: str | None = None, **how: Any
) -> tuple[list[str], td.Monitor | None, Lit]:
    trainings.seeded()
    module, states = Lit(), States()
    callbacks: list[Any] = [states]
    monitor = None
    if monitored:
        keep = how.pop("measures", ["loss", "path", "eigenvalues", "threshold"])
        monitor = trainings.monitored(module.net, batch_size=None, measures=keep, **how)
        callbacks.insert(0, MonitorCallback(monitor))
    callbacks.append(ModelCheckpoint(folder, save_last=True, save_top_k=0))
    accumulate = 2
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=1.0,
        default_root_dir=folder,
    )
    trainings.seeded()
    loader = DataLoader(TensorDataset(*trainings.data(64)), batch_size=8, shuffle=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, loader, ckpt_path=path)
    return states.seen, monitor, module


def test_the_fit_is_the_same_with_and_without_a_monitor(tmp_path: Path) -> None:
    # Kills: batches without an update counted as steps; a state of the fit disturbed.
    plain, _, _ = fitted(tmp_path / "a", monitored=False)
    seen, monitor, module = fitted(tmp_path / "b", every=2)
    assert monitor is not None
    history = monitor.history()
    assert history["time"].values.tolist() == [2, 4, 6, 8]  # 8 batches an epoch, 2 an update
    assert history["epoch"].values.tolist() == [0, 1, 1, 2]
    assert history.attrs["failures"] == "{}"
    assert history.attrs["rule"] == "heavy ball"
    # Lightning steps its schedules before this hook: the rate is that of the next update.
    assert history["learning_rate"].values.tolist() == [0.1, 0.05, 0.05, 0.025]
    last = td.Objective(module.net, nn.CrossEntropyLoss(), trainings.data(64))
    assert float(history["loss"][-1]) == float(last.value())
    assert seen == plain


def test_epochs_and_a_restart_from_lightnings_checkpoint(tmp_path: Path) -> None:
    # Kills: state not in the checkpoint; rows of the first part lost; the start taken anew.
    _, whole, _ = fitted(tmp_path / "a", epochs=3, every="epoch")
    fitted(tmp_path / "b", epochs=1, every="epoch")
    last = str(tmp_path / "b" / "last.ckpt")
    _, monitor, _ = fitted(tmp_path / "b", epochs=3, every="epoch", path=last)
    assert whole is not None
    assert monitor is not None
    mine, other = monitor.history(), whole.history()
    assert mine["time"].values.tolist() == [4, 8, 12] == other["time"].values.tolist()
    assert float(mine["distance_from_start"][0]) == float(other["distance_from_start"][0])
    assert np.isfinite(mine["sharpness"]).all()
