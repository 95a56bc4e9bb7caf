"""VIPR 1.0 files of certificates about small ReLU networks: the same proof as derivations from a MILP's rows.

The MILP is the usual big-M form with the bounds that the checker finds at the root: an open neuron ``y = max(z, 0)``
with z in [l, u] has a binary d and the rows ``y >= 0``, ``y >= z``, ``y <= u d``, ``y <= z - l (1 - d)``. Each leaf
becomes one linear combination of rows that says ``0 >= 1``, each split of a phase a case distinction on d. Format:
Cheung, Gleixner, Steffy, *Verifying Integer Programming Results*, IPCO 2017, and the specification in its repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, final

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


def to_vipr(certificate: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """The file of an ``unsat`` certificate whose tree is phases (``r``) below at most one refresh of bounds (``b``).

    Raises :class:`nnsym.check.errors.Refused` where the certificate is not accepted, and :class:`UnsupportedError` for
    other nodes than affine ones and ReLU, other tokens, disjunctions and squares.
    """
    checker = Checker(certificate, files, "reference")
    checker.run()
    return _Writer(checker, list(certificate["tree"])).text()


@final
@dataclass
class _Row:
    """A row ``terms sense limit``, with the sense E, L or G."""

    name: str
    sense: str
    limit: Fraction
    terms: Terms


@final
@dataclass
class _Sum:
    """A combination of rows: multipliers by row, what is left of the terms, and its right-hand side."""

    used: dict[int, Fraction] = field(default_factory=dict)
    left: Terms = field(default_factory=dict)
    limit: Fraction = _ZERO


class _Writer:
    """The rows of one certificate, then its derivations."""

    def __init__(self, checker: Checker, tokens: list[Any]) -> None:
        self.tree, self.tokens = Tree(checker.problem, checker.engine, []), iter(enumerate(tokens))
        self.nodes, self.engine = checker.problem.nodes, checker.engine
        self.rows: list[_Row] = []
        self.at: dict[Any, int] = {}  # rows by what they say, in the order of the file
        self.assumed: dict[int, _Row] = {}
        self.lines: list[str] = []
        case = checker.problem.root
        if case.disjunctions or checker.semantics != "real" or any(f.squares for f in case.facts):
            raise _unsupported("a property with 'or', squares, or about runs in floats")
        place, token = next(self.tokens)
        if token[0] == "b":
            (case,) = self.tree.children(place, token, case)
            place, token = next(self.tokens)
        (self.case,) = self.tree.refreshed([case])
        self.names = self._names()
        self.numbers = {key: k for k, key in enumerate(self.names)}
        self._constraints()
        self.first = len(self.rows)
        self._derive(place, token, self.case, {})

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
                    raise _unsupported("a function other than ReLU")
                opened = self.engine.open_elements(node, self.case.known)
                found |= {("d", (node, i)): f"d{n}_{i}" for i, o in enumerate(opened) if o}
        return found

    def _row(self, tag: Any, sense: str, limit: Fraction, terms: Terms) -> None:
        self.at[tag] = len(self.rows)
        self.rows.append(_Row(f"C{len(self.rows)}", sense, limit, terms))

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
                    raise _unsupported("weights that are no dyadic numbers")
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

    def _derive(self, place: int, token: Any, case: Case, phases: dict[Key, int]) -> int:
        """The number of the row ``0 >= 1`` of a subtree."""
        if token[0] == "l":
            self.tree.children(place, token, case)
            return self._leaf(self.tree.jobs.pop(), phases)
        if token[0] != "r":
            raise _unsupported(f"the token '{token[0]}'")
        z = self.tree.element(token[1], token[2])
        y = next(((n, z[1]) for n in self.nodes if isinstance(n, Curve) and n.parents[0] is z[0]), None)
        if y is None or ("d", y) not in self.names or y in phases:
            raise _unsupported("a split of a neuron that is not open")
        halves, found = self.tree.children(place, token, case), []
        for side, half in enumerate(halves):
            sense, limit = ("L", _ZERO) if side == 0 else ("G", _ONE)
            assumed = self._write(_Row("", sense, limit, {("d", y): _ONE}), "asm")
            self.at["assumed", y] = assumed
            found.append((self._derive(*next(self.tokens), half, {**phases, y: side}), assumed))
        (a, b), (c, d) = found
        return self._write(_Row("", "G", _ONE, {}), f"uns {a} {b} {c} {d}")

    def _leaf(self, job: Job, phases: dict[Key, int]) -> int:
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
            raise _unsupported("a leaf that holds by what the checker knows of bounds beyond the rows")
        factors = " ".join(f"{k} {m / total.limit}" for k, m in sorted(total.used.items()) if m)
        count = sum(1 for m in total.used.values() if m)
        return self._write(_Row("", "G", _ONE, {}), f"lin {count} {factors}")

    def _add(self, total: _Sum, tag: Any, factor: Fraction) -> None:
        """Add a multiple of a row, of a sign that makes it a lower bound."""
        if not factor:
            return
        number = self.at[tag]
        row = self.rows[number] if number < self.first else self.assumed[number]
        total.used[number] = total.used.get(number, _ZERO) + factor
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

    # The file

    def _write(self, row: _Row, reason: str) -> int:
        number = self.first + len(self.lines)
        if reason == "asm":
            self.assumed[number] = row
        row.name = f"D{len(self.lines)}"
        self.lines.append(f"{self._said(row)} {{ {reason} }} -1")
        return number

    def _said(self, row: _Row) -> str:
        terms = " ".join(f"{self.numbers[key]} {a}" for key, a in row.terms.items())
        return f"{row.name} {row.sense} {row.limit} {len(row.terms)} {terms}".rstrip()

    def text(self) -> str:
        """All sections."""
        whole = [str(k) for k, key in enumerate(self.names) if key[0] == "d"]
        return "\n".join(self._sections(whole)) + "\n"

    def _sections(self, whole: list[str]) -> Iterator[str]:
        yield "VER 1.0"
        yield f"VAR {len(self.names)}"
        yield " ".join(self.names.values())
        yield f"INT {len(whole)}"
        yield " ".join(whole)
        yield "OBJ min"
        yield "0"
        yield f"CON {len(self.rows)} {self.limits}"
        yield from map(self._said, self.rows)
        yield "RTP infeas"
        yield "SOL 0"
        yield f"DER {len(self.lines)}"
        yield from self.lines


def _unsupported(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"VIPR files are not written for {what}", remedy="Check the certificate itself: nnsym check"
    )
