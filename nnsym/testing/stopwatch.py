"""A limit in CPU seconds on what runs in this thread, whatever it does: for guests that do not look at the clock."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nnsym.testing.conformance import ConformanceError


def has_timer() -> bool:
    """True if there is a timer here that can stop a guest."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


@contextmanager
def at_most(seconds: float, said: str) -> Iterator[None]:
    """Raise in the middle of what runs once the process took so many CPU seconds more."""

    def late(number: int, frame: object) -> None:
        raise ConformanceError(said)

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
