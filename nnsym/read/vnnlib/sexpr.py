"""Tokens of an s-expression file, with their places for error messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from nnsym.errors import InputError
from nnsym.read.meter import Meter

_COMMENT = re.compile(r";[^\n]*")
_TOKEN = re.compile(r"[()]|[^ \t\r\n\f\v()]+")
_PIECE = 2**20  # characters between two looks at the clock
_WORD = 56  # bytes that a word takes at least


@final
@dataclass(frozen=True, eq=False)
class Tokens:
    """The words and parentheses of ``text`` without its comments; ``file`` is for messages."""

    file: str
    text: str
    words: list[str]

    @staticmethod
    def of(text: str, file: str, meter: Meter) -> Tokens:
        bare = without_comments(text)
        words: list[str] = []
        place = 0
        while place < len(bare):
            end = bare.find(")", place + _PIECE)  # pieces end at a parenthesis, never inside a word
            end = len(bare) if end < 0 else end
            found = _TOKEN.findall(bare, place, end)
            meter.check(file)
            meter.take(len(found) * _WORD, file, "the words of it")
            words += found
            place = end
        return Tokens(file, bare, words)

    def line(self, index: int) -> int:
        """The line of a token, counted from 1; that of the last one past the end."""
        place = len(self.text.rstrip())
        for k, match in enumerate(_TOKEN.finditer(self.text)):
            if k == index:
                place = match.start()
                break
        return self.text.count("\n", 0, place) + 1

    def error(self, index: int, reason: str, remedy: str = "") -> InputError:
        """An error at a token; the message shows file, line and token."""
        token = f" at '{self.words[index][:40]}'" if index < len(self.words) else " at the end of the file"
        return InputError(reason + token, where=f"{self.file}, line {self.line(index)}", remedy=remedy)


def without_comments(text: str) -> str:
    """The text with comments, ``;`` to the end of the line, left out and its lines kept; a byte order mark goes too."""
    bare = text.removeprefix("\ufeff")
    return _COMMENT.sub("", bare) if ";" in bare else bare
