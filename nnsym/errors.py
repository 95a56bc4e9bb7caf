"""Errors are an interface: each names where it happened, the reason, and the remedy.

The command line prints ``str(error)`` and leaves with :attr:`NnsymError.exit_code`; nothing below this
module prints or exits.
"""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from collections.abc import Iterable
from types import FrameType

_LIBRARIES = ("nnsym", "torch", "numpy", "IPython", "ipykernel")


#: So many of the user's lines stand above a message in a notebook.
_SHOWN = 4

#: So many characters of a line stand in a message.
_WIDTH = 120


def foreign(frame: FrameType) -> bool:
    """True for code of the user's: neither nnsym's nor a library's that calls back."""
    return frame.f_globals.get("__name__", "").split(".")[0] not in _LIBRARIES


def line_of(frame: FrameType, number: int) -> str:
    """``file.py:12: `the source line```, cut to 120 characters; in a notebook ``cell [3], line 2: `...```."""
    name = frame.f_code.co_filename
    source = linecache.getline(name, number, frame.f_globals).strip()
    source = source if len(source) <= _WIDTH else f"{source[: _WIDTH - 3]}..."
    cell = _cell(name)
    place = f"cell [{cell}], line {number}" if cell is not None else f"{os.path.basename(name)}:{number}"
    return f"{place}: `{source}`" if source else place


def _cell(name: str) -> int | None:
    """The number of the notebook's cell that IPython compiled under this file name."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    cells = getattr(getattr(running, "compile", None), "_filename_map", {})
    return cells.get(name)


#: What papers and other tools call things, in letters and digits alone, and their names here.
_ELSEWHERE = {
    **dict.fromkeys(("deeppoly", "lirpa", "autolirpa"), "crown"),
    **dict.fromkeys(("alphacrown", "acrown"), "alpha"),
    **dict.fromkeys(("betacrown", "abcrown", "alphabetacrown", "bnb", "branchandbound"), "bab"),
    **dict.fromkeys(("interval", "intervals", "box"), "ibp"),
    **dict.fromkeys(("deepz", "ai2"), "zonotope"),
    **dict.fromkeys(("wongkolter", "convexadversarialpolytope"), "fastlin"),
    **dict.fromkeys(("milp", "mip", "mipverify"), "bigm"),
    **dict.fromkeys(("planet", "relaxation", "linearprogram"), "triangle"),
    **dict.fromkeys(("kpoly", "prima"), "krelu3"),
    **dict.fromkeys(("reluplex", "marabou"), "smt"),
    **dict.fromkeys(("pgd", "fgsm", "madry"), "attack"),
    **dict.fromkeys(("smoothing", "randomizedsmoothing"), "sampling"),
    **dict.fromkeys(("swish",), "silu"),
    **dict.fromkeys(("leaky", "lrelu"), "leaky_relu"),
    **dict.fromkeys(("hardtanh", "htanh"), "hard_tanh"),
    **dict.fromkeys(("logistic",), "sigmoid"),
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``Did you mean crown? `` for a name that nearly is one of those known, or is so in papers; else no text."""
    import difflib

    by_letters = {text.lower(): text for text in known}
    elsewhere = _ELSEWHERE.get("".join(c for c in name.lower() if c.isalnum()))
    if elsewhere in by_letters:
        return f"Did you mean {by_letters[elsewhere]}? "
    close = difflib.get_close_matches(name.lower(), by_letters, n=2, cutoff=0.7)
    return f"Did you mean {' or '.join(by_letters[text] for text in close)}? " if close else ""


class NnsymError(Exception):
    """Base of every error that nnsym raises on purpose.

    ``where`` names the node, line, variable, file or solver; ``reason`` says what is wrong with it;
    ``remedy`` says what to do. The message reads ``where: reason. remedy``.
    """

    exit_code = 2

    def __init__(self, reason: str, *, where: str = "", remedy: str = "") -> None:
        self.where, self.reason, self.remedy = where, reason, remedy
        head = f"{where}: {reason}" if where else reason
        super().__init__(f"{head.rstrip('.')}. {remedy}" if remedy else head)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.where, self.remedy)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback: the user's own lines, and the message."""
        lines = []
        for frame, number in traceback.walk_tb(self.__traceback__):
            place = line_of(frame, number)
            if foreign(frame) and place not in str(self):
                lines.append(place)
        return [*lines[-_SHOWN:], f"{type(self).__name__}: {self}"]


def _rebuild(kind: type[NnsymError], reason: str, where: str, remedy: str) -> NnsymError:
    return kind(reason, where=where, remedy=remedy)


class InputError(NnsymError):
    """A file, network or property that the user gave cannot be read or does not fit together."""


class OutOfTimeError(NnsymError):
    """The time ran out while the question was read: nothing is known, as with ``unknown (timeout)``."""

    exit_code = 30


class UnsupportedError(NnsymError):
    """Something well-formed that this version, encoding or solver does not handle."""


class MissingBoundsError(NnsymError):
    """An encoding needs a finite bound that the given bounds do not provide."""


class LanguageError(NnsymError, TypeError):
    """An expression in a property that Python would silently misread (``and``, ``in``, chained ``<``)."""


class SolverUnavailableError(NnsymError):
    """A solver that is not installed, or whose licence does not cover the problem."""
