"""The one rule in Python's integers, the reference: a row is carried back through the graph to the box of the inputs.

A row is a number that is affine in the values of nodes, ``sum_n C[n] . v_n + t``. What it is at least in a case (a box
of the inputs, with what is known of hidden nodes there) is found by going through the nodes from the last to the first:

    affine  v = W p + b                     C[p] += C[v] W,      t += C[v] b - |C[v]| error
    curve   below(p) <= v <= above(p)       C[p] += C[v] slope,  t += C[v] offset  (of below if C[v] > 0, else above)
    input   l <= v <= u                     t += C[v] l if C[v] > 0, else C[v] u

In the end t is the bound. Before that multiples ``m >= 0`` of facts are added, affine functions ``f <= 0`` in the case:
as ``row >= row + m f``, what bounds the sum bounds the row; and where a sum of facts alone is above 0 no point is in
the case. Coefficients are integers scaled by 2^-P, t is one scaled by 2^-2P. A coefficient that is floored loses less
than one unit, so the row loses at most one unit of each ``max(0, -v)``: that is charged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from operator import add, lt, mul, sub
from typing import Any

from .errors import need
from .functions import SLOPE
from .graph import LOOSE, Affine, Curve, Input, Map, Node, exact
from .problem import Case

Weighted = Sequence[tuple[int, Fraction]]  # numbers of facts with multipliers
Given = bytes | Mapping[int, int]  # numbers of all open elements in order, or of some by their places
Shares = Mapping[Node, tuple[Given | None, Given | None]]  # below and above
_KEPT = 512  # lists of lines


@dataclass(frozen=True)
class Lemma:
    """Rows of a node to be bounded: r >= 0 element r from below, r < 0 element -1-r from above; None: all open."""

    node: Node
    rows: Sequence[int] | None
    shares: Shares
    facts: Weighted


@dataclass(frozen=True)
class Bounds:
    """A node's bounds scaled by 2^-P, and how far its values may be from what its weights say (None: not at all)."""

    lower: Sequence[int]
    upper: Sequence[int]
    error: Sequence[int] | None = None


@dataclass(frozen=True)
class Semantics:
    """Rounding in floats: u = 2^-``precision``; else none.

    Sums, of values with and without their weights, stay below 2^``greatest``, and weights below 2^40. So no order of
    a sum and its weights leaves the floats' range: a mean's sum, or weights into which a factor beside them was folded.
    Each weight, value or product below the least normal number may be taken for 0, and changes a
    sum by less than 2^-``least`` then, the least normal number times 2^``greatest``.
    """

    precision: int = 0
    least: int = 0
    greatest: int = 0

    def gamma(self, terms: int) -> Fraction:
        """``k u / (1 - k u)`` for k = n + 8."""
        k = Fraction(terms + 8, 1 << self.precision)
        need(2 * k <= 1, "sums of too many terms for the floats' precision")
        return k / (1 - k)


SEMANTICS = {"real": Semantics(), "float32": Semantics(24, 62, 64), "float64": Semantics(53, 510, 512)}


def consumers(nodes: Sequence[Node], semantics: Semantics) -> dict[Node, list[Curve]]:
    """The curves that read each node; refused where a float run rounds a node in a way that is not modelled."""
    found: dict[Node, list[Curve]] = {n: [] for n in nodes}
    for curve in (n for n in nodes if isinstance(n, Curve)):
        for parent in curve.parents:
            found[parent].append(curve)
        modelled = not semantics.precision or curve.function.exact_in_floats
        need(modelled, "a function, or a product, whose rounding in floats is not modelled")
    rounded = (m for n in nodes if semantics.precision and isinstance(n, Affine) and n.rounds for _, m in n.parts)
    need(all(abs(w) < 1 << 40 for m in rounded for _, row in m.rows for w in row), "a factor that floats may not hold")
    return found


@dataclass(eq=False)
class Carried:
    """A row on its way: coefficients ``left`` of nodes, squares of input elements, and the total of what is done."""

    bounds: Mapping[Node, Bounds]
    left: dict[Node, list[int]]
    squares: dict[int, Fraction] = field(default_factory=dict)
    total: int = 0

    def add(self, node: Node, floored: list[int], lost: Iterable[int]) -> None:
        """Add coefficients of which some lost less than a unit: at most ``max(0, -v)`` of the row, each."""
        need(node in self.bounds, "a fact is used before the nodes that it speaks of have bounds")
        lower = self.bounds[node].lower
        self.total += sum(min(0, lower[i]) for i in lost)
        self.left[node] = list(map(add, self.left[node], floored)) if node in self.left else floored

    def by_bounds(self, node: Node, c: Sequence[int]) -> int:
        """What so many of a node's values are at least by what is known of each."""
        ends = zip(c, self.bounds[node].lower, self.bounds[node].upper, strict=True)
        return sum(a * (low if a > 0 else up) for a, low, up in ends if a)

    def shifted(self, node: Node, product: Sequence[int], shift: int) -> None:
        """Add ``floor(product 2^-shift)``."""
        mask = (1 << shift) - 1
        self.add(node, [p >> shift for p in product], [i for i, p in enumerate(product) if p & mask])


