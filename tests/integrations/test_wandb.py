"""Values in an offline run of W&B. Oracle: the run's own summary."""

from __future__ import annotations

from pathlib import Path

import pytest
import wandb

from theodolite.integrations.trackers import tracker_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of W&B's own dependencies


def test_what_was_sent_is_in_the_run(tmp_path: Path) -> None:
    run = wandb.init(mode="offline", dir=str(tmp_path), project="test")
    run.log({"mine": 1.0}, step=7)
    send = tracker_of(run)
    send({"loss": 0.5}, 10)
    send({"loss": 0.25}, 20)
    assert run.summary["theodolite/loss"] == 0.25
    assert run.summary["theodolite/step"] == 20
    run.finish()
