"""Interrupts while batches go forward side by side: nothing is left running, locked or changed."""

from __future__ import annotations

import _thread
import faulthandler
import random
import signal
import threading
import time

import pytest
import torch

from objective.test_statistics_together import _Net, objective, soon


class _Interrupting(_Net):
    """Interrupts whoever waits for it, in its third pass."""

    passes, armed = 0, False

    def through(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += self.armed
        if self.passes == 3:
            _thread.interrupt_main()
            time.sleep(0.05)
        return super().through(x)


def test_an_interrupt_of_the_waiting_thread_ends_all():
    # kills: a batch that still runs with substituted weights after the call has returned
    model = _Interrupting()
    made = objective(model)
    threads = _thread._count()
    model.armed = True
    with pytest.raises(KeyboardInterrupt):
        made.value()
    model.passes, model.armed = 0, False
    assert soon(threads)
    assert float(made.value()) == made.start_pass.loss()


def test_no_lock_is_written_in_python(monkeypatch):
    # kills: semaphores and events of ``threading``, which an interrupt can leave locked for good
    # (they hung after 400 to 950 interrupts)
    made = objective(_Net())

    def enter(self: object) -> None:
        raise AssertionError("a condition of threading was entered")

    monkeypatch.setattr(threading.Condition, "__enter__", enter)
    assert float(made.value()) == made.start_pass.loss()


def test_interrupts_at_any_moment_leave_nothing_locked():
    # kills: threads that outlive an interrupt, statistics left as they were pooled
    made = objective(_Net())
    expected, threads = made.start_pass.loss(), _thread._count()
    generator = random.Random(0)
    hit, inside = 0, False

    def alarm(*_: object) -> None:
        if inside:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, alarm)
    faulthandler.dump_traceback_later(120, exit=True)  # says where, should it hang
    try:
        while hit < 400:
            signal.setitimer(signal.ITIMER_REAL, generator.uniform(1e-4, 4e-3))
            try:
                inside = True
                made.value()
                inside = False
            except KeyboardInterrupt:
                inside = False
                hit += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
    assert soon(threads)
    assert float(made.value()) == expected
