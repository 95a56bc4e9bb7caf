"""What reading may take: seconds on a clock, bytes of memory. Readers ask before they allocate and while they loop.

Sizes are estimates of what a thing needs once it is read, so that a small file that would grow without bounds is
refused before it does: a gzip stream, a graph that doubles its operand, a million assertions.
"""

from __future__ import annotations

import math
import time
from typing import final

from nnsym.errors import InputError, OutOfTimeError

#: Seconds and bytes that reading may take where nobody says otherwise.
SECONDS = 600.0
MEMORY = 8 * 2**30

_MODEL_SHARE = 8  # the bytes of a model are held, parsed, decoded and widened to float64
_TEXT_SHARE = 16  # the words of a text take several times its bytes
_STRIDE = 1024  # loops of cheap steps look at the clock this often


@final
class Meter:
    """One budget for everything that one question reads; it is handed down, and what was taken stays taken."""

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._memory, self._taken, self._steps = memory, 0, 0

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def model_bytes(self) -> int:
        """Bytes that a model may have, unpacked."""
        return self._memory // _MODEL_SHARE

    @property
    def text_bytes(self) -> int:
        """Bytes that a text may have, unpacked."""
        return self._memory // _TEXT_SHARE

    def check(self, where: str, *, ahead: float = 0.0) -> None:
        """Raise :class:`OutOfTimeError` if less than ``ahead`` seconds are left."""
        if time.monotonic() + ahead > self._deadline:
            raise OutOfTimeError(
                f"not read within the {self._seconds:.4g} seconds there were",
                where=where,
                remedy="Give more: --timeout on the command line, timeout= in Python",
            )

    def step(self, where: str) -> None:
        """:meth:`check`, once in a while: for loops of steps that take microseconds."""
        self._steps += 1
        if self._steps % _STRIDE == 0:
            self.check(where)

    def take(self, size: float, where: str, what: str) -> None:
        """Count ``size`` more bytes, before they are allocated; :class:`InputError` where they are too many."""
        self._taken += math.ceil(size)
        if self._taken > self._memory:
            raise self.refuse(where, f"{what} would take it to about {self._taken / 2**30:.2g} GiB")

    def room(self, size: float, where: str, what: str) -> None:
        """Refuse ``size`` bytes that do not fit beside what is taken, without counting them."""
        if self._taken + size > self._memory:
            raise self.refuse(where, f"{what} would take it to about {(self._taken + size) / 2**30:.2g} GiB")

    def refuse(self, where: str, reason: str) -> InputError:
        """The error for what is beyond the memory limit."""
        return InputError(
            f"{reason}, and reading may use {self._memory / 2**30:.3g} GiB",
            where=where,
            remedy="If it is meant, give more: --memory on the command line, memory= in Python",
        )
