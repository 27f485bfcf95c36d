"""A monitor in the Hugging Face Trainer.

Oracle: the same training without it, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.monitoring import trainings
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

import theodolite as td
from theodolite.integrations.hugging_face import STATE, MonitorCallback

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers and accelerate


@pytest.fixture(autouse=True)
def no_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder tests/datasets is no Hugging Face library, though it can be imported."""
    monkeypatch.setattr("transformers.trainer.is_datasets_available", lambda: False)


class Texts(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Random tokens, as good as any for comparing bits."""

    def __init__(self, count: int) -> None:
        made = torch.Generator().manual_seed(2)
        self.tokens = torch.randint(20, (count, 8), generator=made)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.tokens[index]}


class States(TrainerCallback):
    """Hashes of everything after every step."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        model: nn.Module = kwargs["model"]
        self.seen.append(trainings.state(model, kwargs["optimizer"].optimizer))


def trained(
    folder: Path, *, steps: int = 6, watched: bool = True, again: bool = False
) -> tuple[list[str], td.Monitor | None]:
    trainings.seeded()
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=8, n_embd=8, n_layer=1, n_head=2))
    states, monitor = States(), None
    callbacks: list[TrainerCallback] = [states]
    if watched:
        tokens = Texts(8).tokens
        batches = [{"input_ids": tokens, "labels": tokens}]
        objective = td.Objective.from_batch_loss(model, lambda m, b: m(**b).loss, batches)
        measures = ["loss", "path", "eigenvalues", "threshold"]
        monitor = td.Monitor(objective, every=2, budget=None, measures=measures)
        callbacks.insert(0, MonitorCallback(monitor))
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        save_steps=4,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=0,
    )
    trainer = Trainer(model, arguments, train_dataset=Texts(32), callbacks=callbacks)
    trainer.train(resume_from_checkpoint=again or None)
    return states.seen, monitor


def test_the_training_is_the_same_and_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    # Kills: a generator or a gradient disturbed; batches counted for steps; the state of the
    # monitor not beside the trainer's own.
    plain, _ = trained(tmp_path / "a", watched=False)
    seen, monitor = trained(tmp_path / "b")
    assert monitor is not None
    history = monitor.history()
    assert history.attrs["failures"] == "{}"
    assert history["time"].values.tolist() == [2, 4, 6]
    assert history.attrs["rule"] == "Adam"  # AdamW without decay is Adam
    assert float(history["threshold"][0]) == pytest.approx(38 / 1e-3)
    assert seen == plain
    assert (tmp_path / "b" / "checkpoint-4" / STATE).is_file()
    _, other = trained(tmp_path / "b", steps=8, again=True)
    assert other is not None
    mine = other.history()
    assert mine["time"].values.tolist() == [2, 4, 6, 8]
    assert mine["loss"].values[:3].tolist() == history["loss"].values.tolist()
