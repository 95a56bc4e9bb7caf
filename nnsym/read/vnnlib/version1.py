"""VNN-LIB 1.0: variables ``X_i``, ``Y_j`` and assertions about them.

There are ``declare-const``, ``assert``, nested ``and or not =>``, ``<= >= < > =`` and linear terms with ``+ - * /``.
Numbers are the decimals of the text, exactly. See https://www.vnnlib.org.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import final

from nnsym.errors import InputError
from nnsym.ir import digits
from nnsym.ir.digits import decimal
from nnsym.read.meter import Meter
from nnsym.read.vnnlib.sexpr import Tokens
from nnsym.read.vnnlib.tree import Condition, Inequality, Junction, Term, VnnSpec, junction, negation

_VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")
_COMPARISONS = ("<=", ">=", "<", ">", "=")
_COMPARISON, _TERM = 600, 200  # bytes of a comparison, and of each variable in it, until the query is made
_IGNORED = ("set-logic", "set-info", "set-option", "check-sat", "exit")


@final
class Parser:
    """One pass over the tokens: frames of open parentheses on a stack, each reduced where it closes."""

    def __init__(self, tokens: Tokens, meter: Meter) -> None:
        self.tokens, self.words, self.meter = tokens, tokens.words, meter
        self.variables: dict[str, int] = {}
        self.numbers: dict[str, Fraction] = {}
        self.lower: dict[int, Fraction] = {}
        self.upper: dict[int, Fraction] = {}
        self.asserted: list[Condition] = []

    def run(self) -> VnnSpec:
        words, position = self.words, 0
        while position < len(words):
            self.meter.step(self.tokens.file)
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
                reason = f"{count} variables {letter} are declared, but not {letter}_{k}"
                raise InputError(reason, where=self.tokens.file, remedy="They are numbered from 0")
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
        value = self._number(position + 5)
        if variable < 0 or value is None:
            return 0
        self._tighten(variable, self._sized(value, position + 5), upper=words[1] == "<=")
        return position + 8

    def _sized(self, value: Fraction, position: int) -> Fraction:
        """The value, if floats can come near it: methods compute in them."""
        if value and not 2**-1074 <= abs(value) < 2**1024:
            size = f"10^{len(digits.text(abs(value.numerator))) - len(digits.text(value.denominator))}"
            reason = f"a number near {size}, which no float64 comes near,"
            raise self.tokens.error(position, reason, "Scale the property")
        return value

    def _tighten(self, variable: int, value: Fraction, *, upper: bool) -> None:
        if upper:
            self.upper[variable] = min(value, self.upper.get(variable, value))
        else:
            self.lower[variable] = max(value, self.lower.get(variable, value))

    def _number(self, position: int) -> Fraction | None:
        """The exact value of a decimal literal; bounds repeat often, so each text is converted once."""
        word = self.words[position]
        known = self.numbers.get(word)
        if known is not None:
            return known
        try:
            exact = decimal(word)
        except OverflowError as error:
            raise self.tokens.error(position, str(error), "Write a shorter number") from None
        if exact is not None:
            self.numbers[word] = exact
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
        if isinstance(part, Inequality) and len(part.term.coefficients) == 1:
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
            self.meter.step(self.tokens.file)
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
        value = self._number(position)
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
                found.append(self._compared(left.plus(right, -1), operator == "<", head))
            if operator in (">=", ">", "="):
                found.append(self._compared(right.plus(left, -1), operator == ">", head))
        return junction(True, found)

    def _compared(self, difference: Term, strict: bool, head: int) -> Inequality:
        """``difference <= 0``, its numbers checked."""
        self.meter.take(_COMPARISON + _TERM * len(difference.coefficients), self.tokens.file, "its comparisons")
        self._sized(difference.constant, head)
        for factor in difference.coefficients.values():
            self._sized(factor, head)
        if len(difference.coefficients) == 1:
            self._sized(difference.constant / factor, head)
        return Inequality(difference, strict)

    def _arithmetic(self, head: int, operator: str, terms: list[Term]) -> Term:
        if not terms:
            raise self.tokens.error(head, "no operands")
        total = terms[0]
        if operator == "-" and len(terms) == 1:
            return total.times(Fraction(-1))
        if operator in ("+", "-"):
            return total.sum(terms[1:], 1 if operator == "+" else -1)
        for other in terms[1:]:
            if operator == "*" and total.coefficients and other.coefficients:
                raise self.tokens.error(head, "a product of variables is not linear")
            if operator == "*":
                total = other.times(total.constant) if not total.coefficients else total.times(other.constant)
            elif other.coefficients or not other.constant:
                raise self.tokens.error(head, "a division by something else than a non-zero number")
            else:
                total = total.times(1 / other.constant)
        return total
