"""Certificates about small ReLU networks as linear combinations of a MILP's rows, one for each leaf.

The MILP is the usual big-M form with the bounds that the checker finds at the root: an open neuron ``y = max(z, 0)``
with z in [l, u] has a binary d and the rows ``y >= 0``, ``y >= z``, ``y <= u d``, ``y <= z - l (1 - d)``. A leaf is a
combination that says ``0 >= c`` with c > 0, a split of a phase the two cases ``d <= 0`` and ``d >= 1``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias, final

from nnsym.check.checker import Checker
from nnsym.check.functions import Pieces
from nnsym.check.graph import Affine, Curve, Input, Node
from nnsym.check.problem import Case
from nnsym.check.rule import spread
from nnsym.check.tree import Job, Tree
from nnsym.errors import UnsupportedError

Key = tuple[Node, int]  # an element
Terms = dict[Any, Fraction]  # by element; of a binary ("d", element)
_ONE, _ZERO = Fraction(1), Fraction(0)


@final
@dataclass(frozen=True)
class Row:
    """A row ``terms sense limit``, with the sense E, L or G."""

    sense: str
    limit: Fraction
    terms: Mapping[Any, Fraction]


@final
@dataclass(frozen=True)
class Leaf:
    """Multipliers of rows, by what a row says, whose combination is ``0 >= limit``."""

    factors: Mapping[Any, Fraction]
    limit: Fraction


@final
@dataclass(frozen=True)
class Split:
    """The cases ``binary <= 0`` and ``binary >= 1``; both are rows ``("assumed", y)`` of their parts."""

    binary: Any
    off: Proof
    on: Proof


Proof: TypeAlias = Leaf | Split


@final
@dataclass
class _Sum:
    """A combination of rows: multipliers by row, what is left of the terms, and its right-hand side."""

    used: dict[Any, Fraction] = field(default_factory=dict)
    left: Terms = field(default_factory=dict)
    limit: Fraction = _ZERO


def combinations(certificate: Mapping[str, Any], files: Mapping[str, bytes]) -> Combinations:
    """The rows and the proof of an ``unsat`` certificate whose tree is phases (``r``) below at most one ``b``.

    Raises :class:`nnsym.check.errors.Refused` where the certificate is not accepted, and :class:`UnsupportedError` for
    other nodes than affine ones and ReLU, other tokens, disjunctions and squares.
    """
    checker = Checker(certificate, files, "reference")
    checker.run()
    return Combinations(checker, list(certificate["tree"]))


@final
class Combinations:
    """``names`` of variables, ``rows`` by what they say, the first ``limits`` of them of one variable, ``proof``."""

    def __init__(self, checker: Checker, tokens: list[Any]) -> None:
        self.tree, self.tokens = Tree(checker.problem, checker.engine, []), iter(enumerate(tokens))
        self.nodes, self.engine = checker.problem.nodes, checker.engine
        self.rows: dict[Any, Row] = {}
        case = self.tree.root
        if case.disjunctions or checker.semantics != "real" or any(f.squares for f in case.facts):
            raise unsupported("a property with 'or', squares, or about runs in floats")
        place, token = next(self.tokens)
        if token[0] == "b":
            (case,) = self.tree.children(place, token, case)
            place, token = next(self.tokens)
        (self.case,) = self.tree.refreshed([case])
        self.names = self._names()
        self._constraints()
        self.proof = self._derive(place, token, self.case, {})

    def _ends(self, key: Key) -> tuple[Fraction, Fraction]:
        bounds, unit = self.case.known[key[0]], 1 << self.engine.bits
        return Fraction(bounds.lower[key[1]], unit), Fraction(bounds.upper[key[1]], unit)

    def _names(self) -> dict[Any, str]:
        """A variable for each element, and for each open neuron's phase."""
        found: dict[Any, str] = {}
        for n, node in enumerate(self.nodes):
            letter = "x" if isinstance(node, Input) else "v" if isinstance(node, Affine) else "y"
            found |= {(node, i): f"{letter}{n}_{i}" for i in range(node.size)}
            if isinstance(node, Curve):
                f = node.function
                if not (isinstance(f, Pieces) and f.convex and f.d == 1 and f.parts == [(0, 0), (1, 0)]):
                    raise unsupported("a function other than ReLU")
                opened = self.engine.open_elements(node, self.case.known)
                found |= {("d", (node, i)): f"d{n}_{i}" for i, o in enumerate(opened) if o}
        return found

    def _row(self, tag: Any, sense: str, limit: Fraction, terms: Terms) -> None:
        self.rows[tag] = Row(sense, limit, terms)

    def _constraints(self) -> None:
        for node in self.nodes:
            if isinstance(node, Input):
                for i in range(node.size):
                    k = node.first + i
                    self._row(("low", (node, i)), "G", self.case.lower[k] or _ZERO, {(node, i): _ONE})
                    self._row(("up", (node, i)), "L", self.case.upper[k] or _ZERO, {(node, i): _ONE})
        for key in [k for k in self.names if k[0] == "d"]:
            self._row(("low", key), "G", _ZERO, {key: _ONE})
            self._row(("up", key), "L", _ONE, {key: _ONE})
        self.limits = len(self.rows)
        for node in self.nodes:
            if isinstance(node, Affine):
                self._affine(node)
            elif isinstance(node, Curve):
                for i in range(node.size):
                    self._relu((node, i), (node.parents[0], i))
        for k, fact in enumerate(self.case.facts):
            terms = {(n, i): a for n, row in fact.terms.items() for i, a in row.items()}
            self._row(("fact", k), "L", -fact.constant, terms)

    def _affine(self, node: Affine) -> None:
        for i in range(node.size):
            terms: Terms = {(node, i): _ONE}
            for parent, m in node.parts:
                if m.integers[2]:
                    raise unsupported("weights that are no dyadic numbers")
                columns, weights = m.rows[i]
                for j, w in zip(range(m.width) if columns is None else columns, weights, strict=True):
                    terms[parent, j] = terms.get((parent, j), _ZERO) - Fraction(*w.as_integer_ratio())
            bias = Fraction(*node.bias[i].as_integer_ratio()) if node.bias is not None else _ZERO
            self._row(("is", (node, i)), "E", bias, {k: a for k, a in terms.items() if a})

    def _relu(self, y: Key, z: Key) -> None:
        l, u = self._ends(z)  # noqa: E741 - the formula's names
        if ("d", y) not in self.names:
            self._row(("is", y), "E", _ZERO, {y: _ONE, z: -_ONE} if l >= 0 else {y: _ONE})
            return
        d = ("d", y)
        self._row(("positive", y), "G", _ZERO, {y: _ONE})
        self._row(("above", y), "G", _ZERO, {y: _ONE, z: -_ONE})
        self._row(("off", y), "L", _ZERO, {y: _ONE, d: -u})
        self._row(("on", y), "L", -l, {y: _ONE, z: -_ONE, d: -l})

    # Derivations

    def _derive(self, place: int, token: Any, case: Case, phases: dict[Key, int]) -> Proof:
        if token[0] == "l":
            self.tree.children(place, token, case)
            return self._leaf(self.tree.jobs.pop(), phases)
        if token[0] != "r":
            raise unsupported(f"the token '{token[0]}'")
        z = self.tree.element(token[1], token[2])
        y = next(((n, z[1]) for n in self.nodes if isinstance(n, Curve) and n.parents[0] is z[0]), None)
        if y is None or ("d", y) not in self.names or y in phases:
            raise unsupported("a split of a neuron that is not open")
        off, on = (
            self._derive(*next(self.tokens), half, {**phases, y: side})
            for side, half in enumerate(self.tree.children(place, token, case))
        )
        return Split(("d", y), off, on)

    def _leaf(self, job: Job, phases: dict[Key, int]) -> Leaf:
        self.phases, total = phases, _Sum()
        order = list(phases)
        for k, m in job.facts:
            if k < len(self.case.facts):
                self._add(total, ("fact", k), -m)
            else:
                self._phase(total, order[k - len(self.case.facts)], m)
        for node in reversed(self.nodes):
            if isinstance(node, Curve):
                opened = self.engine.open_elements(node, job.case.known)
                low, _ = job.shares.get(node, (None, None))
                shares = spread(low, opened) if any(total.left.get((node, i)) for i in range(node.size)) else []
                for i, share in enumerate(shares):
                    self._out((node, i), (node.parents[0], i), total, share)
                continue
            for i in range(node.size):
                a = total.left.get((node, i), _ZERO)
                tag = "is" if isinstance(node, Affine) else "up" if a > 0 else "low"
                self._add(total, (tag, (node, i)), -a)
        if any(total.left.values()) or total.limit <= 0:
            raise unsupported("a leaf that holds by what the checker knows of bounds beyond the rows")
        return Leaf({tag: m for tag, m in total.used.items() if m}, total.limit)

    def _add(self, total: _Sum, tag: Any, factor: Fraction) -> None:
        """Add a multiple of a row, of a sign that makes it a lower bound."""
        if not factor:
            return
        if tag[0] == "assumed":
            row = assumption(("d", tag[1]), self.phases[tag[1]])
        else:
            row = self.rows[tag]
        total.used[tag] = total.used.get(tag, _ZERO) + factor
        total.limit += factor * row.limit
        for key, a in row.terms.items():
            total.left[key] = total.left.get(key, _ZERO) + factor * a

    def _out(self, y: Key, z: Key, total: _Sum, share: Fraction | None) -> None:
        """Replace what is left of y by its line in z."""
        a, phase = total.left.get(y, _ZERO), self.phases.get(y)
        if ("d", y) not in self.names:
            self._add(total, ("is", y), -a)
        elif a < 0 and phase is None:  # y >= s z
            l, u = self._ends(z)  # noqa: E741
            s = share if share is not None else Fraction(int(u > -l))
            self._add(total, ("positive", y), -a * (1 - s))
            self._add(total, ("above", y), -a * s)
        elif a < 0:
            self._add(total, ("above" if phase else "positive", y), -a)
        elif a > 0 and phase is None:  # y <= u (z - l) / (u - l)
            l, u = self._ends(z)  # noqa: E741
            self._add(total, ("off", y), a * l / (u - l))
            self._add(total, ("on", y), -a * u / (u - l))
        elif a > 0:  # y <= u d <= 0, or y <= z - l (1 - d) <= z
            self._add(total, ("on" if phase else "off", y), -a)
            self._add(total, ("assumed", y), -total.left.get(("d", y), _ZERO))

    def _phase(self, total: _Sum, y: Key, factor: Fraction) -> None:
        """Add a multiple of ``z <= 0`` or ``z >= 0``, by the rows of y."""
        if self.phases[y] == 0:  # y >= z, and y <= 0 in its turn
            self._add(total, ("above", y), factor)
            return
        self._add(total, ("positive", y), factor)
        self._add(total, ("on", y), -factor)
        self._add(total, ("assumed", y), -total.left.get(("d", y), _ZERO))


def assumption(binary: Any, side: int) -> Row:
    """``d <= 0`` or ``d >= 1``."""
    return Row("G" if side else "L", Fraction(side), {binary: _ONE})


def unsupported(what: str) -> UnsupportedError:
    """The error for what rows of this form do not say."""
    return UnsupportedError(f"rows are not written for {what}", remedy="Check the certificate itself: nnsym check")
