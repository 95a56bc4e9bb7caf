"""Freed memory goes back to the system while a pass runs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any


def release() -> None:
    """Hand free pages back, where the C library can (glibc); a few milliseconds.

    Passes in pieces allocate the same few megabytes over and over, aligned, and glibc's heap may grow by some of them
    each time, to many times of what is in use.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], Any] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another system
        return None
