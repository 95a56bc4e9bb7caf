"""Numbers as text, of any length and exactly: decimals and fractions in the digits 0 to 9, and nothing else.

Python's own conversions also take the digits of other scripts and underscores, and stop at 4300 digits.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

_DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?)0*([0-9]+))?")
_FRACTION = re.compile(r"([+-]?[0-9]+)/([0-9]+)")
_PLAIN = 640  # digits that Python converts by itself whatever its settings

#: Digits that a number may have, written out; longer ones are refused by name.
MOST = 4000


def decimal(word: str) -> Fraction | None:
    """The number that ``-1.5``, ``.5`` or ``2e-3`` denotes; None where it is none.

    Raises :class:`OverflowError` for more than :data:`MOST` digits, written out.
    """
    match = _DECIMAL.fullmatch(word)
    if match is None or not (match[2] or match[3]):
        return None
    decimals = match[3] or ""
    digits = match[2] + decimals
    if len(match[5] or "") > 6 or len(digits) + int(match[5] or 0) > MOST:
        shifted = f" and an exponent of {match[4]}{match[5][:12]}" if match[5] else ""
        raise OverflowError(f"a number of {len(digits)} digits{shifted}: at most {MOST} digits are read, written out")
    power = int(match[5] or 0) * (-1 if match[4] == "-" else 1) - len(decimals)
    mantissa = whole(digits)
    exact = Fraction(mantissa * 10**power) if power >= 0 else Fraction(mantissa, 10**-power)
    return -exact if match[1] == "-" else exact


def fraction(text: str) -> Fraction:
    """A decimal, or ``a/b``; :class:`ValueError` for anything else, :class:`OverflowError` for too many digits."""
    word = text.strip()
    match = _FRACTION.fullmatch(word)
    if match is not None:
        if len(word) > 2 * MOST:
            raise OverflowError(f"a fraction of {len(word)} digits: at most {MOST} digits are read")
        return Fraction(whole(match[1]), whole(match[2]))
    exact = decimal(word)
    if exact is None:
        raise ValueError(f"{word[:40]!r} is not a number")
    return exact


def whole(digits: str) -> int:
    """An integer of any length."""
    return int(digits) if len(digits) <= _PLAIN else int(Decimal(digits))


def shown(value: Fraction | float) -> str:
    """Nine digits, of a rational that is beyond floats as well."""
    try:
        return f"{float(value):.9g}"
    except OverflowError:
        exact = Fraction(value)
        return f"{Decimal(exact.numerator) / exact.denominator:.9g}"


def text(value: int) -> str:
    """All digits of an integer of any length."""
    return str(value) if value.bit_length() < 2000 else str(Decimal(value))
