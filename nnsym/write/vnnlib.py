"""VNN-LIB files, 2.0 and 1.0, of any query: what satisfies the assertions violates the property.

The file speaks of networks' inputs, outputs and named hidden tensors only. Boxes, linear and polynomial comparisons are
said as they are, maxima, minima and absolute values by cases, inputs in other units through the network's own. What
the format cannot say is left out in the direction that keeps every violation, and listed as a :class:`Loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from itertools import accumulate, product
from math import inf
from typing import final

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, leaves, reduce_formula
from nnsym.ir.node import Input
from nnsym.ir.query import Query, Reading
from nnsym.ir.text import number
from nnsym.write.names import comments
from nnsym.write.vnnlib_declare import Layout, element_name, layout
from nnsym.write.vnnlib_formula import Atom, Condition, Joined, compare, group
from nnsym.write.vnnlib_logic import logic
from nnsym.write.vnnlib_terms import Expander, Key, Polynomial, constant, decimal, finite_scale, plus, times

VERSIONS = ("1.0", "2.0")
_DIGITS = 40  # after the point, of a rounded bound
_WHOLE = 64  # values of an integer that are listed
_SIGNED = 6  # elements up to which a ball of the norm 1 is 2^n half-spaces
_FLIPPED = {"<=": ">=", "<": ">", "==": "==", "!=": "!="}


@final
@dataclass(frozen=True)
class Loss:
    """What a file says weaker than the property: it is satisfied by more points, never by fewer."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@final
@dataclass(frozen=True, repr=False)
class VnnlibFile:
    """A file's text, its logic as the standard names it, and what was lost (empty: the file says it all)."""

    text: str
    logic: str
    losses: tuple[Loss, ...]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        """One line: size, logic, what was lost."""
        lost = "; ".join(map(str, self.losses)) or "nothing"
        return f"<VNN-LIB file of {len(self.text.splitlines())} lines, logic {self.logic}, lost: {lost}>"

    def _repr_html_(self) -> str:
        return f"<pre style='font-family:monospace'>{escape(self.text)}</pre>"


def to_vnnlib(query: Query, *, version: str = "2.0", header: Iterable[str] = ()) -> VnnlibFile:
    """The file of a query; ``header`` are lines of comment.

    Raises :class:`UnsupportedError` naming what the version cannot say and no weaker statement replaces.
    """
    if version not in VERSIONS:
        raise InputError(f"no version '{version}' of VNN-LIB", remedy=f"Use one of: {', '.join(VERSIONS)}")
    try:
        return _Writer(query, version).file(tuple(header))
    except UnsupportedError as error:
        raise error if error.where else UnsupportedError(error.reason, where=query.name, remedy=error.remedy) from None


def _quoted(name: str) -> str:
    """The name of an ONNX tensor as a string of the language, which has no escapes."""
    if not name.isprintable() or '"' in name:
        raise UnsupportedError(
            "a hidden tensor's name holds a quote or a control character, which a VNN-LIB string cannot",
            where=repr(name),
            remedy="Rename the tensor in the model",
        )
    return f'"{name}"'


