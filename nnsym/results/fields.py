"""Fields of plain data that somebody else may have written: each is what it should be, or the file is damaged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from nnsym.errors import InputError

T = TypeVar("T")

_WRONG = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


@contextmanager
def undamaged(where: str) -> Iterator[None]:
    """What data raises that are not as the body of the block wants them is an :class:`InputError`."""
    try:
        yield
    except _WRONG as error:
        reason = f"a field is missing or wrong: {type(error).__name__}: {error}"
        raise InputError(reason, where=where, remedy="Write the file again") from None


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value


def real(value: Any) -> float:
    """A number as JSON has it; never NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def finite(value: Any) -> float:
    """A number that is no infinity either."""
    if math.isinf(real(value)):
        raise ValueError(f"{value!r:.60} is infinite")
    return real(value)


def count(value: Any) -> int:
    """A whole number, not below 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r:.60} is no count")
    return value


def flag(value: Any) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.60} is no truth value")
    return value


def optional(read: Callable[[Any], T], value: Any) -> T | None:
    """A field that may be null."""
    return None if value is None else read(value)


def named(read: Callable[[Any], T], value: Any) -> dict[str, T]:
    """An object whose values are all of one kind."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r:.60} is no object")
    return {text(name): read(one) for name, one in value.items()}


def each(read: Callable[[Any], T], value: Any) -> list[T]:
    """A list whose elements are all of one kind."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.60} is no list")
    return [read(one) for one in value]
