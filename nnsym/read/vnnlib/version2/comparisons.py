"""VNN-LIB 2.0: the typed tree of the ``vnnlib`` package as comparisons over numbered variables.

Each element of each declared tensor is a variable; monomials of higher degree (``*`` of variables) are variables of
their own. Inputs that a top-level ``(== a[i] b[j])`` ties together are one variable. Numbers are the decimals of the
text, exactly. See https://www.vnnlib.org (version 2.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any, TypeVar, final

from nnsym.errors import InputError
from nnsym.ir.digits import decimal
from nnsym.read.meter import Meter
from nnsym.read.vnnlib.tree import Condition, Inequality, Junction, Term, junction
from nnsym.read.vnnlib.version2.text import checked, error_at, pieces
from nnsym.read.vnnlib.version2.variables import Variables
from nnsym.results.extras import require

T = TypeVar("T")

_SPEED = 2e6  # bytes a second that the package reads at the least
_GROWTH = 40  # bytes of its tree for a byte of text
_COMPARISON, _TERM = 600, 200  # bytes of a comparison, and of each variable in it, until the query is made
_LONG = re.compile(r"[0-9][0-9.]{18,}")
_SYNTAX = re.compile(r"syntax error at line (\d+), column (\d+)(?:: '(.*)')?", re.DOTALL)
_REMEDIES = {
    "real": "Write the element type in lower case: real, float32",
    "exponent": "Numbers have no exponent: write 0.001, not 1e-3",
    "point": "Numbers beside real variables need a decimal point: write 1.0",
    "words": "Known: and or <= < >= > == != + - *; push 'not' and '=>' inward",
}


@final
@dataclass(frozen=True, eq=False)
class Parsed:
    """What the package made of a file: declared networks and assertions; ``text`` is the file without comments."""

    file: str
    text: str
    networks: Sequence[Any]
    assertions: Sequence[Any]
    trees: Sequence[Any]  # they own the rest

    def number(self, lexeme: str) -> Fraction:
        """The exact value of a decimal, if floats can come near it."""
        try:
            exact = decimal(lexeme)
        except OverflowError as error:
            raise self.error(lexeme, str(error), "Write a shorter number") from None
        if exact is None:
            raise self.error(lexeme, "not a number")
        if exact and not 2**-1074 <= abs(exact) < 2**1024:
            raise self.error(lexeme, "a number that no float64 comes near", "Scale the property")
        return exact

    def error(self, word: str, reason: str, remedy: str = "") -> InputError:
        """An error at the first place where a word stands."""
        return error_at(self.text, max(self.text.find(word), 0), self.file, f"{reason} at '{word[:40]}'", remedy)


def parse_file(text: str, where: str, meter: Meter) -> Parsed:
    """The package's trees of a file; raises :class:`InputError` with line, token and remedy.

    The package cannot be interrupted and recurses over nested parentheses: what it is given is checked before, and long
    files are handed over in pieces.
    """
    require("vnnlib", where=where)
    import vnnlib

    bare = checked(text, where, meter)
    trees = []
    for piece in pieces(bare):
        meter.check(where, ahead=len(piece) / _SPEED)
        meter.take(len(piece) * _GROWTH, where, "its tree")
        try:
            trees.append(vnnlib.parse_query_string(piece))
        except vnnlib.VNNLibException as error:
            raise _located(str(error), piece, where) from None
        except Exception as error:  # of its conversions: std::out_of_range, names that are not UTF-8
            raise _unread(error, piece, where) from None
    return Parsed(where, bare, trees[0].networks, [a for tree in trees for a in tree.assertions], trees)


def _unread(error: Exception, text: str, where: str) -> InputError:
    found = _LONG.search(text)
    if found is None:
        return InputError(f"cannot be read ({type(error).__name__})", where=where, remedy="Is it VNN-LIB 2.0?")
    reason = f"a number beyond the range of floats or indices at '{found[0][:40]}'"
    return error_at(text, found.start(), where, reason, "Scale the property")


def _located(message: str, text: str, where: str) -> InputError:
    """The package's complaint as one line: file, line, token, reason and what to do."""
    found = _SYNTAX.search(message)
    if found is not None:
        line = int(found[1])
        content = (text.split("\n", line)[line - 1 : line] or [""])[0]
        token = f" at '{found[3]}'" if found[3] else " at the end of the file"
        remedy = "Is the file cut off?" if not found[3] else ""
        if re.search(r"\d[eE][-+]?\d", content):
            remedy = _REMEDIES["exponent"]
        elif re.search(r"\((?:not|=>|=|ite|let|min|max|abs)\s", content):
            remedy = _REMEDIES["words"]
        return InputError(f"cannot be read{token}", where=f"{where}, line {line}", remedy=remedy)
    try:
        problem = json.loads(message)["errors"][0]
    except (ValueError, LookupError, TypeError):
        return InputError(f"cannot be read: {message.splitlines()[0]}", where=where)
    remedy = str(problem.get("hint", ""))
    if "Unknown" in remedy:
        remedy = _REMEDIES["real"]
    elif "IntConstant" in remedy:
        remedy = _REMEDIES["point"]
    reason = f"{problem['message']} at '{problem['offendingSymbol']}'"
    return InputError(reason, where=f"{where}, line {problem['line']}", remedy=remedy)


