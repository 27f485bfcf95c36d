"""What the run says about itself."""

from __future__ import annotations

import shutil
import signal
from importlib.util import find_spec

import pytest

EXTRAS = {
    "test_lightning.py": ("lightning", ("pytorch_lightning",)),
    "test_hugging_face.py": ("hf", ("transformers", "accelerate")),
    "test_tensorboard.py": ("trackers", ("tensorboard",)),
    "test_mlflow.py": ("trackers", ("mlflow",)),
    "test_wandb.py": ("trackers", ("wandb",)),
}
"""Tests in tests/integrations, the extra each needs, and the packages of it."""

# A shell that starts a command in the background has it ignore Ctrl-C, and so would every process
# the tests of interrupts start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out: a run that tested less must not look like one that tested all."""
    if not any(shutil.which(name) for name in BROWSERS):
        terminalreporter.write_line(
            "left out: tests/browser (no Chromium here; `make test` as root installs it)"
        )
    if find_spec("transformers") is None:
        terminalreporter.write_line(
            "left out: tests/symmetry/test_pretrained_designs.py (no transformers here; extra hf)"
        )
    for file, (extra, names) in EXTRAS.items():
        missing = [name for name in names if find_spec(name) is None]
        if missing:
            terminalreporter.write_line(
                f"left out: tests/integrations/{file} (no {' and '.join(missing)} here; "
                f"extra {extra})"
            )
