"""Tokens of an s-expression file, with their places for error messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from nnsym.errors import InputError

_COMMENT = re.compile(r";[^\n]*")
_TOKEN = re.compile(r"[()]|[^\s()]+")


@final
@dataclass(frozen=True, eq=False)
class Tokens:
    """The words and parentheses of ``text`` without its comments; ``file`` is for messages."""

    file: str
    text: str
    words: list[str]

    @staticmethod
    def of(text: str, file: str) -> Tokens:
        bare = _COMMENT.sub("", text) if ";" in text else text
        return Tokens(file, bare, _TOKEN.findall(bare))

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
