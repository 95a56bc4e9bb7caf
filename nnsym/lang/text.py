"""How a property reads: small strings with a binding strength, so that brackets stand only where needed."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

COMPARE, OR, AND, IMPLIES, SUM, PRODUCT, UNARY, ATOM = range(8)
_LONGEST = 400


class Text(NamedTuple):
    """A string and the strength of its outermost operator."""

    string: str
    level: int = ATOM

    def at(self, level: int) -> str:
        """The string, in brackets if its operator binds weaker than ``level``."""
        return self.string if self.level >= level else f"({self.string})"


def clip(string: str) -> str:
    """Very long text shortened in the middle."""
    return string if len(string) <= _LONGEST else f"{string[: _LONGEST - 60]} ... {string[-50:]}"


def infix(left: Text, operator: str, right: Text, level: int, *, associative: bool = False) -> Text:
    """``left operator right``."""
    return Text(clip(f"{left.at(level)} {operator} {right.at(level if associative else level + 1)}"), level)


def call(name: str, *arguments: str) -> Text:
    """``name(arguments)``."""
    return Text(clip(f"{name}({', '.join(arguments)})"))


def number_text(value: Any) -> Text:
    """A constant as it was written: numbers in full, short arrays as lists, long ones by shape."""
    if value is None:
        return Text("None")
    if isinstance(value, (str, bool, int, float, Decimal, Fraction)) and not isinstance(value, np.generic):
        string = str(value)
        return Text(string, UNARY if string.startswith("-") else PRODUCT if "/" in string else ATOM)
    array = np.asarray(value, dtype=object) if isinstance(value, (list, tuple)) else np.asarray(_detached(value))
    if array.ndim == 0:
        return number_text(array.item())
    if array.ndim == 1 and array.size <= 8:
        return Text(f"[{', '.join(number_text(v).string for v in array.tolist())}]")
    return Text(f"<array of shape {array.shape}>")


def _detached(value: Any) -> Any:
    detach = getattr(value, "detach", None)
    return value if detach is None else detach().cpu()
