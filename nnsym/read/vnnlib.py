"""VNN-LIB files of either version; the parser of 1.0: variables ``X_i``, ``Y_j`` and assertions about them.

The conjunction of the assertions is the violation of a property. 1.0 has ``declare-const``, ``assert``, nested
``and or not =>``, ``<= >= < > =`` and linear terms with ``+ - *``; 2.0 is read by :mod:`nnsym.read.vnnlib2`.
Numbers are the decimals of the text, exactly. See https://www.vnnlib.org.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from nnsym.errors import InputError, UnsupportedError
from nnsym.read.sexpr import Tokens
from nnsym.read.sources import decompress, read_bytes
from nnsym.read.vnnlib_tree import Comparison, Condition, Junction, Term, VnnSpec, junction, negation

if TYPE_CHECKING:
    from nnsym.ir.network import Network
    from nnsym.ir.query import Query

_VERSION = re.compile(r"\s*\(\s*vnnlib-version\s*<\s*(\d+)\.(\d+)\s*>")
_COMMENTS = re.compile(r"\A(?:\s*;[^\n]*\n)+")
_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?")
_VARIABLE = re.compile(r"([XY])_(0|[1-9]\d*)")
_COMPARISONS = ("<=", ">=", "<", ">", "=")
_IGNORED = ("set-logic", "set-info", "set-option", "check-sat", "exit")


def load_vnnlib(
    source: str | Path | bytes,
    network: Network | str | Path | None = None,
    *,
    networks: Mapping[str, Network | str | Path] | None = None,
) -> Query:
    """The query of a ``.vnnlib`` or ``.vnnlib.gz`` file (or of its bytes), version 1.0 or 2.0, about its networks.

    ``network``, loaded or a path, is the only one of the file; ``networks`` gives one for each name that a 2.0 file
    declares. The version is what the file's header says. Raises :class:`InputError` with file, line and token for
    anything that cannot be read or does not fit the networks. An empty input region is no error.
    """
    text, name = _read(source)
    given = dict(networks or {})
    version = _VERSION.match(_COMMENTS.sub("", text))
    if version is not None:
        if version[1] != "2":
            line = text.count("\n", 0, text.index("vnnlib-version")) + 1
            raise UnsupportedError(
                f"is VNN-LIB {version[1]}.{version[2]}", where=f"{name}, line {line}", remedy="Read are 1.0 and 2.0"
            )
        from nnsym.read.vnnlib2_query import read_query

        return read_query(text, name, network, given)
    from nnsym.read.vnnlib_query import to_query

    spec = parse(text, name=name)
    if network is None and len(given) == 1:
        (network,) = given.values()
    if network is None:
        remedy = "Give the network too" if not given else "Give one network"
        raise InputError("a VNN-LIB 1.0 property does not name its network", where=name, remedy=remedy)
    if isinstance(network, (str, Path)):
        from nnsym.read.onnx import load

        network = load(network)
    return to_query(spec, network)


def _read(source: str | Path | bytes) -> tuple[str, str]:
    if isinstance(source, bytes):
        name, data = "VNN-LIB text", decompress(source, "VNN-LIB text")
    else:
        name, data = Path(source).name, read_bytes(Path(source))
    try:
        return data.decode("utf-8"), name
    except UnicodeDecodeError:
        raise InputError("is not text", where=name, remedy="Give a VNN-LIB file") from None


def parse(text: str, *, name: str = "VNN-LIB text") -> VnnSpec:
    """Read the text of a VNN-LIB 1.0 file."""
    return _Parser(Tokens.of(text, name)).run()


class _Parser:
    """One pass over the tokens: frames of open parentheses on a stack, each reduced where it closes."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens, self.words = tokens, tokens.words
        self.variables: dict[str, int] = {}
        self.numbers: dict[str, Fraction] = {}
        self.lower: dict[int, Fraction] = {}
        self.upper: dict[int, Fraction] = {}
        self.asserted: list[Condition] = []

    def run(self) -> VnnSpec:
        words, position = self.words, 0
        while position < len(words):
            if words[position] != "(":
                raise self.tokens.error(position, "expected '('")
            command = words[position + 1] if position + 1 < len(words) else ""
            if command == "assert":
                position = self._bound(position) or self._assertion(position)
            elif command in ("declare-const", "declare-fun"):
                position = self._declaration(position)
            elif command in _IGNORED:
                position = self._skip(position)
            elif command == "declare-network":
                remedy = "Put (vnnlib-version <2.0>) at the head of the file"
                raise self.tokens.error(position + 1, "this is VNN-LIB 2.0 without its header", remedy)
            else:
                raise self.tokens.error(position + 1, "unknown command", "Known: declare-const, assert")
        return self._finish()

    def _finish(self) -> VnnSpec:
        inputs, outputs = (self._count(letter) for letter in "XY")
        if not self.lower and not self.upper and not self.asserted:
            raise self.tokens.error(len(self.words), "nothing is asserted", "Is the file cut off?")
        condition = junction(True, self.asserted)
        return VnnSpec(self.tokens.file, inputs, outputs, self.lower, self.upper, condition)

    def _count(self, letter: str) -> int:
        count = sum(name[0] == letter for name in self.variables)
        for k in range(count):
            if f"{letter}_{k}" not in self.variables:
                raise self.tokens.error(
                    len(self.words), f"{count} variables {letter} are declared, but not {letter}_{k}"
                )
        return count

    def _declaration(self, position: int) -> int:
        words = self.words
        fields = words[position + 2 : position + 7]
        length = 3
        if words[position + 1] == "declare-fun":
            fields, length = fields[:1] + fields[3:], 5
        match = _VARIABLE.fullmatch(fields[0]) if fields else None
        if match is None:
            raise self.tokens.error(position + 2, "expected a variable X_i or Y_i")
        if fields[1:3] != ["Real", ")"]:
            raise self.tokens.error(position + length, "expected 'Real)'", "Variables of VNN-LIB 1.0 are real")
        if fields[0] in self.variables:
            raise self.tokens.error(position + 2, "declared twice")
        index = int(match[2])
        self.variables[fields[0]] = index if match[1] == "X" else ~index
        return position + length + 2

    def _skip(self, position: int) -> int:
        while position < len(self.words) and self.words[position] != ")":
            position += 1
        return position + 1

    def _bound(self, position: int) -> int:
        """``(assert (<= X_3 0.5))``, the bulk of every file, without the general machinery; 0 if it is not that."""
        words = self.words[position + 2 : position + 8]
        if len(words) < 6 or words[0] != "(" or words[4] != ")" or words[5] != ")" or words[1] not in ("<=", ">="):
            return 0
        variable = self.variables.get(words[2], -1)
        value = self._number(words[3])
        if variable < 0 or value is None:
            return 0
        self._tighten(variable, value, upper=words[1] == "<=")
        return position + 8

    def _tighten(self, variable: int, value: Fraction, *, upper: bool) -> None:
        if upper:
            self.upper[variable] = min(value, self.upper.get(variable, value))
        else:
            self.lower[variable] = max(value, self.lower.get(variable, value))

    def _number(self, word: str) -> Fraction | None:
        """The exact value of a decimal literal; bounds repeat often, so each text is converted once."""
        known = self.numbers.get(word)
        if known is not None:
            return known
        match = _NUMBER.fullmatch(word)
        if match is None or not (match[2] or match[3]):
            return None
        decimals = match[3] or ""
        mantissa, exponent = int((match[2] or "") + decimals), int(match[4] or 0) - len(decimals)
        exact = Fraction(mantissa * 10**exponent) if exponent >= 0 else Fraction(mantissa, 10**-exponent)
        self.numbers[word] = exact = -exact if match[1] == "-" else exact
        return exact

    def _assertion(self, position: int) -> int:
        """``(assert F)`` at ``position``; returns the position behind it."""
        end, value = self._expression(position + 2)
        if isinstance(value, Term):
            raise self.tokens.error(position + 2, "a term where a condition is expected")
        if end >= len(self.words) or self.words[end] != ")":
            raise self.tokens.error(end, "expected ')'")
        for part in value.parts if isinstance(value, Junction) and value.every else (value,):
            self._conjoin(part)
        return end + 1

    def _conjoin(self, part: Condition) -> None:
        if isinstance(part, Comparison) and len(part.term.coefficients) == 1:
            ((variable, factor),) = part.term.coefficients.items()
            if variable >= 0:
                self._tighten(variable, -part.term.constant / factor, upper=factor > 0)
                if not part.strict:
                    return
        self.asserted.append(part)

    def _expression(self, start: int) -> tuple[int, Term | Condition]:
        """The expression at ``start`` and the position behind it."""
        frames: list[tuple[int, list[Term | Condition]]] = []
        position = start
        while position < len(self.words):
            word = self.words[position]
            if word == "(":
                frames.append((position + 1, []))
                position += 2
                continue
            if word == ")" and not frames:
                raise self.tokens.error(position, "expected an expression")
            if word == ")":
                head, parts = frames.pop()
                value = self._reduce(head, parts)
            else:
                value = self._leaf(position)
            position += 1
            if not frames:
                return position, value
            frames[-1][1].append(value)
        opened = frames[-1][0] - 1 if frames else start
        line = self.tokens.line(opened)
        raise self.tokens.error(len(self.words), f"the expression of line {line} is not closed", "Is the file cut off?")

    def _leaf(self, position: int) -> Term | Condition:
        word = self.words[position]
        if word in self.variables:
            return Term({self.variables[word]: Fraction(1)}, Fraction(0))
        value = self._number(word)
        if value is not None:
            return Term({}, value)
        if word in ("true", "false"):
            return Junction(word == "true", ())
        if _VARIABLE.fullmatch(word):
            raise self.tokens.error(position, "undeclared variable", f"Add (declare-const {word} Real)")
        raise self.tokens.error(position, "expected a number or a declared variable")

    def _reduce(self, head: int, parts: list[Term | Condition]) -> Term | Condition:
        operator = self.words[head] if head < len(self.words) else ""
        terms = [p for p in parts if isinstance(p, Term)]
        conditions = [p for p in parts if not isinstance(p, Term)]
        if operator in ("and", "or", "not", "=>"):
            if terms:
                raise self.tokens.error(head, "a term where a condition is expected")
            return self._logical(head, operator, conditions)
        if operator not in (*_COMPARISONS, "+", "-", "*", "/"):
            raise self.tokens.error(head, "unknown operator", "Known: and or not => <= >= < > = + - * /")
        if conditions:
            raise self.tokens.error(head, "a condition where a term is expected")
        if operator in _COMPARISONS:
            return self._comparison(head, operator, terms)
        return self._arithmetic(head, operator, terms)

    def _logical(self, head: int, operator: str, parts: list[Condition]) -> Condition:
        if operator in ("and", "or"):
            return junction(operator == "and", parts)
        if operator == "not" and len(parts) == 1:
            return negation(parts[0])
        if operator == "=>" and len(parts) == 2:
            return junction(False, [negation(parts[0]), parts[1]])
        raise self.tokens.error(head, f"{len(parts)} operands")

    def _comparison(self, head: int, operator: str, terms: list[Term]) -> Condition:
        if len(terms) < 2:
            raise self.tokens.error(head, f"{len(terms)} operands, expected 2")
        found: list[Condition] = []
        for left, right in pairwise(terms):
            if operator in ("<=", "<", "="):
                found.append(Comparison(left.plus(right, -1), operator == "<"))
            if operator in (">=", ">", "="):
                found.append(Comparison(right.plus(left, -1), operator == ">"))
        return junction(True, found)

    def _arithmetic(self, head: int, operator: str, terms: list[Term]) -> Term:
        if not terms:
            raise self.tokens.error(head, "no operands")
        total = terms[0]
        if operator == "-" and len(terms) == 1:
            return total.times(Fraction(-1))
        for other in terms[1:]:
            if operator in ("+", "-"):
                total = total.plus(other, 1 if operator == "+" else -1)
            elif operator == "*" and total.coefficients and other.coefficients:
                raise self.tokens.error(head, "a product of variables is not linear")
            elif operator == "*":
                total = other.times(total.constant) if not total.coefficients else total.times(other.constant)
            elif other.coefficients or not other.constant:
                raise self.tokens.error(head, "a division by something else than a non-zero number")
            else:
                total = total.times(1 / other.constant)
        return total
