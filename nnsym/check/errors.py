"""Why a certificate is refused, and numbers that are read exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:\d+/(\d+)|(?:\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d{1,4}))?)", re.ASCII)
_LONGEST = 4000
_EXPONENT = 1200
_DAMAGED = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, StopIteration, RecursionError)


class Refused(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """The certificate, or a file that it speaks of, is not accepted; the text says why."""


class OutOfRange(Refused):
    """A number leaves the range of the fast engine; the reference engine has none."""


def need(condition: object, reason: str, *shown: Any) -> None:
    """Refuse unless a condition holds; what is ``shown`` stands in the reason's braces, cut to 40 characters."""
    if not condition:
        raise Refused(reason.format(*(str(s)[:40] for s in shown)) if shown else reason)


@contextmanager
def reading(what: str = "") -> Iterator[None]:
    """Say of what is refused inside, and refuse what is damaged, whatever that makes Python raise."""
    said = what and f"{what}: "
    try:
        yield
    except Refused as error:
        raise type(error)(f"{said}{error}") from None
    except OverflowError as error:
        raise OutOfRange(f"{said}{error}") from None
    except _DAMAGED as error:
        raise Refused(f"{said}damaged, {error!r}") from None


def printable(text: str) -> str:
    """A text that may hold names out of a certificate, without characters that move or colour what is shown."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def nearly(value: Fraction) -> float:
    """A fraction as a float, to be shown; what is beyond them all is 1e300."""
    return float(max(min(value, Fraction(10**300)), Fraction(-(10**300))))


def number(value: Any, what: str = "number") -> Fraction:
    """The exact value of an integer, a decimal or ``p/q``; of a float, that of its digits in binary."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    matched = _NUMBER.fullmatch(value) if isinstance(value, str) and len(value) <= _LONGEST else None
    if matched is None:
        raise Refused(f"{what}: no number: {str(value)[:40]!r}")
    need(int(matched[1] or 1), "{}: a division by 0: '{}'", what, value)
    need(abs(int(matched[2] or 0)) <= _EXPONENT, "{}: the exponent of {} is out of range", what, value)
    return Fraction(value)


def whole(value: Any, low: int, high: int, what: str) -> int:
    """An integer from ``low`` up to ``high - 1``."""
    exact = value if type(value) is int else number(value, what)
    need(exact.denominator == 1 and low <= exact < high, "{}: {} is not in {}..{}", what, value, low, high - 1)
    return int(exact)
