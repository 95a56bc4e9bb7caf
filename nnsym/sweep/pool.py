"""Who runs tasks: this process, or any :class:`concurrent.futures.Executor`; ours outlives workers that are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

from nnsym.errors import InputError, UnsupportedError
from nnsym.results.extras import require
from nnsym.sweep.entry import Entry, Way
from nnsym.sweep.task import Task, pack, pack_family, radius_of, run_packed

_TRIES = 3  # times that a task is handed out whose worker died
_AHEAD = 64  # tasks that wait in an executor


@final
class Workers:
    """``count`` processes of this machine as an executor that starts again where a worker was killed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = self._fresh()

    def _fresh(self) -> ProcessPoolExecutor:
        # Threads of torch do not survive a fork.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.count, mp_context=context, initializer=_end_with_parent)

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        with _deaf():
            try:
                return self._pool.submit(call, *args)
            except BrokenExecutor:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = self._fresh()
                return self._pool.submit(call, *args)

    def shutdown(self) -> None:
        """End the processes at once, whatever they do: nothing of theirs is waited for by then."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start meanwhile hear no interrupt: a terminal tells everyone, and who started them ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends at once: it would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def wait() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


@contextmanager
def workers(count: int = 0, scheduler: str = "") -> Iterator[Executor | Workers | None]:
    """Processes of this machine, the workers of a dask scheduler (``tcp://...``), or, for 0 of either, none.

    Raises:
        InputError: both were asked for, or the scheduler does not answer.
        UnsupportedError: a scheduler, and dask's package is not installed.
    """
    if scheduler and count:
        raise InputError(f"{count} workers and a scheduler", remedy="Give one of them")
    if not scheduler:
        try:
            pool = Workers(count) if count else None
        except OSError as error:  # their locks are files of /dev/shm
            remedy = "Leave them out, or let /dev/shm be written to"
            raise UnsupportedError(f"no workers can be started: {error.strerror}", remedy=remedy) from error
        try:
            yield pool
        finally:
            if pool is not None:
                pool.shutdown()
        return
    require("distributed")
    from distributed import Client

    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"no scheduler answers: {error}", where=scheduler, remedy="Write tcp://HOST:PORT") from error
    try:
        yield client.get_executor(retries=_TRIES)
    finally:
        client.close()


def answers(tasks: Iterable[Task], executor: Executor | Workers | None) -> Iterator[tuple[Task, list[Entry]]]:
    """The entries of tasks: of each as it comes in this process, else all of a task's at once.

    The order is that of the tasks, whoever runs them. A task whose worker died is handed out again; where that happens
    again and again its questions stay open, and the reason says so.
    """
    if executor is not None:
        yield from _Queue(executor).answers(iter(tasks))
        return
    for task in tasks:
        for entry in task.entries():
            yield task, [entry]


@dataclass(eq=False)
class _Waiting:
    """A task that was handed out, its packed form, how often, and what will hold its entries."""

    task: Task
    packed: tuple[bytes, bytes]
    future: Future[list[Entry]]
    tries: int = 1


@final
class _Queue:
    """Tasks in an executor, the first come first."""

    def __init__(self, executor: Executor | Workers) -> None:
        self.executor, self.waiting = executor, deque[_Waiting]()
        self._family: tuple[object, bytes] = (None, b"")

    def answers(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, list[Entry]]]:
        try:
            while True:
                self._fill(tasks)
                if not self.waiting:
                    return
                first = self.waiting[0]
                try:
                    found = first.future.result()
                except BrokenExecutor as error:
                    self._again(error)
                    continue
                except Exception as error:
                    if type(error).__name__ != "KilledWorker":  # dask's, which has tried again by itself
                        raise
                    found = _lost(first.task)
                self.waiting.popleft()
                yield first.task, found
        finally:
            for one in self.waiting:
                one.future.cancel()

    def _fill(self, tasks: Iterator[Task]) -> None:
        while len(self.waiting) < _AHEAD and (task := next(tasks, None)) is not None:
            if task.family is not self._family[0]:
                self._family = task.family, pack_family(task)
            packed = self._family[1], pack(task)
            self.waiting.append(_Waiting(task, packed, self.executor.submit(run_packed, *packed)))

    def _again(self, error: BrokenExecutor) -> None:
        """A worker was killed: what is not answered is handed out again. The first in line are those that may run."""
        if not isinstance(self.executor, Workers):
            guard = "; a script that starts processes begins with: if __name__ == '__main__'"
            raise InputError(
                f"the executor broke: {error}", remedy=f"Ask again: what is recorded stays{guard}"
            ) from error
        for place, one in enumerate(self.waiting):
            if one.future.done() and not one.future.cancelled() and one.future.exception() is None:
                continue
            one.tries += place < self.executor.count
            if one.tries > _TRIES:
                one.future = Future()
                one.future.set_result(_lost(one.task))
            else:
                one.future = self.executor.submit(run_packed, *one.packed)


def _lost(task: Task) -> list[Entry]:
    """Open answers to all that a task asks."""
    return [
        Entry(
            family=task.name,
            index=item.index,
            eps=radius_of(eps),
            method=task.label,
            way=Way.UNKNOWN,
            reason="the worker died",
        )
        for item in task.items
        for place, eps in enumerate(task.eps if task.method is not None else (None,))
        if place not in item.decided and place not in item.asked
    ]
