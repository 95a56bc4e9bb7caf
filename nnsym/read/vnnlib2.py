"""VNN-LIB 2.0: the typed tree of the ``vnnlib`` package as comparisons over numbered variables.

Each element of each declared tensor is a variable; monomials of higher degree (``*`` of variables) are variables of
their own. Inputs that a top-level ``(== a[i] b[j])`` ties together are one variable. Numbers are the decimals of the
text, exactly. See https://www.vnnlib.org (version 2.0).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from math import prod
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.digits import decimal
from nnsym.read.meter import Meter
from nnsym.read.vnnlib2_solve import Solver
from nnsym.read.vnnlib2_text import checked, error_at, pieces
from nnsym.read.vnnlib_tree import Comparison, Condition, Junction, Term, junction

Array = NDArray[Any]
T = TypeVar("T")

_SPEED = 2e6  # bytes a second that the package reads at the least
_GROWTH = 40  # bytes of its tree for a byte of text
_DEGREE = 64
_MONOMIAL = 400  # bytes
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
    try:
        import vnnlib
    except ImportError:
        raise UnsupportedError(
            "VNN-LIB 2.0 is read by the package 'vnnlib', which is not installed",
            where=where,
            remedy="Install it: pip install 'nnsym[vnnlib]'",
        ) from None
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


@final
@dataclass(eq=False)
class Variables:
    """Numbers of variables: inputs count up from 0, hidden and output elements are ``~0``, ``~1`` and so on.

    ``first`` maps a declared name to the number of its first element, ``tied`` the elements of all declared inputs to
    their numbers; ``networks`` are the places of each network's elements in there, ``outputs`` its hidden and output
    elements. An input that an equation ties to a term is that term: its number is a negative one, and ``terms`` says
    what it is. ``monomials`` are the products met so far, each a tuple of sorted variables; monomial ``k`` is the
    variable ``~(others + k)``.
    """

    first: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    others: int
    tied: Array
    networks: tuple[range, ...] = ()
    outputs: tuple[range, ...] = ()
    terms: dict[int, Term] = field(default_factory=dict)
    monomials: list[tuple[int, ...]] = field(default_factory=list)
    known: dict[tuple[int, ...], int] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)

    @staticmethod
    def of(networks: Sequence[Any], meter: Meter) -> Variables:
        """The variables of the declared networks, in the file's order."""
        first: dict[str, int] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        counts = [0, 0]
        ranges: tuple[list[range], list[range]] = ([], [])
        for network in networks:
            before = tuple(counts)
            for kind, tensors in enumerate((network.inputs, (*network.hidden, *network.outputs))):
                for tensor in tensors:
                    first[tensor.name] = counts[kind] if kind == 0 else ~counts[kind]
                    shapes[tensor.name] = tuple(tensor.shape)
                    counts[kind] += prod(tensor.shape)
            for kind in (0, 1):
                ranges[kind].append(range(before[kind], counts[kind]))
        inputs, computed = map(tuple, ranges)
        return Variables(first, shapes, counts[1], np.arange(counts[0]), inputs, computed, meter=meter)

    def place(self, leaf: Any) -> int:
        """The number of the element that a leaf of the tree names."""
        offset = 0
        for index, size in zip(leaf.indices, self.shapes[leaf.name], strict=True):
            if not 0 <= index < size:
                raise InputError(f"an index of '{leaf.name}' is out of range: {index}", remedy=f"0 to {size - 1}")
            offset = offset * size + index
        first = self.first[leaf.name]
        return int(self.tied[first + offset]) if first >= 0 else first - offset  # ~(start + offset)

    def tie(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Make the inputs of each pair one variable, the one declared first."""
        parent = list(range(len(self.tied)))

        def root(v: int) -> int:
            while parent[v] != v:
                parent[v] = v = parent[parent[v]]
            return v

        for a, b in pairs:
            low, high = sorted((root(a), root(b)))
            parent[high] = low
        roots = np.array([root(v) for v in parent], dtype=np.int64)
        self.tied = np.unique(roots, return_inverse=True)[1]

    def define(self, equations: Sequence[Term]) -> list[int]:
        """Make inputs the terms that equations ``term == 0`` tie them to; returns which equations were used up.

        Inputs that are left are numbered anew, without gaps.
        """
        found = Solver(self.tied, self.networks, self.outputs).solve(equations)
        if not found:
            return []
        count = int(self.tied.max()) + 1
        kept = np.array([v not in found for v in range(count)])
        number = np.where(kept, np.cumsum(kept) - 1, 0)
        for k, v in enumerate(sorted(found)):
            number[v] = ~(self.others + k)
        for v, (_, term) in found.items():
            moved = {int(number[w]) if w >= 0 else w: c for w, c in term.coefficients.items()}
            self.terms[int(number[v])] = Term(moved, term.constant)
        self.tied = number[self.tied]
        self.others += len(found)
        return [which for which, _ in found.values()]

    @property
    def free(self) -> Array:
        """For each element of the declared inputs: is it the first that has its number, and no term?"""
        first = np.zeros(len(self.tied), dtype=bool)
        first[np.unique(self.tied, return_index=True)[1]] = True
        return first & (self.tied >= 0)

    def monomial(self, factors: tuple[int, ...]) -> int:
        """The variable of a product; the product of all but its last factor comes before it."""
        if len(factors) == 1:
            return factors[0]
        if factors not in self.known:
            self.monomial(factors[:-1])
            self.known[factors] = ~(self.others + len(self.monomials))
            self.monomials.append(factors)
        return self.known[factors]

    def factors(self, variable: int) -> tuple[int, ...]:
        """The variables that a monomial multiplies."""
        k = ~variable - self.others
        return self.monomials[k] if k >= 0 else (variable,)

    def times(self, a: Term, b: Term) -> Term:
        """The product of two polynomials."""
        products = []
        for (v, c), (w, d) in ((p, q) for p in a.coefficients.items() for q in b.coefficients.items()):
            factors = (*self.factors(v), *self.factors(w))
            if len(factors) > _DEGREE:
                raise UnsupportedError(f"a product of {len(factors)} variables", remedy=f"At most {_DEGREE} are read")
            self.meter.take(_MONOMIAL, "products of sums", "multiplied out it")
            self.meter.step("products of sums")
            products.append(Term({self.monomial(tuple(sorted(factors))): c * d}, Fraction(0)))
        outer = Term({}, -a.constant * b.constant)
        return a.times(b.constant).sum([b.times(a.constant), outer, *products])


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
        if isinstance(part, Comparison) and len(part.term.coefficients) == 1:
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
        below = Comparison(difference, kind in ("LessThan", "NotEqual"))
        above = Comparison(difference.times(Fraction(-1)), kind in ("GreaterThan", "NotEqual"))
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
