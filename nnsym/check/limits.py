"""What one check may cost: whoever made a certificate does not decide how long it runs."""

from __future__ import annotations

import mmap
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import Refused

SECONDS = 3600.0
MEMORY = 16.0  # GiB


def _used() -> int:
    """Bytes of the address space that are in use already, libraries included."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * mmap.PAGESIZE
    except (OSError, ValueError):
        return 0


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
    most = _used() + int(memory * (1 << 30))
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
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
