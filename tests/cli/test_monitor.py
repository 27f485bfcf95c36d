"""``theodolite monitor``: a log read while another process writes it."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import pytest
from tests.plots.test_monitored import FACTS, MEASURES, row

from theodolite.cli.app import run
from theodolite.surveys.monitored import LOG, Head


def written(folder: Path, rows: list[dict[str, object]], *, end: bool = False) -> None:
    records = [Head(FACTS, {}, MEASURES).record()]
    records += [{"event": "measured", **r} for r in rows] + [{"event": "end"}] * end
    (folder / LOG).write_text("".join(json.dumps(r) + "\n" for r in records))


def test_the_last_measurements_as_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = row(20, 4.9, failures={"loss": "ValueError: no \x1b[31mloss"})
    written(tmp_path, [row(10, 3.0), bad])
    assert run(["monitor", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Net, 10 parameters, gradient descent, 2 measurements" in out
    assert "4.9" in out
    assert "measuring took 5 % of the training so far" in out
    assert "\x1b" not in out
    assert run(["monitor", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["step"] == 20


def test_following_until_the_training_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Kills: rows said twice; a follower that never ends.
    written(tmp_path, [row(10, 3.0)])

    def go_on() -> None:
        time.sleep(0.3)
        written(tmp_path, [row(10, 3.0), row(20, 4.9)], end=True)

    writer = threading.Thread(target=go_on)
    writer.start()
    assert run(["monitor", str(tmp_path), "--follow", "--every", "0.05"]) == 0
    writer.join()
    said = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in said] == [
        "Net, 10 parameters, gradient descent, 1 measurements",
        *("step 10", "step 20"),
    ]


def test_a_table_for_a_terminal() -> None:
    from rich.console import Console

    from theodolite.cli.monitor import table_of

    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table_of(Head(FACTS, {}, MEASURES), [row(10, 3.0), row(20, 5.1)]))
    text = console.export_text()
    assert "5.1" in text
    assert "sharpness over threshold" in text


def test_a_folder_without_a_log_and_a_pause_of_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["monitor", str(tmp_path)]) != 0
    assert "E-M31" in capsys.readouterr().err
    written(tmp_path, [row(10, 3.0)])
    assert run(["monitor", str(tmp_path), "--every", "0"]) != 0
    assert "E-M30" in capsys.readouterr().err
    (tmp_path / LOG).write_text('{"event": "monitor", "format": 9}\n')
    assert run(["monitor", str(tmp_path)]) != 0
    assert "E-M32" in capsys.readouterr().err
