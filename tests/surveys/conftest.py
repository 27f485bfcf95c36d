"""Fixtures of the tests of surveys."""

from __future__ import annotations

import os

import pytest

from .toys import disk, memory

__all__ = ["disk", "memory"]


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forcing bytes to disk changes no byte and takes most of the time of these tests."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
