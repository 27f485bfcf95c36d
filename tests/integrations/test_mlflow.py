"""Values in a store of MLflow on this disk. Oracle: MLflow's own client."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from theodolite.integrations.trackers import tracker_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's own dependencies


def test_what_was_sent_is_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path}")
    with mlflow.start_run(experiment_id=mlflow.create_experiment("test")) as run:
        send = tracker_of(mlflow)
        send({"loss": 0.5, "eigenvalue_1": 3.0}, 10)
        send({"loss": 0.25}, 20)
    client = mlflow.tracking.MlflowClient()
    found = client.get_metric_history(run.info.run_id, "theodolite/loss")
    assert [(m.step, m.value) for m in found] == [(10, 0.5), (20, 0.25)]
