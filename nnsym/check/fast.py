"""The one rule with NumPy, for the rows of many cases at once; charges are those of ``rule``.

Coefficients have so many digits and an exponent for each row; the offset t counts units of 2^-P. What leaves the range
of exact integers is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from .errors import need
from .graph import LOOSE, Affine, Curve, Input, Map, Node
from .limbs import (
    COARSE,
    FINE,
    REACH,
    Ints,
    Matrix,
    Rows,
    charged,
    distinct,
    dot,
    fits,
    floored,
    joined,
    limbs,
    most,
    plus,
    settled,
    times_slope,
    written,
)  # fmt: skip
from .lines import Lines, is_relu, live_lines, relu_lines
from .problem import Case, Fact
from .rule import Bounds, Lemma, Semantics, Shares, Weighted, consumers, least_square, scaled_box, spread

State = dict[Node, tuple[Ints, Ints, Ints | None]]  # bounds and errors, a row for each case
Sum = Sequence[tuple[Fact, Fraction]]

_ROWS = 1 << 16  # coefficients that are carried at once
_CASES = 64


class Fast:
    """Bounds and rows of many cases at once."""

    name = "fast"
    batch = 512
    finest = 32
    far = 1 << 62

    def __init__(self, nodes: Sequence[Node], bits: int, semantics: Semantics, stop: Callable[[], bool]) -> None:
        self.nodes, self.bits, self.semantics, self.stop, self.rows = nodes, bits, semantics, stop, 0
        self.matrices: dict[Map, Matrix] = {}
        self.biases: dict[Node, tuple[Ints, Ints]] = {}
        self.exact: dict[Node, tuple[Ints, int]] = {}  # biases that are whole numbers, with places beyond P
        self.consumers = consumers(nodes, semantics)
        np.empty(31 << 17)  # freed at once: glibc then keeps memory that it would give back, and clear, at every step

    def matrix(self, m: Map) -> Matrix:
        if m not in self.matrices:
            self.matrices[m] = Matrix(m)
        return self.matrices[m]

    def bias(self, node: Affine) -> tuple[Ints, Ints]:
        """The bias scaled by 2^P, its floors and ceilings."""
        if node not in self.biases:
            ratios = [b.as_integer_ratio() for b in node.bias or [0] * node.size]
            sides = [[sign * ((sign * n << self.bits) // d) for n, d in ratios] for sign in (1, -1)]
            fits(all(abs(v) < REACH for side in sides for v in side), "a bias")
            self.biases[node] = np.array([sides[0]], dtype=np.int64), np.array([sides[1]], dtype=np.int64)
            places = max(0, max((d.bit_length() - 1 for _, d in ratios), default=0) - self.bits)
            scaled = [divmod(n << self.bits + places, d) for n, d in ratios]
            if places < 60 and all(abs(v) < REACH and not lost for v, lost in scaled):
                self.exact[node] = np.array([[v for v, _ in scaled]], dtype=np.int64), places
        return self.biases[node]

    # Bounds

    def refresh(self, cases: Sequence[Case], lemmas: Sequence[Lemma] = ()) -> list[Case]:
        """The cases with bounds of every node on their boxes."""
        found: list[Case] = []
        for first in range(0, len(cases), _CASES):
            found += self._refresh(cases[first : first + _CASES], lemmas)
        return found

    def _refresh(self, cases: Sequence[Case], lemmas: Sequence[Lemma]) -> list[Case]:
        state: State = {}
        later = [n for n in self.nodes if any(n in c.known for c in cases)] if lemmas else []
        for node in later:  # a lemma's facts may speak of nodes that come after it
            state[node] = self._known(node, cases)
        empty = np.array([c.empty for c in cases])
        plain: dict[Curve, Lines] = {}
        for node in self.nodes:
            lower, upper, error = self.interval(node, cases, state)
            if any(node in c.known for c in cases):
                known = self._known(node, cases)
                lower, upper = np.maximum(lower, known[0]), np.minimum(upper, known[1])
            state[node] = lower, upper, error
            mine = [lemma for lemma in lemmas if lemma.node is node]
            if not mine and isinstance(node, Affine) and not all(isinstance(p, Input) for p, _ in node.parts):
                mine = [Lemma(node, None, {}, ())]
            for lemma in mine:
                state[node] = self._lemma(lemma, cases, state, {} if lemma.facts or lemma.shares else plain)
            lower, upper, error = state[node]
            empty |= (lower > upper).any(axis=1)
            state[node] = lower, np.maximum(lower, upper), error
        found = []
        for b, (case, crossed) in enumerate(zip(cases, empty.tolist(), strict=True)):
            bounds = {n: Bounds(low[b], up[b], None if e is None else e[b]) for n, (low, up, e) in state.items()}
            found.append(replace(case, pending=None, empty=crossed, known=bounds))
        return found

    def _known(self, node: Node, cases: Sequence[Case]) -> tuple[Ints, Ints, Ints | None]:
        blank = Bounds([-self.far] * node.size, [self.far] * node.size)
        found = [c.known.get(node, blank) for c in cases]
        errors = [b.error for b in found]
        return (
            np.array([b.lower for b in found], dtype=np.int64), np.array([b.upper for b in found], dtype=np.int64),
            None if any(e is None for e in errors) else np.array(errors, dtype=np.int64),
        )  # fmt: skip

    def interval(self, node: Node, cases: Sequence[Case], state: State) -> tuple[Ints, Ints, Ints | None]:
        """What the parents' bounds say of a node, a row for each case."""
        if isinstance(node, Affine):
            return self.affine(node, state, len(cases))
        if isinstance(node, Curve):
            f, sides = node.function, [state[p][:2] for p in node.parents]
            if is_relu(f):
                return np.maximum(sides[0][0], 0), np.maximum(sides[0][1], 0), None
            ranges = [f.range(*ends, self.bits) for ends in _ends(sides)]
            found = np.array(ranges, dtype=np.int64).reshape(*sides[0][0].shape, 2)
            return found[..., 0], found[..., 1], None
        assert isinstance(node, Input)
        boxes = np.array([scaled_box(c, node, self.bits) for c in cases], dtype=np.int64)
        fits(most(boxes) < REACH, "a box")
        return boxes[:, 0], boxes[:, 1], None

    def affine(self, node: Affine, state: State, count: int) -> tuple[Ints, Ints, Ints | None]:
        """The intervals of an affine node, with its error."""
        floor, ceiling = self.bias(node)
        lower, upper = np.repeat(floor, count, axis=0), np.repeat(ceiling, count, axis=0)
        rounds = bool(node.rounds and self.semantics.precision)
        size = np.repeat(np.maximum(np.abs(floor), np.abs(ceiling)), count, axis=0)
        terms, error, loosest = np.ones(node.size, dtype=np.int64), np.zeros_like(lower), False
        for parent, m in node.parts:
            matrix, (left, right, _) = self.matrix(m), state[parent]
            w = matrix.width
            value = matrix.times(limbs(left + right, w), "forth")
            width = matrix.times(limbs(right - left, w), "size")
            length = max(len(value), len(width))
            zero = np.zeros_like(value[0])
            value, width = ([*s, *[zero] * (length - len(s))] for s in (value, width))
            lower = plus(lower, floored([a - b for a, b in zip(value, width, strict=True)], matrix.shift + 1, w))
            upper = plus(upper, -floored([-a - b for a, b in zip(value, width, strict=True)], matrix.shift + 1, w))
            if matrix.loose or rounds:
                magnitude = np.maximum(np.maximum(-left, right), 0)
                size = plus(size, floored(matrix.times(limbs(magnitude, w), "size"), matrix.shift, w) + 1)
                terms += matrix.terms
                if matrix.loose:
                    loosest = True
                    fits(most(magnitude) < 1 << LOOSE - 2 - magnitude.shape[1].bit_length())
                    error += 1
        if rounds:
            error += self._rounding(size, terms)  # no sum of this engine's range leaves that of floats
        if not rounds and not loosest:
            return lower, upper, None
        return plus(lower, -error), plus(upper, error), error

    def _rounding(self, size: Ints, terms: Ints) -> Ints:
        """``gamma size`` and what underflow adds, in units, rounded up."""
        gammas = [(self.semantics.gamma(n) * (1 << 100)).__ceil__() for n in terms.tolist()]
        tiny = max((n + 2) << self.bits >> self.semantics.least for n in terms.tolist()) + 1
        errors = [[-(-s * g >> 100) + tiny for s, g in zip(row, gammas, strict=True)] for row in size.tolist()]
        return np.array(errors, dtype=np.int64)

    def _lemma(
        self, lemma: Lemma, cases: Sequence[Case], state: State, lines: dict[Curve, Lines]
    ) -> tuple[Ints, Ints, Ints | None]:
        node, (lower, upper, error) = lemma.node, state[lemma.node]
        if lemma.rows is None:
            owner, element = self.opened(node, state).nonzero()
            owner, element = np.repeat(owner, 2), np.repeat(element, 2)
            sign = np.tile(np.array([1, -1]), len(owner) // 2)
        else:
            rows = np.array(lemma.rows, dtype=np.int64)
            owner, element = (
                np.repeat(np.arange(len(cases)), len(rows)),
                np.tile(np.where(rows >= 0, rows, -1 - rows), len(cases)),
            )
            sign = np.tile(np.where(rows >= 0, 1, -1), len(cases))
        lower, upper = lower.copy(), upper.copy()
        step = max(1, _ROWS // max(n.size for n in self.nodes))
        for first in range(0, len(owner), step):
            o, e, s = (a[first : first + step] for a in (owner, element, sign))
            c = np.zeros((len(o), node.size))
            c[np.arange(len(o)), e] = s << COARSE
            row = {node: Rows(c, np.full(len(o), COARSE), COARSE)}
            facts = [[(cases[b].facts[k], m) for k, m in lemma.facts] for b in o.tolist()] if lemma.facts else []
            value = self.least(cases, state, row, o, facts, [lemma.shares] * len(cases), lines)
            up = s > 0
            np.maximum.at(lower, (o[up], e[up]), value[up])
            np.minimum.at(upper, (o[~up], e[~up]), -value[~up])
        return lower, upper, error

    def opened(self, node: Node, state: State) -> NDArray[np.bool_]:
        """Elements for which some curve needs more than one line; of a product, all that vary."""
        lower, upper, _ = state[node]
        found = np.zeros(lower.shape, dtype=bool)
        for c in self.consumers[node]:
            found |= self._open(c, [(lower, upper)]) if len(c.parents) == 1 else lower < upper
        return found

    def _open(self, curve: Curve, sides: Sequence[tuple[Ints, Ints]]) -> NDArray[np.bool_]:
        f, (left, right) = curve.function, sides[0]
        if is_relu(f):
            return (left < 0) & (right > 0)
        return np.array([f.is_open(*e, self.bits) for e in _ends(sides)], dtype=bool).reshape(left.shape)

    def open_elements(self, curve: Curve, known: Mapping[Node, Bounds]) -> list[bool]:
        """Which elements of a curve are open in one case."""
        sides = [tuple(np.array([a], dtype=np.int64) for a in (known[p].lower, known[p].upper)) for p in curve.parents]
        return list(map(bool, self._open(curve, sides)[0]))  # type: ignore[arg-type]

    # Rows

    def values(self, jobs: Sequence[tuple[Case, Weighted, Shares]]) -> list[Fraction]:
        """The least value of each case's row; cases of one box that know the same are held once."""
        kinds = [(id(c.known), id(c.lower), id(c.upper), id(shares) if shares else 0) for c, _, shares in jobs]
        held, owner = distinct(kinds)
        cases, facts = [jobs[k][0] for k in held], [[(c.facts[k], m) for k, m in weighted] for c, weighted, _ in jobs]
        state = {n: self._known(n, cases) for n in self.nodes if all(n in c.known for c in cases)}
        found = self.least(cases, state, {}, owner, facts, [jobs[k][2] for k in held], {})
        return [Fraction(int(v), 1 << self.bits) for v in found]

    def least(
        self, cases: Sequence[Case], state: State, row: dict[Node, Rows], owner: Ints,
        facts: Sequence[Sum], shares: Sequence[Shares], lines: dict[Curve, Lines],
    ) -> Ints:  # fmt: skip
        """What rows and multiples of facts are at least, scaled by 2^-P; of facts alone by bounds as well.

        ``owner`` is the case of each row, ``facts`` are added to each, if any.
        """
        need(not self.stop(), "stopped")
        self.rows += len(owner)
        alone = not row
        total, squares = self._facts(state, row, owner, facts)
        near = total if alone and not squares else None
        for node, own in row.items() if near is not None else ():
            near = plus(near, dot(own, *state[node][:2], owner))
        for node in reversed(self.nodes):
            c = row.pop(node, None)
            if c is None or not c.c.any():
                continue
            if isinstance(node, Input):
                found = self._at_inputs(node, c, state, owner, squares, cases)
            elif isinstance(node, Affine):
                found = self._through_affine(node, c, row, state, owner)
            else:
                assert isinstance(node, Curve)
                if node not in lines:
                    lines[node] = self.lines(node, state, shares)
                found = self._through_curve(node, c, row, state, owner, lines[node])
            total = plus(total, found)
        for r, left in squares.items():
            rest = sum(least_square(q, Fraction(0), cases[owner[r]], k, self.bits) for k, q in left.items())
            total[r] = _whole(int(total[r]) + rest)
        return total if near is None else np.maximum(total, near)

    def _facts(
        self, state: State, row: dict[Node, Rows], owner: Ints, facts: Sequence[Sum]
    ) -> tuple[Ints, dict[int, dict[int, Fraction]]]:
        """Add multiples of facts to the rows; their constants, and their squares."""
        if not any(facts):
            return np.zeros(len(owner), dtype=np.int64), {}
        held, kind = distinct([tuple((id(fact), m) for fact, m in own) for own in facts])
        constants, squares = [], list[dict[int, Fraction]]()
        sums: dict[Node, dict[tuple[int, int], Fraction]] = {}
        for s, own in enumerate(facts[r] for r in held):
            constant, squared = Fraction(0), dict[int, Fraction]()
            for fact, m in own:
                constant += m * fact.constant
                for k, q in fact.squares.items():
                    squared[k] = squared.get(k, 0) + m * q
                for node, terms in fact.terms.items():
                    need(node in state, "a fact is used before the nodes that it speaks of have bounds")
                    added = sums.setdefault(node, {})
                    for i, a in terms.items():
                        added[s, i] = m * a + added.get((s, i), 0)
            constants.append(_whole((constant * (1 << self.bits)).__floor__()))
            squares.append(squared)
        total = np.array(constants, dtype=np.int64)[kind]
        bits = next((known.bits for known in row.values()), FINE)
        for node, added in sums.items():
            made, lost = written(added, len(held), node.size, bits)
            more, units = Rows(made.c[kind], made.e[kind], bits), lost[kind]
            total = plus(total, charged(more, units, state[node][0], owner) + self._add(row, node, more, state, owner))
        return total, {r: dict(squares[s]) for r, s in enumerate(kind.tolist()) if squares[s]}

    def _add(self, row: dict[Node, Rows], node: Node, more: Rows, state: State, owner: Ints) -> Ints | int:
        """Add to the coefficients of a node; what the sum loses at most."""
        if node not in row:
            row[node] = more
            return 0
        row[node], units = joined(row[node], more)
        return charged(row[node], units, state[node][0], owner)

    def _at_inputs(
        self,
        node: Input,
        row: Rows,
        state: State,
        owner: Ints,
        squares: dict[int, dict[int, Fraction]],
        cases: Sequence[Case],
    ) -> Ints:
        lower, upper, _ = state[node]
        extra = np.zeros(len(owner), dtype=np.int64)
        for r, mine in squares.items():
            for k in [k for k in mine if node.first <= k < node.first + node.size]:
                a = Fraction(int(row.c[r, k - node.first])) / Fraction(2) ** int(row.e[r])
                extra[r] = _whole(int(extra[r]) + least_square(mine.pop(k), a, cases[owner[r]], k, self.bits))
                row.c[r, k - node.first] = 0
        return np.asarray(plus(extra, dot(row, lower, upper, owner)))

    def _through_affine(self, node: Affine, c: Rows, row: dict[Node, Rows], state: State, owner: Ints) -> Ints:
        total: Ints = np.zeros(len(owner), dtype=np.int64)
        if node.bias is not None:
            floor, ceiling = self.bias(node)
            known, places = self.exact.get(node, (None, 0))
            total = dot(c, floor, ceiling, owner) if known is None else dot(c, known, known, owner, places)
        error = state[node][2]
        if error is not None:
            total = total + dot(c, -error, error, owner)
        for parent, m in node.parts:
            matrix = self.matrix(m)
            left = [c.c] if c.bits <= COARSE else limbs(c.c.astype(np.int64), matrix.width)
            sums = matrix.times(left, "back")
            below = state[parent][0]
            made, units = settled(sums, matrix.width, c.e + matrix.shift, c.bits, bool((below < 0).any()))
            lost = charged(made, units, below, owner)
            total = plus(total, lost + self._add(row, parent, made, state, owner))
        return total

    def _through_curve(
        self, node: Curve, row: Rows, rows: dict[Node, Rows], state: State, owner: Ints, lines: Lines
    ) -> Ints:
        live = lines.live
        row = Rows(row.c[:, live], row.e, row.bits) if lines.few else row
        up = row.c > 0
        total = dot(row, lines.offset_below, lines.offset_above, owner)
        for parent, below, above in zip(node.parents, lines.below, lines.above, strict=True):
            slope = above.take(owner, axis=0) + up * (below - above).take(owner, axis=0)  # one of two whole numbers
            made, units = times_slope(row, slope, lines.rounded)
            total = total + charged(made, units, state[parent][0][:, live], owner)
            if lines.few:
                whole = np.zeros((len(owner), node.size))
                whole[:, live] = made.c
                made = Rows(whole, made.e, made.bits)
            total = total + self._add(rows, parent, made, state, owner)
        return total

    def lines(self, node: Curve, state: State, shares: Sequence[Shares]) -> Lines:
        """Lines of every element in every case."""
        sides = [state[p][:2] for p in node.parents]
        f, opened = node.function, self._open(node, sides)
        given = [s.get(node, (None, None)) for s in shares]
        if is_relu(f) and all(high is None for _, high in given):
            return relu_lines(*sides[0], opened, [low for low, _ in given])
        low, high = ([v for g, o in zip(given, opened.tolist(), strict=True) for v in spread(g[k], o)] for k in (0, 1))
        elements = zip(_ends(sides), low, high, strict=True)
        made = [f.lines(*ends, self.bits, p, q) for ends, p, q in elements]
        table = np.array([(*a, b, *c, d) for a, b, c, d in made], dtype=np.int64).reshape(*sides[0][0].shape, -1)
        columns = [table[..., k] for k in range(table.shape[-1])]
        half = len(columns) // 2
        fits(most(table[..., [k for k in range(2 * half) if (k + 1) % half]]) < 1 << 35, "a slope")
        return live_lines(columns[: half - 1], columns[half - 1], columns[half:-1], columns[-1])


def _ends(sides: Sequence[tuple[Ints, Ints]]) -> Iterator[tuple[tuple[int, int], ...]]:
    """For each element of a curve, case by case, the bounds of its arguments."""
    return zip(*(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True) for a, b in sides), strict=True)


def _whole(value: int) -> int:
    """A number that sums may still be added to."""
    fits(abs(value) < 1 << 61)
    return value
