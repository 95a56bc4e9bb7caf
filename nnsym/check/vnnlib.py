"""Properties: VNN-LIB 1.0, and of 2.0 declarations, polynomial comparisons, ``and`` and ``or``.

A file becomes declared networks and one tree per assertion. Terms are polynomials ``{(): c, (v,): c, (v, w): c}`` over
names with an index as they stand in the text; numbers are the decimals of the text, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any

from .errors import Refused, need, number, reading

_WORDS = re.compile(r'[()]|"[^"\n]*"|[^\s()"]+|"')
_ELEMENT = re.compile(r"([^\[\]]+)\[([0-9]+(?:,[0-9]+)*)\]")
_SHAPE = re.compile(r"\[([0-9]+(?:,[0-9]+)*)?\]")
_COMMENT = re.compile(r";[^\n]*")
_BREAK = re.compile(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029](?!\n|\Z)")
_DEEPEST = 100
_TERMS = 1 << 22  # of all polynomials of a file together
_FLAT = re.compile(r"([XY])_(0|[1-9][0-9]*)")
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
    """The nested lists of a file; a comment ends with its line, and only a line feed ends a line."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    need(not _BREAK.search(text), "a character that ends a line for some readers")
    bare = _COMMENT.sub("", text)
    need(bare.isascii(), "letters beyond ASCII outside of comments")
    words, stack = _WORDS.findall(bare), list[Any]([[]])
    need('"' not in words, "a quotation mark is not closed")
    for word in words:
        if word == "(":
            need(len(stack) < _DEEPEST, "parentheses nest too deeply")
            stack.append([])
        elif word == ")":
            need(len(stack) > 1, "a parenthesis closes that was not opened")
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    need(len(stack) == 1, "a parenthesis is not closed")
    return list(stack[0])


def add(total: Polynomial, more: Polynomial, sign: int = 1) -> Polynomial:
    """``total += sign more``; the sum."""
    for monomial, value in more.items():
        value = value if sign > 0 else -value
        total[monomial] = total[monomial] + value if monomial in total else value
        if not total[monomial]:
            del total[monomial]
    return total


class Reader:
    """Reads the terms and formulas of one file, by what it declared."""

    def __init__(self, text: str) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.word = lru_cache(None)(self._word)  # variables stand in several assertions, and images repeat numbers
        items = parse(text)
        self.flat = not any(isinstance(item, list) and item[:1] == ["declare-network"] for item in items)
        self.terms = 0
        networks: list[Network] = []
        parts = []
        for item in items:
            need(isinstance(item, list) and item and isinstance(item[0], str), "'{}'", item)
            if item[0] == "assert":
                need(len(item) == 2, "an assertion of one formula")
                parts.append(self.formula(item[1]))
            elif item[0] == "declare-network":
                networks.append(self._network(item))
            elif item[0] == "declare-const":
                need(len(item) == 3 and _FLAT.fullmatch(str(item[1])) and item[2] == "Real", "'{}'", item)
                self.shapes[item[1]] = ()
            else:
                need(item[0] == "vnnlib-version", f"'{item[0]}' is not read")
        self.property = Property(tuple(networks) or (Network("", "", ()),), self.flat, Junction(True, tuple(parts)))

    def _network(self, item: Sequence[Any]) -> Network:
        need(len(item) > 1 and isinstance(item[1], str), "a network without a name")
        equal, tensors = "", []
        for part in item[2:]:
            need(isinstance(part, list) and len(part) > 1, f"'{part}' in a declaration")
            kind = str(part[0]).removeprefix("declare-")
            if kind in ("equal-to", "isomorphic-to"):
                equal = str(part[1]) if kind == "equal-to" else equal
                continue
            need(kind in ("input", "hidden", "output") and len(part) >= 3, f"'{part[0]}' is not read")
            need(_TYPES.fullmatch(str(part[2])), f"the type '{part[2]}' is not read")
            quoted = [w.strip('"') for w in part[3:] if w[:1] == '"']
            dims = _SHAPE.fullmatch("".join(w for w in part[3:] if w[:1] != '"') or "[]")
            if dims is None or len(quoted) != (kind == "hidden"):
                raise Refused(f"the declaration of '{part[1]}'")
            shape = tuple(int(d) for d in (dims[1] or "").split(",") if d)
            need(prod(shape) < 1 << 26 and part[1] not in self.shapes, f"'{part[1]}' is declared twice, or too large")
            self.shapes[part[1]] = shape
            tensors.append(Declared(kind, part[1], shape, part[2].strip("u").startswith("int"), *quoted))
        return Network(item[1], equal, tuple(tensors))

    def variable(self, word: str) -> Variable:
        found = _ELEMENT.fullmatch(word)
        name = found[1] if found else word
        need(name in self.shapes, f"'{word[:40]}' is neither declared nor a number")
        if self.flat:
            need(found is None, f"'{word}' has an index")
            return name[0], int(name[2:])
        shape, places = self.shapes[name], tuple(map(int, found[2].split(","))) if found else ()
        need(len(places) == len(shape), f"'{word}' does not fit the shape {shape}")
        need(all(i < d for i, d in zip(places, shape, strict=True)), f"'{word}' is outside of {shape}")
        return name, sum(i * prod(shape[k + 1 :]) for k, i in enumerate(places))

    def _word(self, word: str) -> Polynomial:
        if word[0].isdigit() or word[0] in "+-.":
            value = number(word, "VNN-LIB")
            return {(): value} if value else {}
        return {(self.variable(word),): Fraction(1)}

    def term(self, item: Any) -> Polynomial:
        """A term's polynomial, which may be that of others too."""
        if isinstance(item, str):
            return self.word(item)
        need(len(item) > 1 and item[0] in ("+", "-", "*"), "the term '{}'", item)
        first, *rest = map(self.term, item[1:])
        if item[0] == "-" and not rest:
            return add({}, first, -1)
        first = dict(first)
        for other in rest:
            if item[0] == "*":
                first = self._times(first, other)
            else:
                self.terms += len(other)
                first = add(first, other, 1 if item[0] == "+" else -1)
        need(self.terms < _TERMS, "polynomials of too many terms")
        return first

    def _times(self, a: Polynomial, b: Polynomial) -> Polynomial:
        total: Polynomial = {}
        self.terms += len(a) * len(b)
        need(self.terms < _TERMS, "polynomials of too many terms")
        for m, c in a.items():
            for n, d in b.items():
                need(len(m) + len(n) <= 2, "a product of more than two variables")
                add(total, {tuple(sorted((*m, *n))): c * d})
        return total

    def formula(self, item: Any) -> Any:
        need(isinstance(item, list) and item, "the formula '{}'", item)
        word, *rest = item
        if word in ("and", "or"):
            need(rest, f"'{word}' of nothing")
            return Junction(word == "and" or len(rest) == 1, tuple(map(self.formula, rest)))
        need(len(rest) == 2 and word in ("<=", "<", ">=", ">", "==", "!=", "="), "the comparison '{}'", word)
        a, b = map(self.term, rest)
        sides = [(a, b)] if word[0] == "<" else [(b, a)] if word[0] == ">" else [(a, b), (b, a)]
        atoms = tuple(Atom(add(dict(one), other, -1), word in ("<", ">", "!=")) for one, other in sides)
        return atoms[0] if len(atoms) == 1 else Junction(word != "!=", atoms)


def read_property(text: str) -> Property:
    """The property of a file's text."""
    with reading("VNN-LIB"):
        return Reader(text).property
