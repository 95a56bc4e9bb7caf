"""Native code runs in killable children: the parent owns the deadline and the memory limit.

A solver's own time limit is a wish: it is not looked at while a model is built, presolved or parsed. So each solve is a
job in a worker process with its own session; on a limit the whole process group gets SIGKILL, and what was
streamed before (dual bound, incumbent) is the answer.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.solvers.base import Progress
from nnsym.solvers.workers import frames, memory

#: Seconds a solver may overrun its own time limit before it is killed; total overrun stays well under 2 s.
GRACE = 0.5
_POLL = 0.05


@final
@dataclass(frozen=True, kw_only=True)
class Job:
    """``module.function(payload, report)`` for at most ``seconds`` of wall time and ``memory`` bytes.

    Once ``hurry`` is set the function's report says so, and it may come back with what it has.
    """

    module: str
    payload: Any
    function: str = "run"
    seconds: float = 60.0
    memory: int = 8 * 2**30
    hurry: threading.Event | None = None


class End(Enum):
    """How a job ended."""

    DONE = "done"
    TIME = "time limit"
    MEMORY = "memory limit"
    FAILED = "failed"


@dataclass(kw_only=True)
class Returned:
    """What came back, or what had been streamed before the worker was killed. ``seconds`` is wall time here."""

    end: End = End.FAILED
    value: Any = None
    error: str = ""
    lower: float = -np.inf
    upper: float = np.inf
    point: Array | None = None
    point_objective: float = np.inf
    peak_memory: int = 0
    seconds: float = 0.0


@final
class Worker:
    """One child process. Not shared between threads; a worker that was killed is not used again."""

    def __init__(self) -> None:
        """Start the child; where the system has no process, file or folder for it: OSError, and nothing stays open."""
        self._path = _path()
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as handed:
            request, self._requests = _pipe(handed, ours)
            answers, answer = _pipe(ours, handed)
            self._stderr = ours.enter_context(tempfile.TemporaryFile())
            scratch = tempfile.mkdtemp(prefix="nnsym-")
            ours.callback(shutil.rmtree, scratch, ignore_errors=True)
            environment = {"PYTHONPATH": os.pathsep.join(self._path), "OPENBLAS_NUM_THREADS": "1", "TMPDIR": scratch}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nnsym.solvers.workers.worker", str(request), str(answer), scratch],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=(request, answer),
                start_new_session=True,
                env=os.environ | environment,
            )
            self._opened = ours.pop_all()
        os.set_blocking(self._requests, False)
        os.set_blocking(answers, False)
        self._inbox = frames.Inbox(answers)
        self.pid, self._parent = self._process.pid, os.getpid()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def current(self) -> bool:
        """True while it lives and finds the modules that this process finds: a path that grew since is not seen."""
        return self.alive and self._path == _path()

    def kill(self) -> None:
        """SIGKILL the whole process group, reap the worker, close the pipes. May be called twice.

        A process that was forked while the worker lived has a copy of this object, and is not its parent.
        """
        if self._requests < 0 or self._parent != os.getpid():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._requests = -1
        try:
            self._process.wait()
        finally:  # even where another interrupt comes
            self._opened.close()

    def run(self, job: Job, progress: Progress | None = None) -> Returned:
        """Run a job to its end or its limits. The worker is dead afterwards unless the job ended by itself."""
        start = time.monotonic()
        outcome, deadline = Returned(), start + job.seconds + GRACE
        try:
            left = max(job.seconds, 0.0)
            request = (job.module, job.function, job.payload, left, job.memory)
            if frames.send_until(self._requests, request, deadline):
                self._watch(outcome, job, deadline, progress)
            else:
                outcome.end = End.TIME
        except BrokenPipeError:
            outcome.error = self._last_words()
        except BaseException:
            self.kill()
            raise
        if outcome.end is not End.DONE:  # a solver process of its own may still run in the group
            self.kill()
        outcome.seconds = time.monotonic() - start
        return outcome

    def _watch(self, outcome: Returned, job: Job, deadline: float, progress: Progress | None) -> None:
        """Take messages until the job ends, polling the memory of the worker and its children."""
        hurry = job.hurry
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                outcome.end = End.TIME
                return
            if hurry is not None and hurry.is_set():
                hurry = None
                frames.write_until(self._requests, [memoryview(frames.EMPTY)], deadline)
            select.select([self._inbox], [], [], min(left, _POLL))
            for message in self._inbox.messages():
                if self._take(outcome, message, progress):
                    return
            if self._inbox.closed:
                outcome.end, outcome.error = End.FAILED, self._last_words()
                return
            used = memory.tree_rss(self.pid)
            outcome.peak_memory = max(outcome.peak_memory, used)
            if used > job.memory:
                outcome.end = End.MEMORY
                return

    def _take(self, outcome: Returned, message: tuple[Any, ...], progress: Progress | None) -> bool:
        """Store one message; true when it ends the job."""
        kind, *rest = message
        if kind == "bounds":
            outcome.lower, outcome.upper = max(outcome.lower, rest[0]), min(outcome.upper, rest[1])
            if progress is not None:
                progress(outcome.lower, outcome.upper)
        elif kind == "point":
            if rest[1] <= outcome.point_objective:
                outcome.point, outcome.point_objective = rest
                outcome.upper = min(outcome.upper, rest[1])
        elif kind != "ready":
            ends = {"done": End.DONE, "memory": End.MEMORY, "failed": End.FAILED}
            outcome.end = ends[kind]
            outcome.value, outcome.error = (rest[0], "") if kind == "done" else (None, rest[0])
            outcome.peak_memory = max(outcome.peak_memory, rest[1])
            return True
        return False

    def _last_words(self) -> str:
        """The last line on the worker's stderr, or how it ended."""
        code = self._process.wait(timeout=5)
        self._stderr.seek(0)
        lines = [s for s in self._stderr.read().decode(errors="replace").splitlines() if s.strip()]
        ended = f"worker killed by signal {-code}" if code < 0 else f"worker exited with code {code}"
        return f"{ended}: {lines[-1].strip()}" if lines else ended


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """The two ends of a new pipe, each closed by whom it belongs to."""
    ends = os.pipe()
    for owner, end in zip((reader, writer), ends, strict=True):
        owner.callback(os.close, end)
    return ends


