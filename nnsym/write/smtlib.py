"""SMT-LIB 2: any Program, printed exactly.

Every float is written as the rational number it denotes; where a Program carries exact numbers those are
written instead. So the file is the program itself, not a rounding of it, and what a solver reads from it is
what it would have been given.

Reals are ``Real``, integers ``Int``. Binary columns are ``Bool``: guards of implications and literals of
clauses as they are, and inside a linear row as ``(ite b 1.0 0.0)``, which keeps the logic at QF_LRA (no
branching on integers: Z3 decides such files many times sooner than with ``Int`` columns); its coefficient
is written into it, ``(ite b 3.0 0.0)``. Every assertion is named: ``|network.3[17]|``
is row 17 of block 3, ``|bound relu_1[17].pre|`` a bound, so unsat cores point at their origin.

Source: SMT-LIB standard 2.6, theories Reals and Reals_Ints.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import infinite
from nnsym.program import (
    CaseBlock,
    CaseForm,
    ClauseBlock,
    ImplicationBlock,
    Kind,
    ProductBlock,
    Program,
    QuadraticBlock,
    RowBlock,
    SosBlock,
)
from nnsym.write.names import comments, one_line, symbols

Number = float | Fraction


def to_smtlib(
    program: Program,
    *,
    header: Sequence[str] = (),
    decide_below: Number | None = None,
    strictly: bool = False,
    named: bool = True,
) -> str:
    """The program as SMT-LIB 2 text that ends with ``(check-sat)``; ``header`` lines become comments.

    A program in margin form says nothing about the sign of its objective t: ``decide_below=0`` adds
    ``t <= 0`` (``t < 0`` if ``strictly``), and ``sat`` then means that a point has such a margin.
    ``named=False`` leaves the names of assertions out, for solvers that are not asked for an unsat core.
    """
    lines = comments(";", header)
    lines.append(f"(set-logic {logic(program)})")
    printer = _Printer.of(program, named=named)
    lines += printer.declarations()
    lines += printer.bounds()
    for number, rows in enumerate(program.rows):
        lines += printer.rows(f"{rows.tag.value}.{number}", rows)
    for number, implication in enumerate(program.implications):
        lines += printer.implications(f"{implication.rows.tag.value}.if.{number}", implication)
    for number, clauses in enumerate(program.clauses):
        lines += printer.clauses(f"{clauses.tag.value}.or.{number}", clauses)
    for number, products in enumerate(program.products):
        lines += printer.products(f"network.product.{number}", products)
    for number, quadratic in enumerate(program.quadratics):
        lines += printer.quadratic(f"{quadratic.tag.value}.ball.{number}", quadratic)
    for number, functions in enumerate(program.functions):
        lines += printer.functions(f"network.function.{number}", functions)
    for number, sets in enumerate(program.sets):
        lines += printer.sets(f"network.set.{number}", sets)
    if program.objective is not None:
        lines.append(f"; objective: minimise {printer.term[program.objective]}")
        if decide_below is not None:
            lines += printer.decide(program.objective, decide_below, strictly)
    lines.append("(check-sat)\n")
    return "\n".join(lines)


def logic(program: Program) -> str:
    """The smallest standard logic: QF_LRA, QF_LIRA with integer columns, QF_NRA or QF_NIRA with polynomials."""
    integers = bool((program.kind == Kind.INTEGER).any())
    nonlinear = bool(program.products or program.quadratics)
    return f"QF_{'N' if nonlinear else 'L'}{'I' if integers else ''}RA"


class _Numerals(dict[Number, str]):
    """Text of each number, made once: ``5.0``, ``(/ 5.0 8.0)``, ``(- (/ 5.0 8.0))``."""

    def __missing__(self, value: Number) -> str:
        over, under = value.as_integer_ratio()
        size = f"{abs(over)}.0" if under == 1 else f"(/ {abs(over)}.0 {under}.0)"
        text = self[value] = size if over >= 0 else f"(- {size})"
        return text

    def of(self, values: Array) -> list[str]:
        """The texts of many numbers; of floats each distinct one is made once, from its binary digits."""
        if values.dtype == object:
            return [self[value] for value in values.tolist()]
        found, place = np.unique(values, return_inverse=True)
        texts = list(_binary_texts(found))
        return [texts[k] for k in place.tolist()]


def _binary_texts(values: Array) -> Iterator[str]:
    """``n / 2^p`` in lowest terms: the 53 digits of the mantissa without zeros at their end."""
    mantissa, exponent = np.frexp(values)
    digits = (np.abs(mantissa) * 2.0**53).astype(np.int64)
    last = np.where(digits == 0, 2**53, digits & -digits)
    power = exponent - 54 + np.frexp(last.astype(np.float64))[1]
    under = {p: f" {2**-p}.0)" for p in np.unique(power).tolist() if p < 0}
    for n, p, negative in zip((digits // last).tolist(), power.tolist(), (values < 0).tolist(), strict=True):
        size = f"(/ {n}.0{under[p]}" if p < 0 else f"{n << p}.0"
        yield f"(- {size})" if negative else size


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Printer:
    """How each column is written: its symbol, and the real term it stands for inside a row."""

    program: Program
    symbol: list[str]
    term: list[str]
    binary: list[bool]
    numeral: _Numerals
    named: bool

    @staticmethod
    def of(program: Program, *, named: bool) -> _Printer:
        quoted = [f"|{name}|" for name in symbols(program)]
        spell: dict[int, Callable[[str], str]] = {
            Kind.REAL: str,
            Kind.INTEGER: "(to_real {})".format,
            Kind.BINARY: "(ite {} 1.0 0.0)".format,
        }
        term = [spell[kind](name) for kind, name in zip(program.kind.tolist(), quoted, strict=True)]
        binary = (program.kind == Kind.BINARY).tolist()
        return _Printer(program=program, symbol=quoted, term=term, binary=binary, numeral=_Numerals(), named=named)

    def declarations(self) -> Iterator[str]:
        """One constant per column."""
        sort = {Kind.REAL: "Real", Kind.INTEGER: "Int", Kind.BINARY: "Bool"}
        for name, kind in zip(self.symbol, self.program.kind.tolist(), strict=True):
            yield f"(declare-const {name} {sort[kind]})"

    def bounds(self) -> Iterator[str]:
        """Bounds of the columns; a binary one is only bounded where it is fixed."""
        yield "; bounds of the columns"
        exact = self.program.exact_bounds
        lower, upper = exact if exact is not None else (self.program.lower, self.program.upper)
        columns = zip(lower.tolist(), upper.tolist(), self.program.kind.tolist(), strict=True)
        for column, (low, high, kind) in enumerate(columns):
            name = self.symbol[column]
            if kind != Kind.BINARY:
                claim = self.compare(self.term[column], low, high, strict=False)
            elif low > 0 or high < 1:
                claim = name if low > 0 and high >= 1 else f"(not {name})" if high < 1 and low <= 0 else "false"
            else:
                continue
            if claim != "true":
                yield self.claim(f"bound {name[1:-1]}", claim)

    def rows(self, name: str, block: RowBlock) -> Iterator[str]:
        """One assertion per linear row."""
        yield f"; {_line(block.tag.value, block.origin)}"
        for k, row in enumerate(self.linear(block)):
            yield self.claim(f"{name}[{k}]", row)

    def implications(self, name: str, block: ImplicationBlock) -> Iterator[str]:
        """``guard = value => row``."""
        yield f"; {_line(block.rows.tag.value, block.rows.origin)}"
        guards = zip(block.guard.tolist(), block.value.tolist(), self.linear(block.rows), strict=True)
        for k, (guard, value, row) in enumerate(guards):
            yield self.claim(f"{name}[{k}]", f"(=> {self.literal(guard, value)} {row})")

    def clauses(self, name: str, block: ClauseBlock) -> Iterator[str]:
        """One disjunction of literals per clause; ``sum >= 1`` where integrality was dropped."""
        yield f"; {_line(block.tag.value, block.origin)}"
        signs = [True] * len(block.indices) if block.positive is None else block.positive.tolist()
        literals = list(zip(block.indices.tolist(), signs, strict=True))
        for k, (start, stop) in enumerate(zip(block.indptr[:-1].tolist(), block.indptr[1:].tolist(), strict=True)):
            yield self.claim(f"{name}[{k}]", self.clause(literals[start:stop]))

    def clause(self, literals: list[tuple[int, bool]]) -> str:
        """Some literal holds: ``(or p (not q))``, or ``p + (1 - q) >= 1`` where a column is not binary."""
        if all(self.binary[column] for column, _ in literals):
            return _apply("or", [self.literal(column, sign) for column, sign in literals], none="false")
        terms = [self.term[j] if sign else f"(- 1.0 {self.term[j]})" for j, sign in literals]
        return f"(>= {_apply('+', terms, none='0.0')} 1.0)"

    def products(self, name: str, block: ProductBlock) -> Iterator[str]:
        """``out = left * right``."""
        yield f"; {_line('network', block.origin)}"
        triples = zip(block.out.tolist(), block.left.tolist(), block.right.tolist(), strict=True)
        for k, (out, left, right) in enumerate(triples):
            yield self.claim(f"{name}[{k}]", f"(= {self.term[out]} (* {self.term[left]} {self.term[right]}))")

    def quadratic(self, name: str, block: QuadraticBlock) -> Iterator[str]:
        """The sum of the squares is at most 1."""
        yield f"; {_line(block.tag.value, block.origin)}"
        terms = [f"(* {self.term[j]} {self.term[j]})" for j in block.columns.tolist()]
        yield self.claim(name, f"(<= {_apply('+', terms, none='0.0')} 1.0)")

    def functions(self, name: str, block: CaseBlock) -> Iterator[str]:
        """``out = slope arg + offset`` by cases, in the form that the block asks for."""
        yield f"; {_line('network', block.origin)}"
        tables = (block.slopes, block.offsets, block.starts, block.strict)
        parts = zip(block.out.tolist(), block.arg.tolist(), *(table.T.tolist() for table in tables), strict=True)
        for k, (out, arg, slopes, offsets, starts, strict) in enumerate(parts):
            y, h = self.term[out], self.term[arg]
            lines = [self.line(a, arg, b) for a, b in zip(slopes, offsets, strict=True)]
            edges = [(self.numeral[start], open_) for start, open_ in zip(starts, strict, strict=True)]
            begun = [f"({'>' if open_ else '>='} {h} {start})" for start, open_ in edges]
            ended = [f"({'<=' if open_ else '<'} {h} {start})" for start, open_ in edges]
            if block.form is CaseForm.ITE:
                text = lines[0]
                for test, line in zip(begun, lines[1:], strict=True):
                    text = f"(ite {test} {line} {text})"
                yield self.claim(f"{name}[{k}]", f"(= {y} {text})")
                continue
            inside = zip([[], *([t] for t in begun)], [*([t] for t in ended), []], lines, strict=True)
            cases = [([*start, *stop], f"(= {y} {line})") for start, stop, line in inside]
            if block.form is CaseForm.OR:
                text = _apply("or", [f"(and {' '.join((*tests, says))})" for tests, says in cases], none="false")
            else:
                pairs = [f"(=> {_apply('and', tests, none='true')} {says})" for tests, says in reversed(cases)]
                text = _apply("and", pairs, none="true")
            yield self.claim(f"{name}[{k}]", text)

    def line(self, slope: Number, column: int, offset: Number) -> str:
        """``slope * column + offset``, where either may be 0."""
        terms = [self.product(slope, self.numeral[slope], column)] if slope else []
        return _apply("+", [*terms, self.numeral[offset]] if offset else terms, none="0.0")

    def sets(self, name: str, block: SosBlock) -> Iterator[str]:
        """Of every two members one is 0; two neighbours may both be other than 0 where the set allows two."""
        yield f"; {_line('network', block.origin)}"
        for k, (start, stop) in enumerate(itertools.pairwise(block.indptr.tolist())):
            members = [f"(= {self.term[j]} 0.0)" for j in block.indices[start:stop].tolist()]
            apart = itertools.combinations(range(len(members)), 2)
            pairs = [f"(or {members[a]} {members[b]})" for a, b in apart if b - a >= block.most]
            yield self.claim(f"{name}[{k}]", _apply("and", pairs, none="true"))

    def decide(self, objective: int, below: Number, strictly: bool) -> Iterator[str]:
        """The margin is at most, or less than, ``below``."""
        yield "; decided: is there a point whose objective is this small?"
        yield self.claim("decide", f"({'<' if strictly else '<='} {self.term[objective]} {self.numeral[below]})")

    def linear(self, block: RowBlock) -> Iterator[str]:
        """The rows of a block as formulas, with exact numbers where the block has them."""
        data, lower, upper = block.exact or (block.data, block.lower, block.upper)
        texts = zip(data.tolist(), self.numeral.of(data), block.indices.tolist(), strict=True)
        products = [self.term[j] if c == 1 else self.product(c, text, j) for c, text, j in texts]
        ends = block.indptr.tolist()
        for start, stop, low, high in zip(ends[:-1], ends[1:], lower.tolist(), upper.tolist(), strict=True):
            yield self.compare(_apply("+", products[start:stop], none="0.0"), low, high, strict=block.strict)

    def product(self, coefficient: Number, text: str, column: int) -> str:
        """``coefficient * column``; ``text`` is the coefficient's."""
        if coefficient == 1:
            return self.term[column]
        if self.binary[column]:
            return f"(ite {self.symbol[column]} {text} 0.0)"
        if coefficient == -1:
            return f"(- {self.term[column]})"
        return f"(* {text} {self.term[column]})"

    def compare(self, term: str, low: Number, high: Number, *, strict: bool) -> str:
        """``low <= term <= high`` (``<`` where strict) without the infinite sides."""
        if low == float("inf") or high == float("-inf"):
            return "false"
        sign = "<" if strict else "<="
        if infinite(low):
            return "true" if infinite(high) else f"({sign} {term} {self.numeral[high]})"
        if infinite(high):
            return f"({'>' if strict else '>='} {term} {self.numeral[low]})"
        if low == high and not strict:
            return f"(= {term} {self.numeral[low]})"
        return f"({sign} {self.numeral[low]} {term} {self.numeral[high]})"

    def literal(self, column: int, value: int | bool) -> str:
        """The condition ``column = value``."""
        if self.binary[column]:
            return self.symbol[column] if value else f"(not {self.symbol[column]})"
        return f"(= {self.term[column]} {int(value)}.0)"

    def claim(self, name: str, formula: str) -> str:
        """One assertion."""
        return f"(assert (! {formula} :named |{name}|))" if self.named else f"(assert {formula})"


def _apply(operator: str, arguments: list[str], *, none: str) -> str:
    if len(arguments) > 1:
        return f"({operator} {' '.join(arguments)})"
    return arguments[0] if arguments else none


def _line(tag: str, origin: str) -> str:
    return f"{tag}: {one_line(' '.join(origin.split()))}"
