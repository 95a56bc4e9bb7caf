"""Why a certificate is refused, and numbers that are read exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?(/\d+)?", re.ASCII)
_LONGEST = 4000
_EXPONENT = 1200
_DAMAGED = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, StopIteration, RecursionError)


class Refused(Exception):  # noqa: N818 - a verdict, not a fault of the program
    """The certificate, or a file that it speaks of, is not accepted; the text says why."""


class OutOfRange(Refused):
    """A number leaves the range of the fast engine; the reference engine has none."""


def fits(condition: object, what: str = "a number") -> None:
    """Say that the fast engine's range is left, unless a condition holds."""
    if not condition:
        raise OutOfRange(f"{what} leaves the range of the fast engine; the reference engine has none")


def need(condition: object, reason: str) -> None:
    """Refuse unless a condition holds."""
    if not condition:
        raise Refused(reason)


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
    need(isinstance(value, str) and len(value) <= _LONGEST, f"{what}: no number: {str(value)[:40]!r}")
    matched = _NUMBER.fullmatch(value)
    need(matched, f"{what}: no number: {value[:40]!r}")
    assert matched is not None
    decimal, _, quotient = value.partition("/")
    need(not quotient or ("." not in decimal and "e" not in decimal.lower()), f"{what}: no number: {value[:40]!r}")
    need(not quotient or int(quotient), f"{what}: a division by 0: {value[:40]!r}")
    need(abs(int((matched[3] or "e0")[1:])) <= _EXPONENT, f"{what}: the exponent of {value[:40]} is out of range")
    return Fraction(value)


def whole(value: Any, low: int, high: int, what: str) -> int:
    """An integer from ``low`` up to ``high - 1``."""
    exact = number(value, what)
    need(exact.denominator == 1 and low <= exact < high, f"{what}: {str(value)[:40]} is not in {low}..{high - 1}")
    return int(exact)
