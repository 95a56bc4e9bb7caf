"""Properties: VNN-LIB 1.0, and of 2.0 declarations, polynomial comparisons, ``and`` and ``or``.

A file becomes declared networks and one tree per assertion. Terms are polynomials ``{(): c, (v,): c, (v, w): c}`` over
names with an index as they stand in the text; numbers are the decimals of the text, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from .errors import Refused, need, number

_WORDS = re.compile(r'[()]|"[^"]*"|[^\s()"]+')
_ELEMENT = re.compile(r"([^\[\]]+)\[(\d+(?:,\d+)*)\]")
_DEEPEST = 100
_FLAT = re.compile(r"([XY])_(\d+)")
_TYPES = re.compile(r"(real|float\d*|bfloat16|int\d*|uint\d*|Real)")

Variable = tuple[str, int]  # declared name, flat element
Polynomial = dict[tuple[Variable, ...], Fraction]


@dataclass(frozen=True)
class Atom:
    """``left <= 0``, or ``left < 0``."""

    left: Polynomial
    strict: bool


@dataclass(frozen=True)
class Junction:
    """All of the parts (``every``), or at least one."""

    every: bool
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Declared:
    """One ``declare-``: input, hidden or output of a network; ``onnx`` is the name of a hidden tensor in its file."""

    kind: str
    name: str
    shape: tuple[int, ...]
    integer: bool = False
    onnx: str = ""


@dataclass(frozen=True)
class Network:
    """A declared network: its name, the name of the one that it equals, its tensors."""

    name: str
    equal: str
    tensors: tuple[Declared, ...]


@dataclass(frozen=True)
class Property:
    """Declared networks (1.0: one without declared tensors) and what is asserted."""

    networks: tuple[Network, ...]
    flat: bool
    formula: Junction


def parse(text: str) -> list[Any]:
    """The nested lists of a file."""
    stack: list[list[Any]] = [[]]
    for word in _WORDS.findall("\n".join(line.partition(";")[0] for line in text.splitlines())):
        if word == "(":
            need(len(stack) < _DEEPEST, "VNN-LIB: parentheses nest too deeply")
            stack.append([])
        elif word == ")":
            need(len(stack) > 1, "VNN-LIB: a parenthesis closes that was not opened")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    need(len(stack) == 1, "VNN-LIB: a parenthesis is not closed")
    return stack[0]


def plus(a: Polynomial, b: Polynomial, factor: Fraction | int = 1) -> Polynomial:
    """``a + factor b``."""
    total = dict(a)
    for monomial, value in b.items():
        total[monomial] = total.get(monomial, Fraction(0)) + factor * value
    return {m: c for m, c in total.items() if c}


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            need(len(m) + len(n) <= 2, "VNN-LIB: a product of more than two variables")
            total = plus(total, {tuple(sorted((*m, *n))): c * d})
    return total


class Reader:
    """Reads the terms and formulas of one file, by what it declared."""

    def __init__(self, text: str) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.flat = "declare-network" not in text
        networks: list[Network] = []
        parts = []
        for item in parse(text):
            need(isinstance(item, list) and item and isinstance(item[0], str), f"VNN-LIB: '{str(item)[:40]}'")
            if item[0] == "assert":
                need(len(item) == 2, "VNN-LIB: an assertion of one formula")
                parts.append(self.formula(item[1]))
            elif item[0] == "declare-network":
                networks.append(self._network(item))
            elif item[0] == "declare-const":
                need(len(item) == 3 and _FLAT.fullmatch(str(item[1])) and item[2] == "Real", f"VNN-LIB: {item}"[:60])
                self.shapes[item[1]] = ()
            else:
                need(item[0] == "vnnlib-version", f"VNN-LIB: '{item[0]}' is not read")
        self.property = Property(tuple(networks) or (Network("", "", ()),), self.flat, Junction(True, tuple(parts)))

    def _network(self, item: Sequence[Any]) -> Network:
        need(len(item) > 1 and isinstance(item[1], str), "VNN-LIB: a network without a name")
        equal, tensors = "", []
        for part in item[2:]:
            need(isinstance(part, list) and len(part) > 1, f"VNN-LIB: '{part}' in a declaration")
            kind = str(part[0]).removeprefix("declare-")
            if kind in ("equal-to", "isomorphic-to"):
                equal = str(part[1]) if kind == "equal-to" else equal
                continue
            need(kind in ("input", "hidden", "output") and len(part) >= 3, f"VNN-LIB: '{part[0]}' is not read")
            need(_TYPES.fullmatch(str(part[2])), f"VNN-LIB: the type '{part[2]}' is not read")
            dims = re.findall(r"\d+", " ".join(w for w in part[3:] if w[:1] != '"'))
            onnx = next((w.strip('"') for w in part[3:] if w[:1] == '"'), "")
            shape = tuple(map(int, dims))
            need(
                prod(shape) < 1 << 26 and part[1] not in self.shapes,
                f"VNN-LIB: '{part[1]}' is declared twice, or too large",
            )
            self.shapes[part[1]] = shape
            tensors.append(Declared(kind, part[1], shape, part[2].strip("u").startswith("int"), onnx))
        return Network(item[1], equal, tuple(tensors))

    def variable(self, word: str) -> Variable:
        found = _ELEMENT.fullmatch(word)
        name = found[1] if found else word
        need(name in self.shapes, f"VNN-LIB: '{word[:40]}' is neither declared nor a number")
        if self.flat:
            need(found is None, f"VNN-LIB: '{word}' has an index")
            return name[0], int(name[2:])
        shape, places = self.shapes[name], tuple(map(int, found[2].split(","))) if found else ()
        need(len(places) == len(shape), f"VNN-LIB: '{word}' does not fit the shape {shape}")
        need(all(i < d for i, d in zip(places, shape, strict=True)), f"VNN-LIB: '{word}' is outside of {shape}")
        return name, sum(i * prod(shape[k + 1 :]) for k, i in enumerate(places))

    def term(self, item: Any) -> Polynomial:
        if isinstance(item, str):
            if item[0].isdigit() or item[0] in "+-.":
                value = number(item, "VNN-LIB")
                return {(): value} if value else {}
            return {(self.variable(item),): Fraction(1)}
        need(len(item) > 1 and item[0] in ("+", "-", "*"), f"VNN-LIB: the term '{str(item)[:40]}'")
        first, *rest = map(self.term, item[1:])
        if item[0] == "-" and not rest:
            return plus({}, first, -1)
        for other in rest:
            first = _times(first, other) if item[0] == "*" else plus(first, other, 1 if item[0] == "+" else -1)
        return first

    def formula(self, item: Any) -> Any:
        need(isinstance(item, list) and item, f"VNN-LIB: the formula '{str(item)[:40]}'")
        word, *rest = item
        if word in ("and", "or"):
            need(rest, f"VNN-LIB: '{word}' of nothing")
            return Junction(word == "and" or len(rest) == 1, tuple(map(self.formula, rest)))
        need(len(rest) == 2 and word in ("<=", "<", ">=", ">", "==", "!=", "="), f"VNN-LIB: the comparison '{word}'")
        a, b = map(self.term, rest)
        down, up = plus(a, b, -1), plus(b, a, -1)
        if word in ("<=", "<"):
            return Atom(down, word == "<")
        if word in (">=", ">"):
            return Atom(up, word == ">")
        return Junction(word != "!=", (Atom(down, word == "!="), Atom(up, word == "!=")))


def read_property(text: str) -> Property:
    """The property of a file's text."""
    try:
        return Reader(text).property
    except (RecursionError, TypeError, AttributeError) as error:
        raise Refused(f"VNN-LIB: the file is not read ({error})") from None
