"""SIGTERM treated as Ctrl-C: the work ends with everything saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TERMINATED = 143


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, with everything saved; undone afterwards."""

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