class Reference:
    """Bounds and rows of one case after the other."""

    name = "reference"
    batch = 1

    def __init__(self, nodes: Sequence[Node], bits: int, semantics: Semantics, stop: Callable[[], bool]) -> None:
        self.nodes, self.bits, self.semantics, self.stop = nodes, bits, semantics, stop
        self.maps: dict[Map, Any] = {}
        self.biases: dict[Node, list[Fraction]] = {}
        self.lines_kept: dict[Any, Any] = {}
        self.rows, self.far = 0, 1 << bits + 4096  # no value is as far away
        self.consumers = consumers(nodes, semantics)

    # Linear maps

    def integers(self, m: Map) -> Any:
        """The map's exponent, rows of integers, columns of integers where it is dense, and whether it is loose."""
        if m not in self.maps:
            shift, rows, loose = m.integers
            dense = all(columns is None for columns, _ in m.rows)
            self.maps[m] = shift, rows, list(zip(*rows, strict=True)) if dense else None, loose
        return self.maps[m]

    def forward(self, m: Map, values: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """For each row ``W values``, ``|W| sizes`` scaled by 2^-P-E, and the number of terms."""
        wide = any(sizes)
        for (columns, _), row in zip(m.rows, self.integers(m)[1], strict=True):
            need(not self.stop(), "stopped")
            v = values if columns is None else [values[j] for j in columns]
            r = sizes if columns is None or not wide else [sizes[j] for j in columns]
            yield sum(map(mul, row, v)), sum(map(mul, map(abs, row), r)) if wide else 0, len(row)

    def affine(self, node: Affine, current: Mapping[Node, Bounds]) -> Bounds:
        """The interval of an affine node, with its error."""
        bias = self.bias(node)
        lower, upper = [b.__floor__() for b in bias], [b.__ceil__() for b in bias]
        size = [Fraction(0)] * node.size  # of |W| |y|
        terms, reach, error = ([v] * node.size for v in (1, 0, 0))  # reach: of |y|
        rounds = node.rounds and self.semantics.precision
        for parent, m in node.parts:
            shift, _, _, loose = self.integers(m)
            left, right = current[parent].lower, current[parent].upper
            doubled, widths = list(map(add, left, right)), list(map(sub, right, left))
            for i, (value, width, _) in enumerate(self.forward(m, doubled, widths)):
                lower[i] += value - width >> shift + 1
                upper[i] -= -(value + width) >> shift + 1
            if loose or rounds:
                most = [max(-a, b) for a, b in zip(left, right, strict=True)]
                for i, (_, weight, count) in enumerate(self.forward(m, most, most)):
                    size[i] += Fraction(weight, 1 << shift)
                    terms[i] += count
                    columns = m.rows[i][0]
                    far = sum(most) if columns is None else sum(most[j] for j in columns)
                    reach[i] += far
                    error[i] += (far >> LOOSE - 2) + 1 if loose else 0
        if rounds:
            for i, b in enumerate(bias):
                whole, gamma = size[i] + abs(b), self.semantics.gamma(terms[i])
                in_range = whole * (1 + gamma) + reach[i] < 1 << self.semantics.greatest + self.bits
                need(in_range, "sums that may leave the floats' range")
                tiny = Fraction((terms[i] + 2) << self.bits, 1 << self.semantics.least)
                error[i] += (gamma * whole + tiny).__ceil__()
        if not any(error):
            return Bounds(lower, upper)
        return Bounds(list(map(sub, lower, error)), list(map(add, upper, error)), error)

    # Bounds of a case

    def refresh(self, cases: Sequence[Case], lemmas: Sequence[Lemma] = ()) -> list[Case]:
        """The cases with bounds of every node on their boxes."""
        return [self._refresh(case, lemmas) for case in cases]

    def _refresh(self, case: Case, lemmas: Sequence[Lemma]) -> Case:
        current: dict[Node, Bounds] = dict(case.known)
        for node in self.nodes:
            if case.empty:
                return replace(case, pending=None)
            found, old = self.interval(node, case, current), current.get(node)
            reach = max(-min(found.lower, default=0), max(found.upper, default=0))
            need(reach < self.far, "a value of more than 4096 binary digits")
            if old:
                lower, upper = list(map(max, found.lower, old.lower)), list(map(min, found.upper, old.upper))
                found = replace(found, lower=lower, upper=upper)
            current[node] = found
            mine = [lemma for lemma in lemmas if lemma.node is node]
            if not mine and isinstance(node, Affine) and not all(isinstance(p, Input) for p, _ in node.parts):
                mine = [Lemma(node, None, {}, ())]
            for lemma in mine:
                current[node] = self._lemma(lemma, case, current)
            case = replace(case, empty=any(map(int.__gt__, current[node].lower, current[node].upper)))
        return replace(case, known=current, pending=None)

    def interval(self, node: Node, case: Case, current: Mapping[Node, Bounds]) -> Bounds:
        """What the parents' bounds say of a node."""
        if isinstance(node, Affine):
            return self.affine(node, current)
        if isinstance(node, Curve):
            ranges = [node.function.range(*ends, self.bits) for ends in _ends(node, current)]
            return Bounds(*map(list, zip(*ranges, strict=True)))
        assert isinstance(node, Input)
        return Bounds(*scaled_box(case, node, self.bits))

    def _lemma(self, lemma: Lemma, case: Case, current: dict[Node, Bounds]) -> Bounds:
        known, rows = current[lemma.node], lemma.rows
        if rows is None:
            rows = [r for i in self.opened(lemma.node, current) for r in (i, -1 - i)]
        lower, upper = list(known.lower), list(known.upper)
        for r in rows:
            i, sign = (r, 1) if r >= 0 else (-1 - r, -1)
            start = {lemma.node: [0] * i + [sign << self.bits] + [0] * (lemma.node.size - i - 1)}
            value = self.least(case, current, start, lemma.facts, lemma.shares) >> self.bits
            if sign > 0:
                lower[i] = max(lower[i], value)
            else:
                upper[i] = min(upper[i], -value)
        return replace(known, lower=lower, upper=upper)

    def opened(self, node: Node, current: Mapping[Node, Bounds]) -> list[int]:
        """Elements that a curve needs two lines for; of a product (its other factor may come later) those that vary."""
        vary = list(map(lt, current[node].lower, current[node].upper))
        every = [self.open_elements(c, current) if len(c.parents) == 1 else vary for c in self.consumers[node]]
        return [i for i, found in enumerate(zip(*every, strict=True)) if any(found)]

    def open_elements(self, curve: Curve, current: Mapping[Node, Bounds]) -> list[bool]:
        """Which elements of a curve are open: those that a certificate gives slopes for."""
        return [curve.function.is_open(*ends, self.bits) for ends in _ends(curve, current)]

    # Rows

    def values(self, jobs: Sequence[tuple[Case, Weighted, Shares]]) -> list[Fraction]:
        """The least value of each case's row."""
        return [Fraction(self.least(c, c.known, {}, f, s), 1 << 2 * self.bits) for c, f, s in jobs]

    def least(
        self, case: Case, current: Mapping[Node, Bounds], start: dict[Node, list[int]], facts: Weighted, shares: Shares
    ) -> int:
        """What a row and multiples of facts are at least in a case, scaled by 2^-2P; facts alone by bounds as well."""
        need(not self.stop(), "stopped")
        self.rows += 1
        row, unit, alone, near = Carried(current, start), 1 << self.bits, not start, None
        for number, m in facts:
            fact = case.facts[number]
            row.total += (m * fact.constant * unit * unit).__floor__()
            for k, q in fact.squares.items():
                row.squares[k] = row.squares.get(k, Fraction(0)) + m * q
            for node, terms in fact.terms.items():
                scaled = {i: m * a * unit for i, a in terms.items()}
                lost = {i for i, a in scaled.items() if a.denominator > 1}
                row.add(node, [scaled[i].__floor__() if i in scaled else 0 for i in range(node.size)], lost)
        if alone and not row.squares:
            near = row.total + sum(row.by_bounds(node, c) for node, c in row.left.items())
        for node in reversed(self.nodes):
            c = row.left.pop(node, [])
            if any(c):
                if isinstance(node, Input):
                    self._to_inputs(case, node, c, row)
                elif isinstance(node, Affine):
                    self._through_affine(node, c, row)
                elif isinstance(node, Curve):
                    self._through_curve(node, c, row, shares)
        for k, q in row.squares.items():  # of elements without a coefficient
            row.total += least_square(q, Fraction(0), case, k, 2 * self.bits)
        return row.total if near is None else max(row.total, near)

    def _to_inputs(self, case: Case, node: Input, c: list[int], row: Carried) -> None:
        for k in [k for k in row.squares if node.first <= k < node.first + node.size]:
            a, c[k - node.first] = Fraction(c[k - node.first], 1 << self.bits), 0
            row.total += least_square(row.squares.pop(k), a, case, k, 2 * self.bits)
        row.total += row.by_bounds(node, c)

    def _through_affine(self, node: Affine, c: list[int], row: Carried) -> None:
        error = row.bounds[node].error
        if node.bias is not None:
            row.total += sum((a * b).__floor__() for a, b in zip(c, self.bias(node), strict=True) if a)
        if error is not None:
            row.total -= sum(map(mul, map(abs, c), error))
        used = [(i, a) for i, a in enumerate(c) if a]
        for parent, m in node.parts:
            shift, rows, columns, _ = self.integers(m)
            if columns is not None and 2 * len(used) > len(c):
                product = [sum(map(mul, c, column)) for column in columns]
            else:
                product = [0] * m.width
                for i, a in used:
                    places = m.rows[i][0]
                    if places is None:
                        product = [p + a * w for p, w in zip(product, rows[i], strict=True)]
                    else:
                        for j, w in zip(places, rows[i], strict=True):
                            product[j] += a * w
            row.shifted(parent, product, shift)

    def _through_curve(self, node: Curve, c: Sequence[int], row: Carried, shares: Shares) -> None:
        products: list[list[int]] = [[] for _ in node.parents]
        for a, (below, low, above, high) in zip(c, self.lines(node, row.bounds, shares), strict=True):
            slopes, offset = (below, low) if a > 0 else (above, high)
            row.total += a * offset
            for found, s in zip(products, slopes, strict=True):
                found.append(a * s)
        for parent, product in zip(node.parents, products, strict=True):
            row.shifted(parent, product, SLOPE)

    def bias(self, node: Affine) -> list[Fraction]:
        """The bias scaled so that a coefficient times it counts units of 2^-2P."""
        if node not in self.biases:
            self.biases[node] = [exact(b) * (1 << self.bits) for b in node.bias or [0] * node.size]
        return self.biases[node]

    def lines(self, node: Curve, current: Mapping[Node, Bounds], shares: Shares) -> Iterator[tuple[Any, int, Any, int]]:
        """For each element the slopes and the offset below, and above."""
        key = (node, *(id(current[p]) for p in node.parents))
        if node not in shares and key in self.lines_kept:
            yield from self.lines_kept[key][0]
            return
        opened = self.open_elements(node, current)
        low, high = (spread(given, opened) for given in shares.get(node, (None, None)))
        elements = zip(_ends(node, current), low, high, strict=True)
        made = [node.function.lines(*ends, self.bits, *given) for ends, *given in elements]
        if node not in shares:  # the bounds are kept beside, so that no others take their identity
            if len(self.lines_kept) > _KEPT:
                self.lines_kept.clear()
            self.lines_kept[key] = made, [current[p] for p in node.parents]
        yield from made


def _ends(node: Curve, current: Mapping[Node, Bounds]) -> Iterator[tuple[tuple[int, int], ...]]:
    """For each element of a curve the bounds of its arguments."""
    pairs = [zip(current[p].lower, current[p].upper, strict=True) for p in node.parents]
    return zip(*pairs, strict=True)


def scaled_box(case: Case, node: Input, bits: int) -> tuple[list[int], list[int]]:
    """The box of an input, outward."""
    places = range(node.first, node.first + node.size)
    need(all(case.lower[k] is not None and case.upper[k] is not None for k in places), "an input has no bounds")
    lower, upper = ([side[k].as_integer_ratio() for k in places] for side in (case.lower, case.upper))  # type: ignore[union-attr]
    return [(n << bits) // d for n, d in lower], [-((-n << bits) // d) for n, d in upper]


def least_square(q: Fraction, a: Fraction, case: Case, k: int, bits: int) -> int:
    """The least of ``q x^2 + a x`` in the box, scaled by 2^-bits."""
    left, right = case.lower[k], case.upper[k]
    need(left is not None and right is not None, "an input has no bounds")
    x = min(max(-a / (2 * q), left), right) if q else (left if a > 0 else right)  # type: ignore[type-var]
    return ((q * x * x + a * x) * (1 << bits)).__floor__()  # type: ignore[operator]


def chosen(given: Given, places: Sequence[int]) -> tuple[Sequence[int], list[int], int]:
    """Of open elements those that a certificate has numbers for, these, and the number of the greatest slope.

    Numbers stand by their elements, or as one or two bytes for each open element.
    """
    if isinstance(given, Mapping):
        known = [i for i in places if i in given]
        return known, [given[i] for i in known], 255
    count = len(places)
    need(len(given) in (count, 2 * count), f"{2 * len(given)} digits of slopes for {count} open elements")
    width = len(given) // count if count else 1
    return places, [int.from_bytes(given[k : k + width]) for k in range(0, len(given), width)], 256**width - 1


def spread(given: Given | None, opened: Sequence[bool]) -> list[Fraction | None]:
    """The shares of open elements at their places."""
    found: list[Fraction | None] = [None] * len(opened)
    if given is not None:
        places, numbers, top = chosen(given, [i for i, o in enumerate(opened) if o])
        for i, n in zip(places, numbers, strict=True):
            found[i] = Fraction(n, top)
    return found