def _path() -> list[str]:
    return [p or os.getcwd() for p in sys.path]


@final
class Workers:
    """Warm workers by lane. A worker serves one job at a time; the pool may be shared between threads."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Worker]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def run(self, lane: str, job: Job, progress: Progress | None = None) -> Returned:
        """Run a job in a warm worker of the lane, or a new one; start-up counts against the job's seconds.

        A job that has no second left is not begun: an end of time, not an answer that took a grace period. A job for
        which the system has no process fails like one that died.
        """
        if job.seconds <= 0:
            return Returned(end=End.TIME)
        start = time.monotonic()
        try:
            worker = self._idle_worker(lane) or Worker()
        except OSError as error:
            return Returned(error=f"no process to run it in: {error.strerror or error}")
        try:
            return worker.run(replace(job, seconds=job.seconds - (time.monotonic() - start)), progress)
        finally:
            self._put_back(lane, worker)

    def _idle_worker(self, lane: str) -> Worker | None:
        with self._lock:
            idle = self._idle.setdefault(lane, [])
            past: list[Worker] = []
            while idle and not idle[-1].current:
                past.append(idle.pop())
            worker = idle.pop() if idle else None
        for some in past:
            some.kill()
        return worker

    def _put_back(self, lane: str, worker: Worker) -> None:
        with self._lock:
            keep = worker.alive and not self._closed
            if keep:
                self._idle[lane].append(worker)
        if not keep:
            worker.kill()

    def close(self) -> None:
        """Kill all idle workers; busy ones die when their job ends."""
        with self._lock:
            self._closed = True
            workers = [w for idle in self._idle.values() for w in idle]
            self._idle.clear()
        for worker in workers:
            worker.kill()


@functools.cache
def _pool_of(process: int) -> Workers:
    """One pool a process: workers are not inherited over a fork."""
    pool = Workers()
    atexit.register(pool.close)
    return pool


def default_pool() -> Workers:
    """The pool that lanes use; made at first use, closed when the interpreter ends."""
    return _pool_of(os.getpid())
