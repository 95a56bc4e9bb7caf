"""What one check may cost: whoever made a certificate does not decide how long it runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import Refused

SECONDS = 3600.0
MEMORY = 16.0  # GiB


@contextmanager
def limited(seconds: float, memory: float) -> Iterator[None]:
    """Refuse what needs more processor time, or more memory (in GiB), than is given.

    By a timer and an address space of the operating system: where it has none, or outside of the main thread, memory
    and time are those of the process.
    """
    try:
        import resource
    except ImportError:
        resource = None  # type: ignore[assignment]
    if resource is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: Any) -> None:
        raise Refused(f"it needs more than {seconds:g} s of processor time")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = int(memory * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    except MemoryError:
        raise Refused(f"it needs more than {memory:g} GiB of memory") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
