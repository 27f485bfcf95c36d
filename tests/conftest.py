"""What the run says about itself."""

from __future__ import annotations

import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out: a run that tested less must not look like one that tested all."""
    if not any(shutil.which(name) for name in BROWSERS):
        terminalreporter.write_line(
            "left out: tests/browser (no Chromium here; `make test` as root installs it)"
        )
