"""The tokens of a long VNN-LIB 1.0 text as arrays, without a Python object for each.

A token is a code, and for a variable its index, for a number its digits and how many of them are decimals: exactly
``value / 10 ** decimals``. Texts with anything else in them are left to the reader of words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.read.meter import Meter

OTHER, OPEN, CLOSE, BELOW, ABOVE, LESS, MORE, X, Y, NUMBER, AND, OR, ASSERT, DECLARE, REAL = range(15)

_WORDS = {b"and": AND, b"or": OR, b"assert": ASSERT, b"declare-const": DECLARE, b"Real": REAL}
_SIGNS = {b"<=": BELOW, b">=": ABOVE, b"<": LESS, b">": MORE}
_DIGITS = 18  # of a number that an int64 holds
_LONGEST = 40  # characters of a number
_PIECE = 2**22
_TOKEN = 24  # bytes of a token while a piece is read
_SHIFTED = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3}))?")


def _classes() -> Array:
    """By byte: 0 for space, 1 for a parenthesis, 2 for a letter of a word."""
    table = np.full(256, 2, dtype=np.uint8)
    table[list(b" \t\r\n\f\v")] = 0
    table[list(b"()")] = 1
    return table


_CLASSES = _classes()


def _among(characters: bytes) -> Array:
    """By byte: whether it is one of these."""
    table = np.zeros(256, dtype=bool)
    table[list(characters)] = True
    return table


_NUMERIC = _among(b"0123456789+-.")
_NAMED = _among(bytes(word[0] for word in (_WORDS | _SIGNS)))


@final
@dataclass(frozen=True, eq=False)
class Lexed:
    """One entry for each token."""

    code: Array
    value: Array
    decimals: Array


def lex(text: str, meter: Meter, where: str) -> Lexed | None:
    """The tokens of a text without comments; None where some token is no word, variable or number that fits."""
    if not text.isascii():
        return None
    parts = []
    for piece in _pieces(text):
        meter.check(where)
        found = _piece(np.frombuffer(piece.encode() + b" " * _LONGEST, dtype=np.uint8))
        if found is None:
            return None
        meter.take(len(found.code) * _TOKEN, where, "the tokens of it")
        parts.append(found)
    joined = (np.concatenate([getattr(p, name) for p in parts]) for name in ("code", "value", "decimals"))
    return Lexed(*joined) if parts else None


def _pieces(text: str) -> Iterator[str]:
    """Parts of the text that end at a parenthesis, so never inside a word."""
    place = 0
    while place < len(text):
        end = text.find(")", place + _PIECE)
        end = len(text) if end < 0 else end
        yield text[place:end]
        place = end


def _piece(data: Array) -> Lexed | None:
    kinds = _CLASSES[data]
    letter = kinds == 2
    first = letter.copy()
    first[1:] &= ~letter[:-1]
    start = np.flatnonzero(first | (kinds == 1))
    last = letter[:-1] & ~letter[1:]
    length = np.ones(len(start), dtype=np.int64)
    words = np.flatnonzero(kinds[start] == 2)
    length[words] = np.flatnonzero(last) + 1 - start[words]
    head = data[start]
    code = np.full(len(start), OTHER, dtype=np.uint8)
    code[head == ord("(")], code[head == ord(")")] = OPEN, CLOSE
    value, decimals = np.zeros(len(start), dtype=np.int64), np.zeros(len(start), dtype=np.int16)
    named = np.flatnonzero(_NAMED[head])
    first_byte, its_length = head[named], length[named]
    for word, number in (_WORDS | _SIGNS).items():
        here = named[(first_byte == word[0]) & (its_length == len(word))]
        match = np.ones(len(here), dtype=bool)
        for k, byte in enumerate(word):
            match &= data[start[here] + k] == byte
        code[here[match]] = number
    for byte, kind in ((ord("X"), X), (ord("Y"), Y)):
        here = np.flatnonzero((head == byte) & (length >= 3) & (length <= 11))
        index, good = _indices(data, start[here], length[here])
        code[here[good]], value[here[good]] = kind, index[good]
    here = np.flatnonzero(_NUMERIC[head])
    mantissa, places, good = _decimals(data, start[here], length[here])
    code[here[good]], value[here[good]], decimals[here[good]] = NUMBER, mantissa[good], places[good]
    for k in here[~good].tolist():
        shifted = _shifted(data[start[k] : start[k] + length[k]].tobytes())
        if shifted is None:
            return None
        code[k], (value[k], decimals[k]) = NUMBER, shifted
    zeros = here[(decimals[here] > 0) & (value[here] % 10 == 0)]
    while len(zeros):  # 0.50 is 0.5
        value[zeros] //= 10
        decimals[zeros] -= 1
        zeros = zeros[(decimals[zeros] > 0) & (value[zeros] % 10 == 0)]
    return None if (code == OTHER).any() else Lexed(code, value, decimals)


def _indices(data: Array, start: Array, length: Array) -> tuple[Array, Array]:
    """The numbers behind ``X_``, and where they are written as they should be."""
    value = np.zeros(len(start), dtype=np.int64)
    good = (data[start + 1] == ord("_")) & ((data[start + 2] != ord("0")) | (length == 3))
    for k in range(2, int(length.max(initial=0))):
        inside = k < length
        digit = data[start + k].astype(np.int64) - ord("0")
        good &= ~inside | (digit >= 0) & (digit <= 9)
        value = np.where(inside, value * 10 + digit, value)
    return value, good


def _decimals(data: Array, start: Array, length: Array) -> tuple[Array, Array, Array]:
    """Digits and decimals of plain decimal numbers, and where that is all there is and it fits."""
    value, places = np.zeros(len(start), dtype=np.int64), np.zeros(len(start), dtype=np.int16)
    digits, point = np.zeros(len(start), dtype=np.int16), np.zeros(len(start), dtype=bool)
    sign = data[start]
    good = length <= _LONGEST
    for k in range(min(int(length.max(initial=0)), _LONGEST)):
        byte = data[start + k]
        inside = k < length
        digit = byte.astype(np.int64) - ord("0")
        is_digit = inside & (digit >= 0) & (digit <= 9)
        is_point = inside & (byte == ord("."))
        is_sign = (k == 0) & ((byte == ord("-")) | (byte == ord("+")))
        good &= ~inside | is_digit | (is_point & ~point) | is_sign
        with np.errstate(over="ignore"):
            value = np.where(is_digit, value * 10 + digit, value)
        places += is_digit & point
        digits += is_digit & ((digits > 0) | (digit > 0) | point)  # leading zeros of the whole part do not count
        point |= is_point
    seen = length - point - ((sign == ord("-")) | (sign == ord("+")))
    good &= (digits <= _DIGITS) & (seen > 0)
    return np.where(sign == ord("-"), -value, value), places, good


def _shifted(word: bytes) -> tuple[int, int] | None:
    """Digits and decimals of a number with an exponent or many zeros; None where they do not fit."""
    match = _SHIFTED.fullmatch(word)
    if match is None or not (match[2] or match[3]):
        return None
    decimals = (match[3] or b"").rstrip(b"0")
    digits = ((match[2] or b"") + decimals).lstrip(b"0")
    places = len(decimals) - int(match[4] or 0)
    if places < 0 and digits:
        digits += b"0" * -places
    if len(digits) > _DIGITS or places > 300:
        return None
    return int(match[1] + (digits or b"0")), max(places, 0) if digits else 0
