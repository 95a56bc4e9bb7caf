"""A clock that stands still while its thread waits for a processor, so that limits can be measured on a busy machine.

Linux counts, for every thread, the nanoseconds that it was ready to run and did not (the second number of
``/proc/PID/schedstat``). The wall's seconds less these are what an idle machine would have taken; sleeping, for a
solver's process or a disk, counts in full. A limit that is held by this clock has as much work done before it as one on
an idle machine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_WALL = time.perf_counter


def waited(process: int | None = None) -> float:
    """Seconds that the main thread of a process has waited for a processor; 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{process or os.getpid()}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def seconds() -> float:
    """The wall's seconds less those that were waited."""
    return _WALL() - waited()


@contextmanager
def fair() -> Iterator[Callable[[], float]]:
    """Within, every clock and deadline of this process goes by :func:`seconds`."""
    before = time.perf_counter, time.monotonic
    time.perf_counter = time.monotonic = seconds
    try:
        yield seconds
    finally:
        time.perf_counter, time.monotonic = before


def main() -> None:
    """The command line of nnsym by this clock."""
    from nnsym.cli.main import command

    with fair():
        command()


if __name__ == "__main__":
    sys.argv[0] = "nnsym"
    main()