def read_assertions(tree: Parsed, variables: Variables) -> tuple[dict[int, Fraction], dict[int, Fraction], Condition]:
    """``(lower, upper, condition)``: bounds of single inputs that stand alone, and everything else."""
    from vnnlib import Equal, GreaterEqual, LessEqual, Literal, Var

    top = list(_top_level(tree))
    equations = [a for a in top if type(a) is Equal]
    ties = [a for a in equations if all(_is_input(side) for side in (a.lhs, a.rhs))]
    if ties:
        variables.tie([(variables.place(a.lhs), variables.place(a.rhs)) for a in ties])
    reader = _Reader(variables, tree)
    others = [a for a in equations if not all(_is_input(side) for side in (a.lhs, a.rhs)) and _is_linear(a)]
    used = set(variables.define([reader.term(a.lhs).plus(reader.term(a.rhs), -1) for a in others]))
    known = {id(a) for k, a in enumerate(others) if k in used}  # they say what an input is
    asserted: list[Condition] = []
    for part in top:
        variables.meter.step(tree.file)
        kind = type(part)
        if id(part) in known:
            continue
        if kind is LessEqual or kind is GreaterEqual:  # the bulk of every file, without the general machinery
            left, right = part.lhs, part.rhs
            if type(left) is Var and isinstance(right, Literal) and (v := variables.place(left)) >= 0:
                reader.tighten(v, reader.number(right.lexeme), upper=kind is LessEqual)
                continue
        condition = reader.condition(part)
        for one in condition.parts if isinstance(condition, Junction) and condition.every else (condition,):
            reader.conjoin(one, asserted)
    return reader.lower, reader.upper, junction(True, asserted)


def _top_level(tree: Any) -> Iterator[Any]:
    """What the assertions and the conjunctions right under them say, in order."""
    from vnnlib import And

    stack = [a.expr for a in reversed(tree.assertions)]
    while stack:
        part = stack.pop()
        if isinstance(part, And):
            stack.extend(reversed(part.args))
        else:
            yield part


def _is_linear(equation: Any) -> bool:
    """No product of variables in it: each ``*`` has at most one operand with a variable."""
    from vnnlib import Literal, Multiply, Var

    def rule(node: Any, parts: list[int]) -> int:
        if isinstance(node, Var):
            return 1
        if isinstance(node, Literal):
            return 0
        return sum(parts) if isinstance(node, Multiply) else max(parts, default=0)

    return all(_bottom_up(side, lambda node: node.children(), rule) <= 1 for side in (equation.lhs, equation.rhs))


def _is_input(leaf: Any) -> bool:
    from vnnlib import SymbolKind, Var

    return isinstance(leaf, Var) and leaf.kind == SymbolKind.Input


