"""No garbage collection while a long file is read."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let the cyclic collector rest: it would walk a million new objects again and again, none of them in a cycle.

    They are counted among the old ones then, else it would begin with them. Freezing and thawing says so; where the
    program has frozen objects of its own, which that would thaw, nothing is said.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()
        if running:
            gc.enable()
