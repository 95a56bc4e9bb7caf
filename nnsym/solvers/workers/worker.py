"""The child process: takes jobs from a pipe, runs them one after the other, streams what they find.

Started as ``python -m nnsym.solvers.workers.worker READ_FD WRITE_FD SCRATCH`` by :mod:`nnsym.solvers.workers.runner`,
in its own session. A job names a module and a function ``run(payload, report)``. When the parent is gone the request
pipe ends, and the other one breaks; whichever is seen first, the folder for scratch files is removed and the whole
process group killed, solver processes included.
"""

from __future__ import annotations

import importlib
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from typing import Any, final

from nnsym.solvers.workers import frames, memory


@final
class Report:
    """What a running job may tell its parent, how much time it has left until its ``deadline``, and whether its parent
    is waiting: ``hurry`` is set then.
    """

    def __init__(self, fd: int, hurry: threading.Event) -> None:
        self._fd, self._last, self.hurry = fd, 0.0, hurry
        self.deadline = time.monotonic()
        self._lock = threading.Lock()  # a lane may report from a thread that follows a log

    def remaining(self) -> float:
        """Seconds until the time limit; at least a millisecond, so that a solver accepts it."""
        return max(self.deadline - time.monotonic(), 1e-3)

    def bounds(self, lower: float, upper: float) -> None:
        """A lower bound on the optimum and the best objective so far; thinned to ten a second."""
        now = time.monotonic()
        if now - self._last >= 0.1:
            self._last = now
            self.send(("bounds", float(lower), float(upper)))

    def point(self, point: Any, objective: float) -> None:
        """A feasible point and its objective."""
        self.send(("point", point, float(objective)))

    def send(self, message: tuple[Any, ...]) -> None:
        """One message to the parent."""
        with self._lock:
            frames.send(self._fd, message)


def _requests(fd: int, jobs: queue.SimpleQueue[Any], hurry: threading.Event, scratch: str) -> None:
    """Move jobs from the pipe to the queue; the end of the pipe is the end of the process group.

    What hurries a job comes behind it, and may come when the job has ended: the next one begins without.
    """
    try:
        while True:
            request = frames.receive(fd)
            if request:
                hurry.clear()
                jobs.put(request)
            else:
                hurry.set()
    finally:
        _end(scratch)


def _end(scratch: str) -> None:
    """The parent, who made the folder, was killed: nothing is left of it, nor of the process group."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _run(request: bytearray, report: Report) -> None:
    memory.reset_peak()
    try:
        message: tuple[Any, ...] = ("done", _value(request, report), memory.peak())
    except MemoryError:
        message = ("memory", "out of memory", memory.peak())
    except Exception as error:
        traceback.print_exc()
        message = ("failed", f"{type(error).__name__}: {error}", memory.peak())
    report.send(message)


def _value(request: bytearray, report: Report) -> Any:
    """What the job's function returns. A request that cannot be decoded fails like any other job."""
    module, function, payload, seconds, limit = frames.decode(request)
    report.deadline = time.monotonic() + seconds
    memory.limit_address_space(limit)
    return getattr(importlib.import_module(module), function)(payload, report)


def main(read_fd: int, write_fd: int, scratch: str) -> None:
    """Serve jobs until the parent is gone: it sends none any more, or takes no answer."""
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    hurry = threading.Event()
    threading.Thread(target=_requests, args=(read_fd, jobs, hurry, scratch), daemon=True).start()
    try:
        frames.send(write_fd, ("ready",))
        while True:
            _run(jobs.get(), Report(write_fd, hurry))
    except BrokenPipeError:
        _end(scratch)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
