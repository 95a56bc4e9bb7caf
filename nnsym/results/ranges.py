"""Numbers that every question takes: what they may be, said in one line that names the option and its range.

The command line and the Python functions ask the same checks, so that neither hands a solver a number that it cannot
hold: Z3 counts milliseconds in 32 bits, Gurobi takes seeds up to 2e9, a process limit is a 64-bit count of bytes.
"""

from __future__ import annotations

import math
import numbers
import re
from typing import Any

from nnsym.errors import InputError
from nnsym.ir.words import kind_of

_LONGEST = 1e6  # seconds; more than eleven days
_SEEDS = 2_000_000_000
_THREADS = 1024
_BYTES = 2**50
_DEVICE = re.compile(r"cpu|auto|(cuda|mps|xpu)(:[0-9]{1,3})?")
_DIGITS = re.compile(r"[0-9]{1,9}")


def seconds(value: Any, option: str = "timeout") -> float:
    """A budget: more than 0 and at most a million seconds."""
    return _real(value, option, "Give seconds: more than 0, at most 1e6", low=0.0, high=_LONGEST)


def precision(value: Any, option: str = "precision") -> float:
    """A positive finite number."""
    return _real(value, option, "Give a finite number above 0", low=0.0, high=math.nextafter(math.inf, 0))


def gibibytes(value: Any, option: str = "memory") -> int:
    """GiB as bytes: at least a byte, at most 2^20 GiB."""
    found = _real(value, option, "Give GiB: more than 0, at most 1048576", low=0.0, high=_BYTES / 2**30)
    return max(1, int(found * 2**30))


def count_of_bytes(value: Any, option: str = "memory") -> int:
    """Bytes: from 1 to 2^50."""
    return _whole(value, option, "Give a whole number of bytes from 1 to 2**50", low=1, high=_BYTES)


def seed(value: Any, option: str = "seed") -> int:
    """A seed that every solver takes."""
    return _whole(value, option, f"Give a whole number from 0 to {_SEEDS}", low=0, high=_SEEDS)


def threads(value: Any, option: str = "threads") -> int:
    """Threads of a solver."""
    return _whole(value, option, f"Give a whole number from 1 to {_THREADS}", low=1, high=_THREADS)


def repeats(value: Any, option: str = "repeat") -> int:
    """Runs of one row."""
    return _whole(value, option, "Give a whole number from 1 to 1000000", low=1, high=10**6)


def whole_number(text: str) -> int | None:
    """A parameter inside a text: one to nine digits 0 to 9; None for any other text."""
    return int(text) if _DIGITS.fullmatch(text) else None


def device(value: Any, option: str = "device") -> str:
    """A device by its name in torch, or ``auto``."""
    if not isinstance(value, str) or _DEVICE.fullmatch(value) is None:
        raise InputError(f"{option} is {_shown(value)}", remedy="Give cpu, auto, cuda, or cuda:0 and so on")
    return value


def _real(value: Any, option: str, remedy: str, *, low: float, high: float) -> float:
    """A number above ``low`` and at most ``high``."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if low < found <= high:
            return found
    raise InputError(f"{option} is {_shown(value)}", remedy=remedy)


def _whole(value: Any, option: str, remedy: str, *, low: int, high: int) -> int:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and low <= int(value) <= high:
        return int(value)
    raise InputError(f"{option} is {_shown(value)}", remedy=remedy)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        text = kind_of(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
