"""Reading under the limits: readers keep them themselves, and a watch ends what native code does not let go of."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nnsym.cli.streams import complain, leave
from nnsym.cli.targets import load_target
from nnsym.errors import InputError, OutOfTimeError
from nnsym.ir.query import Query
from nnsym.solvers.workers.memory import tree_rss

if TYPE_CHECKING:
    from nnsym.lang.property import Property

_GRACE = 0.5  # seconds that a reader may overrun its limit before the watch ends the process
_POLL = 0.05


def read_target(
    targets: Sequence[str],
    settings: Sequence[str] | None,
    networks: Sequence[str] | None,
    *,
    seconds: float,
    memory: int,
    late: Callable[[OutOfTimeError], None],
) -> Property | Query:
    """What the command's targets name, within ``seconds`` and ``memory`` bytes.

    Where the time runs out ``late`` says so and the process ends, from another thread if the reader does not let go.
    """
    if not memory > 0:
        raise InputError(f"a memory limit of {memory} bytes", remedy="Give a positive number: --memory 8")
    error = OutOfTimeError(
        f"not read within the {seconds:.4g} seconds there were", where=" ".join(targets), remedy="Give more: --timeout"
    )
    with _watched(seconds, memory, " ".join(targets), lambda: late(error)):
        return load_target(targets, settings or (), networks or (), timeout=seconds, memory=memory)


@contextmanager
def _watched(seconds: float, memory: int, where: str, late: Callable[[], None]) -> Iterator[None]:
    """Run the body; a thread beside it ends the process where the body outlives its limits."""
    done, pid = threading.Event(), os.getpid()
    end, most = time.monotonic() + seconds + _GRACE, tree_rss(os.getpid()) + memory

    def watch() -> None:
        while not done.wait(_POLL):
            if time.monotonic() > end:
                late()
                leave(OutOfTimeError.exit_code)
            if tree_rss(pid) > most:
                reason = f"reading it takes more than {memory / 2**30:.3g} GiB"
                error = InputError(reason, where=where, remedy="If it is meant, give more: --memory")
                complain(str(error))
                leave(error.exit_code)

    thread = threading.Thread(target=watch, daemon=True, name="limits of reading")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
