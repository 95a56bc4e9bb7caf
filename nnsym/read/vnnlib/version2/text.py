"""A VNN-LIB 2.0 text before the ``vnnlib`` package sees it: comments out, nesting and letters checked, in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.read.meter import Meter

_COMMENT = re.compile(r";[^\n]*")
_QUOTED = re.compile(r'"[^"\n]*"|;[^\n]*')
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_INDEX = re.compile(r"[\[,]\s*([+-][0-9]*|[0-9]{10,})")  # the package takes y[-1] for an index
_DEPTH = 2000  # the package is safe to more than ten times that on a stack of 8 MiB
_PIECE = 4 * 2**20


def error_at(text: str, place: int, file: str, reason: str, remedy: str = "") -> InputError:
    """An error with its line, counted from 1."""
    return InputError(reason, where=f"{file}, line {text.count(chr(10), 0, place) + 1}", remedy=remedy)


def checked(text: str, where: str, meter: Meter) -> str:
    """The text without comments; raises :class:`InputError` for what the package must not be given."""
    if '"' in text:
        bare = _QUOTED.sub(lambda found: found[0] if found[0][0] == '"' else "", text)
        plain = _QUOTED.sub(lambda found: '"' + "_" * (len(found[0]) - 2) + '"', bare)  # names of hidden tensors
    else:
        plain = bare = _COMMENT.sub("", text) if ";" in text else text
    meter.check(where)
    foreign = None if plain.isascii() else _FOREIGN.search(plain)
    if foreign is not None:
        reason = f"cannot be read at '{foreign[0][:40]}'"
        raise error_at(bare, foreign.start(), where, reason, "Outside of comments the letters are those of ASCII")
    end = bare.find("\0")
    if end >= 0:
        raise error_at(bare, end, where, "a NUL character", "The package would take the file to end there; remove it")
    index = _INDEX.search(plain)
    if index is not None:
        raise error_at(bare, index.start(1), where, f"an index or length out of range at '{index[1][:40]}'")
    deep = _too_deep(plain)
    if deep >= 0:
        reason = f"parentheses nested more than {_DEPTH} deep"
        raise error_at(bare, deep, where, reason, "Write one 'and' or 'or' with all its parts")
    return bare


def _too_deep(text: str) -> int:
    """Where the nesting passes its limit; -1 if nowhere."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    depth = 0
    for start in range(0, len(data), _PIECE):
        depths = depth + _depths(data[start : start + _PIECE])
        over = np.flatnonzero(depths > _DEPTH)
        if len(over):
            return start + int(over[0])
        depth = int(depths[-1])
    return -1


def _depths(data: Array) -> Array:
    """How many parentheses are open behind each byte."""
    return np.cumsum((data == ord("(")).astype(np.int32) - (data == ord(")")))


def pieces(text: str) -> Iterator[str]:
    """The text, or for a long one its declarations with a part of its assertions, on the lines that they have."""
    if len(text) <= _PIECE or not text.isascii() or '"' in text:
        yield text
        return
    ends = np.flatnonzero((_depths(data := np.frombuffer(text.encode(), dtype=np.uint8)) == 0) & (data == ord(")"))) + 1
    head = _head(text, ends)
    start, line = 0, 0
    while start < len(text):
        k = int(np.searchsorted(ends, start + _PIECE))
        end = int(ends[k]) if k < len(ends) - 1 else len(text)
        yield (head + "\n" * line if start else "") + text[start:end]
        line += text.count("\n", start, end)
        start = end


def _head(text: str, ends: Array) -> str:
    """The declarations, on one line: what stands before the first assertion."""
    first = text.find("(assert")
    count = int(np.searchsorted(ends, first, "right"))
    return text[: int(ends[count - 1])].replace("\n", " ").replace("\r", " ") if count else ""
