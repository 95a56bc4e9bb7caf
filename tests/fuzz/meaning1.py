"""What a VNN-LIB 1.0 text says at a point, by a second reader: plain recursion, exact rationals, nothing of nnsym."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

_TOKEN = re.compile(r"[()]|[^\s()]+")


def holds(text: str, at: Mapping[str, Fraction]) -> bool:
    """Are all assertions true where the variables have these values?"""
    tokens = _TOKEN.findall(re.sub(r";[^\n]*", "", text))
    place = 0
    true = True
    while place < len(tokens):
        form, place = _form(tokens, place)
        if form[0] == "assert":
            true = bool(_value(form[1], at)) and true
    return true


def _form(tokens: list[str], place: int) -> tuple[Any, int]:
    if tokens[place] != "(":
        return tokens[place], place + 1
    parts, place = [], place + 1
    while tokens[place] != ")":
        part, place = _form(tokens, place)
        parts.append(part)
    return parts, place + 1


def _value(form: Any, at: Mapping[str, Fraction]) -> Any:
    if isinstance(form, str):
        return form == "true" if form in ("true", "false") else at[form] if form in at else Fraction(form)
    values = [_value(part, at) for part in form[1:]]
    pairs = list(pairwise(values))
    match form[0]:
        case "and":
            return all(values)
        case "or":
            return any(values)
        case "not":
            return not values[0]
        case "=>":
            return not values[0] or values[1]
        case "<=":
            return all(a <= b for a, b in pairs)
        case ">=":
            return all(a >= b for a, b in pairs)
        case "<":
            return all(a < b for a, b in pairs)
        case ">":
            return all(a > b for a, b in pairs)
        case "=":
            return all(a == b for a, b in pairs)
        case "+":
            return sum(values, Fraction(0))
        case "-":
            return -values[0] if len(values) == 1 else values[0] - sum(values[1:], Fraction(0))
    total = values[0]
    for value in values[1:]:
        total = total * value if form[0] == "*" else total / value
    return total
