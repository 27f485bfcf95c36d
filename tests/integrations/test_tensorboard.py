"""Values in TensorBoard's own files.

Oracle: TensorBoard's reader.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.monitoring import quadratics
from torch.utils.tensorboard import SummaryWriter

import theodolite as td

pytestmark = pytest.mark.filterwarnings("ignore")  # of protobuf


def test_what_was_measured_is_in_the_event_file(tmp_path: Path) -> None:
    # Kills: another step; a list sent as one number; a NaN.
    writer = SummaryWriter(tmp_path)
    monitor = td.Monitor(quadratics.objective(quadratics.Bowl()), trackers=[writer])
    for step in (10, 20):
        monitor.step(step=step - 1)
        monitor._steps = step
        monitor.measure()
    writer.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    history = monitor.history()
    for name, values in (
        ("theodolite/loss", history["loss"]),
        ("theodolite/eigenvalue_2", history["eigenvalue"][:, 1]),
    ):
        found = read.Scalars(name)
        assert [e.step for e in found] == [10, 20]
        assert [e.value for e in found] == pytest.approx(values.values.tolist(), rel=1e-6)
    assert "theodolite/sharpness" not in read.Tags()["scalars"]