class _Writer:
    """Collects the assertions of one file."""

    def __init__(self, query: Query, version: str) -> None:
        self.query, self.flat = query, version == "1.0"
        self.layout: Layout = layout(query)
        self.expand = Expander(self.layout.base, self.layout.carriers)
        self.losses: dict[Loss, None] = {}
        self.tensors = self.layout.tensors
        if self.flat:
            self._require_flat()
        self.names = self._names()

    def _require_flat(self) -> None:
        """Raise for what version 1.0 has no words for."""
        carriers = {carrier for carrier, _ in self.layout.carrying}
        missing = {
            "several networks or applications": len(self.layout.networks) > 1,
            "hidden neurons": any(t.kind == "hidden" for t in self.tensors),
            "inputs that are computed from others or tied": any(k not in carriers for k, _ in self.layout.ties),
        }
        for problem, found in missing.items():
            if found:
                raise UnsupportedError(f"VNN-LIB 1.0 cannot say {problem}", remedy="Export version 2.0")

    def _names(self) -> Callable[[Key], str]:
        if not self.flat:
            return lambda key: element_name(self.tensors[key[0]], key[1])
        first = {}
        for kind in ("input", "output"):
            mine = [k for k, t in enumerate(self.tensors) if t.kind == kind]
            starts = accumulate((self.tensors[k].node.size for k in mine), initial=0)
            first.update(dict(zip(mine, starts, strict=False)))
        return lambda key: f"{'XY'[self.tensors[key[0]].kind == 'output']}_{first[key[0]] + key[1]}"

    def file(self, header: tuple[str, ...]) -> VnnlibFile:
        conditions = [*self._bounds(), *self._ties(), *self._whole(), *self._balls(), self._formula()]
        top = group(True, conditions)
        parts = top.parts if isinstance(top, Joined) and top.every else (top,)
        parts = parts or (Joined(True, ()),)
        asserted = [f"(assert {self._text(part, top=True)})" for part in parts]
        tag = logic(self.layout.networks, parts)
        losses = tuple(self.losses)
        notes = [*header, f"logic     {tag}" if not self.flat else "", *(f"loss      {loss}" for loss in losses)]
        if losses:
            notes.append("loss      so unsat carries over, and a point that satisfies the assertions is a candidate")
        else:
            notes.append(f"loss      none: the assertions are satisfied exactly where {self._goal()}")
        comment = comments(";", filter(None, notes))
        body = self._flat_declarations() if self.flat else self._declarations()
        head = [] if self.flat else ["(vnnlib-version <2.0>)"]
        return VnnlibFile("\n".join([*comment, *head, *body, *asserted, ""]), tag, losses)

    def _goal(self) -> str:
        slack = f", with the slack of {number(self.query.slack)} that was asked for," if self.query.slack else ""
        return f"the property{slack} {'holds' if self.query.reading is Reading.EXISTS else 'is violated'}"

    def _declarations(self) -> list[str]:
        lines = []
        for n in self.layout.networks:
            lines.append(f"(declare-network {n.name}" + (f" ({n.relation})" if n.relation else ""))
            for t in n.tensors:
                onnx = f" {_quoted(n.hidden[t.name])}" if t.kind == "hidden" else ""
                lines.append(f"  (declare-{t.kind} {t.name} {t.type} [{','.join(map(str, t.shape))}]{onnx})")
            lines.append(")")
        return lines

    def _flat_declarations(self) -> list[str]:
        keys = [(k, i) for k, t in enumerate(self.tensors) for i in range(t.node.size)]
        return [f"(declare-const {self.names(key)} Real)" for key in keys]

    def _bounds(self) -> list[Condition]:
        found: list[Condition] = []
        for x, box in self.query.boxes.items():
            found += self._box(x, box.lower, box.upper, domain=True)
        return found

    def _box(self, x: Input, lower: Array, upper: Array, *, domain: bool = False) -> list[Condition]:
        """One atom for each finite bound; of the domain, elements of no network that nothing reads are left out."""
        found: list[Condition] = []
        for j, pair in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
            if domain and x not in self.layout.base and (x, j) not in self.layout.carriers and not self._is_read(x, j):
                found += [Joined(False, ())] if pair[0] > pair[1] else []
                continue
            for limit, sign in zip(pair, (-1, 1), strict=True):
                if limit not in (-inf, inf):
                    element = self.expand.element(x, j)
                    found.append(Atom(plus(constant(-sign * Fraction(limit)), element, sign), "<="))
                elif limit == -sign * inf:
                    found.append(Joined(False, ()))
        return found

    def _is_read(self, x: Input, j: int) -> bool:
        part = self.query.rows.parts.get(x)
        direct = part is not None and j in part.column
        boxed = any(isinstance(leaf, InBox) and leaf.input is x for leaf in leaves(self.query.formula))
        return direct or boxed or any(x in node.parents for node in self.query.nodes) or bool(self.query.balls.get(x))

    def _ties(self) -> list[Condition]:
        """Declared inputs equal what the property feeds them with, element by element."""
        found: list[Condition] = []
        for k, node in self.layout.ties:
            own = self.layout.base[node] == k
            for i in range(node.size):
                if (k, i) in self.layout.carrying:
                    continue
                value = self.expand.inside(node, i) if own else self.expand.element(node, i)
                difference = plus({((k, i),): Fraction(1)}, value, -1)
                found.append(group(True, (self._compare(difference), self._compare(plus({}, difference, -1)))))
        return found

    def _whole(self) -> list[Condition]:
        """Integer elements, as the list of their values; one-hot groups sum up to 1."""
        found: list[Condition] = []
        for x, box in self.query.boxes.items():
            for j in x.integer.nonzero()[0].tolist():
                low, high = box.lower[j], box.upper[j]
                if high - low >= _WHOLE:
                    why = "VNN-LIB over reals has no integers; real values between them satisfy the file too"
                    self.losses[Loss(f"{x.name}[{j}] is a whole number", why)] = None
                    continue
                element = self.expand.element(x, j)
                values = range(int(low), int(high) + 1)
                found.append(group(False, (Atom(plus(element, constant(Fraction(v)), -1), "==") for v in values)))
            for members in x.groups():
                total = constant(Fraction(-1))
                for j in members.tolist():
                    total = plus(total, self.expand.element(x, j))
                found.append(Atom(total, "=="))
        return found

    def _balls(self) -> list[Condition]:
        return [one for x, balls in self.query.balls.items() for ball in balls for one in self._ball(x, ball)]

    def _ball(self, x: Input, ball: Ball) -> Iterator[Condition]:
        """The norm 2 as a sum of squares, the norm 1 of few elements as half-spaces; a loss where neither will do."""
        away = [plus(self.expand.element(x, j), constant(-c)) for j, c in enumerate(to_fractions(ball.centre))]
        radius = Fraction(ball.radius)
        if ball.p == 1 and x.size <= _SIGNED:
            for signs in product((1, -1), repeat=x.size):
                yield Atom(_sum(constant(-radius), (plus({}, d, s) for s, d in zip(signs, away, strict=True))), "<=")
            return
        what = f"the ball of the norm {ball.p} for {x.name}"
        if self.flat:
            why = "its box stands for it" if ball.p == 1 else "VNN-LIB 1.0 has no products; its box stands for it"
            self.losses[Loss(what, why)] = None
            return
        if ball.p == 1:
            why = f"it has 2^{x.size} faces; the box and the ball of the norm 2 around it stand for it"
            self.losses[Loss(what, why)] = None
        yield Atom(_sum(constant(-(radius**2)), (times(d, d) for d in away)), "<=")

    def _formula(self) -> Condition:
        rows = self.expand.rows(self.query.rows)

        def leaf(node: Atoms | InBox) -> Condition:
            if isinstance(node, InBox):
                return group(True, self._box(node.input, node.lower, node.upper))
            relation = "<" if node.strict else "<="
            return group(node.every, (self._compare(rows[r], relation) for r in node.rows.tolist()))

        return reduce_formula(self.query.formula, leaf, lambda p: group(True, p), lambda p: group(False, p))

    def _compare(self, polynomial: Polynomial, relation: str = "<=") -> Condition:
        condition, exact = compare(polynomial, relation, self.expand.kinks)
        if not exact:
            why = "too many cases; each term is bounded with the others at the mean of their pieces"
            self.losses[Loss("a sum of maxima or absolute values", why)] = None
        return condition

    def _text(self, root: Condition, *, top: bool = False) -> str:
        if isinstance(root, Atom):
            return self._atom(root, top=top)
        if not root.parts:  # true or false
            name = self.names((0, 0))
            return f"(<= {name} {name})" if root.every else f"(<= {name} (- {name} 1.0))"
        return f"({'and' if root.every else 'or'} {' '.join(self._text(p) for p in root.parts)})"

    def _atom(self, atom: Atom, *, top: bool) -> str:
        """The first variable stands on the left with a positive sign."""
        terms = sorted((m, c) for m, c in atom.polynomial.items() if m)
        value = -atom.polynomial.get((), Fraction(0))
        lead = terms[0][1] if terms else Fraction(1)
        relation = atom.relation if lead > 0 else _FLIPPED[atom.relation]
        if len(terms) == 1:
            value, terms = value / lead, [(terms[0][0], Fraction(1))]
            if top and finite_scale([value]) > 1 and relation != "==" and relation != "!=":
                value = self._outward(value, up=relation[0] == "<", name=" ".join(map(self.names, terms[0][0])))
        elif lead < 0:
            value, terms = -value, [(m, -c) for m, c in terms]
        scale = finite_scale([value, *(c for _, c in terms)])
        value, terms = value * scale, [(m, c * scale) for m, c in terms]
        left = [self._term(m, c) for m, c in terms if c > 0]
        right = [self._term(m, -c) for m, c in terms if c < 0]
        return self._relate(relation, _sum_text(left, Fraction(0)), _sum_text(right, value))

    def _relate(self, relation: str, left: str, right: str) -> str:
        if not self.flat or relation in ("<=", ">="):
            return f"({relation} {left} {right})"
        if relation == "==":
            return f"(and (<= {left} {right}) (>= {left} {right}))"
        why = "VNN-LIB 1.0 compares by <= and >= only; the boundary satisfies the file too"
        self.losses[Loss("strict comparisons", why)] = None
        if relation == "!=":
            return f"(or (<= {left} {right}) (>= {left} {right}))"
        return f"({relation}= {left} {right})"

    def _outward(self, value: Fraction, *, up: bool, name: str) -> Fraction:
        scale = 10**_DIGITS
        rounded = Fraction(-((-value * scale).__floor__()) if up else (value * scale).__floor__(), scale)
        why = f"no finite decimal; rounded outward by less than 1e-{_DIGITS}"
        self.losses[Loss(f"the bound {value} of {name}", why)] = None
        return rounded

    def _term(self, monomial: tuple[Key, ...], factor: Fraction) -> str:
        if self.flat and len(monomial) > 1:
            raise UnsupportedError("VNN-LIB 1.0 has no products of variables", remedy="Export version 2.0")
        words = [decimal(factor)] if factor != 1 else []
        words += map(self.names, monomial)
        return words[0] if len(words) == 1 else f"(* {' '.join(words)})"


def _sum(start: Polynomial, parts: Iterable[Polynomial]) -> Polynomial:
    total = start
    for part in parts:
        total = plus(total, part)
    return total


def _sum_text(terms: list[str], value: Fraction) -> str:
    """``(+ a b 0.5)``, ``(- a 0.5)``, or the number alone."""
    if not terms:
        return decimal(value)
    total = terms[0] if len(terms) == 1 else f"(+ {' '.join(terms)})"
    if value > 0:
        return f"(+ {' '.join(terms)} {decimal(value)})"
    return total if not value else f"(- {total} {decimal(-value)})"