class _Reader:
    """Turns parts of the tree into conditions; bounds of single inputs are gathered on the side."""

    def __init__(self, variables: Variables, parsed: Parsed) -> None:
        self.variables, self.parsed, self.meter = variables, parsed, variables.meter
        self.numbers: dict[str, Fraction] = {}
        self.lower: dict[int, Fraction] = {}
        self.upper: dict[int, Fraction] = {}

    def number(self, lexeme: str) -> Fraction:
        """The exact value of a decimal; bounds repeat often, so each text is converted once."""
        if lexeme not in self.numbers:
            self.numbers[lexeme] = self.parsed.number(lexeme)
        return self.numbers[lexeme]

    def tighten(self, variable: int, value: Fraction, *, upper: bool) -> None:
        limits = self.upper if upper else self.lower
        known = limits.get(variable)
        if known is None or (value < known if upper else value > known):
            limits[variable] = value

    def conjoin(self, part: Condition, asserted: list[Condition]) -> None:
        if isinstance(part, Inequality) and len(part.term.coefficients) == 1:
            ((variable, factor),) = part.term.coefficients.items()
            if variable >= 0:
                self.tighten(variable, -part.term.constant / factor, upper=factor > 0)
                if not part.strict:
                    return
        asserted.append(part)

    def condition(self, root: Any) -> Condition:
        from vnnlib import And, Comparison

        def rule(node: Any, parts: list[Condition]) -> Condition:
            self.meter.step(self.parsed.file)
            if isinstance(node, Comparison):
                self.require_variable(node)
                return self.comparison(type(node).__name__, self.term(node.lhs).plus(self.term(node.rhs), -1))
            return junction(isinstance(node, And), parts)

        return _bottom_up(root, lambda node: () if isinstance(node, Comparison) else node.args, rule)

    def require_variable(self, comparison: Any) -> None:
        """Raise for a comparison of numbers alone: it says nothing of any network, and the standard knows none."""
        from vnnlib import Literal

        sides = (comparison.lhs, comparison.rhs)
        if all(isinstance(side, Literal) for side in sides):
            word = sides[0].lexeme
            raise self.parsed.error(word, "a comparison of two numbers", "Compare a variable")

    def comparison(self, kind: str, difference: Term) -> Condition:
        """``difference (kind) 0``; what has no variables left is true or false."""
        self.meter.take(_COMPARISON + _TERM * len(difference.coefficients), self.parsed.file, "its comparisons")
        numbers = [difference.constant, *difference.coefficients.values()]
        if len(numbers) == 2:
            numbers.append(numbers[0] / numbers[1])
        if any(v and not 2**-1074 <= abs(v) < 2**1024 for v in numbers):
            reason = "a comparison whose numbers, worked out, no float64 comes near"
            raise InputError(reason, where=self.parsed.file, remedy="Scale the property")
        below = Inequality(difference, kind in ("LessThan", "NotEqual"))
        above = Inequality(difference.times(Fraction(-1)), kind in ("GreaterThan", "NotEqual"))
        if kind in ("LessThan", "LessEqual"):
            return junction(True, [below])
        if kind in ("GreaterThan", "GreaterEqual"):
            return junction(True, [above])
        return junction(kind == "Equal", [below, above])

    def term(self, root: Any) -> Term:
        from vnnlib import Literal, Minus, Multiply, Negate, Var

        def rule(node: Any, parts: list[Term]) -> Term:
            if isinstance(node, Var):
                return Term({self.variables.place(node): Fraction(1)}, Fraction(0))
            if isinstance(node, Literal):
                return Term({}, self.number(node.lexeme))
            if isinstance(node, Negate):
                return parts[0].times(Fraction(-1))
            if isinstance(node, Multiply):
                return reduce(self.variables.times, parts)
            return parts[0].sum(parts[1:], -1 if isinstance(node, Minus) else 1)

        return _bottom_up(root, lambda node: node.children(), rule)


def _bottom_up(root: Any, children: Callable[[Any], Sequence[Any]], rule: Callable[[Any, list[T]], T]) -> T:
    """``rule(node, values of its children)``, left to right, without recursion."""
    values: list[T] = []
    stack: list[tuple[Any, int]] = [(root, -1)]
    while stack:
        node, count = stack.pop()
        if count < 0:
            below = children(node)
            stack.append((node, len(below)))
            stack.extend((child, -1) for child in reversed(below))
        else:
            start = len(values) - count
            values[start:] = [rule(node, values[start:])]
    return values[0]
