"""A second checker, in fractions, written from docs/certificates.md alone: it imports nothing of nnsym.

It knows networks in plain form of Gemm (without attributes) and Relu, and properties of one such network.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

ZERO = Fraction(0)


class No(Exception):  # noqa: N818 - a verdict
    """Not accepted."""


@dataclass(frozen=True)
class Place:
    """A case: box, facts (terms by tensor and element, constant, strict, of the property), disjunctions, bounds."""

    lower: dict[int, Fraction]
    upper: dict[int, Fraction]
    facts: tuple[Any, ...] = ()
    either: tuple[Any, ...] = ()
    known: dict[tuple[str, int], tuple[Fraction, Fraction]] = field(default_factory=dict)
    stale: bool = True

    def limit(self, k: int, low: Fraction | None = None, high: Fraction | None = None) -> Place:
        lower, upper = dict(self.lower), dict(self.upper)
        if low is not None:
            lower[k] = max(lower.get(k, low), low)
        if high is not None:
            upper[k] = min(upper.get(k, high), high)
        return replace(self, lower=lower, upper=upper, stale=True)

    @property
    def empty(self) -> bool:
        return any(self.lower[k] > self.upper[k] for k in self.lower if k in self.upper) or any(
            low > high for low, high in self.known.values()
        )


class Second:
    """One certificate."""

    def __init__(self, data: bytes) -> None:
        self.certificate = json.loads(data, parse_float=Fraction)
        (entry,) = self.certificate["networks"]
        graph, stated = entry["graph"], self.certificate["property"]
        if hashlib.sha256(stated["vnnlib"].encode()).hexdigest() != stated["sha256"]:
            raise No("hash")
        ((self.input, shape),) = graph["inputs"]
        self.sizes = {self.input: shape[-1]}
        self.layers: list[tuple[str, str, Any, Any]] = []  # output, input, rows of weights and biases or None (ReLU)
        for kind, reads, (out,), *_ in graph["nodes"]:
            if kind == "Relu":
                self.layers.append((out, reads[0], None, None))
                self.sizes[out] = self.sizes[reads[0]]
                continue
            w, b = (graph["constants"][name] for name in reads[1:])
            size = w["shape"][1]
            flat = [Fraction(v) for v in w["values"]]
            self.layers.append(
                (out, reads[0], [flat[j::size] for j in range(size)], [Fraction(v) for v in b["values"]])
            )
            self.sizes[out] = size
        self.names = [name for _, name in self.certificate["names"]]
        words = re.findall(r"[()]|[^\s()]+", stated["vnnlib"])
        self.root = Place({}, {})
        while words:
            item = self._item(words)
            if item[0] == "assert":
                self.root = self.assume(self.root, item[1])

    # Properties

    def _item(self, words: list[str]) -> Any:
        word = words.pop(0)
        if word != "(":
            return word
        found = []
        while words[0] != ")":
            found.append(self._item(words))
        words.pop(0)
        return found

    def term(self, item: Any) -> tuple[dict[tuple[str, int], Fraction], Fraction]:
        """Coefficients and constant."""
        if isinstance(item, str):
            found = re.fullmatch(r"(\w+)\[0,(\d+)\]", item)
            return ({(found[1], int(found[2])): Fraction(1)}, ZERO) if found else ({}, Fraction(item))
        word, *rest = item
        parts = [self.term(r) for r in rest]
        if word == "*":
            scale = parts[0][1]
            return {k: scale * v for k, v in parts[1][0].items()}, scale * parts[1][1]
        total, constant = dict(parts[0][0]), parts[0][1]
        for more, c in parts[1:]:
            sign = 1 if word == "+" else -1
            for k, v in more.items():
                total[k] = total.get(k, ZERO) + sign * v
            constant += sign * c
        return total, constant

    def assume(self, place: Place, item: Any) -> Place:
        word, *rest = item
        if word == "or" and len(rest) > 1:
            return replace(place, either=(*place.either, rest))
        if word in ("and", "or"):
            for part in rest:
                place = self.assume(place, part)
            return place
        a, b = rest if word in ("<=", "<") else rest[::-1]
        terms, constant = self.term(["-", a, b])
        terms = {k: v for k, v in terms.items() if v}
        if len(terms) == 1 and next(iter(terms))[0] == self.input:
            (((_, k), v),) = terms.items()
            limit = -constant / v
            return place.limit(k, high=limit) if v > 0 else place.limit(k, low=limit)
        return replace(place, facts=(*place.facts, (terms, constant, word in ("<", ">"), True)))

    # The rule

    def line(self, low: Fraction, high: Fraction, share: Fraction | None, below: bool) -> tuple[Fraction, Fraction]:
        if low >= 0 or high <= 0:
            return (Fraction(int(low >= 0)), ZERO) if not (low == high == 0) else (Fraction(1), ZERO)
        default = Fraction(int(high > -low)) if below else high / (high - low)
        slope = default if share is None else share
        values = [-slope * low, ZERO, high - slope * high]
        return slope, min(values) if below else max(values)

    def back(self, place: Place, row: dict[tuple[str, int], Fraction], total: Fraction, slopes: Any) -> Fraction:
        for out, source, weights, bias in reversed(self.layers):
            if weights is not None:
                for j in range(self.sizes[out]):
                    c = row.pop((out, j), ZERO)
                    if c:
                        total += c * bias[j]
                        for k, w in enumerate(weights[j]):
                            row[source, k] = row.get((source, k), ZERO) + c * w
                continue
            if not any(row.get((out, j)) for j in range(self.sizes[out])):
                continue
            ends = [place.known.get((source, j)) for j in range(self.sizes[out])]
            opened = [e is not None and e[0] < 0 < e[1] for e in ends]
            sides = [iter(self.shares(given, sum(opened))) for given in slopes.get(out, (None, None))]
            numbers = [[next(side) if o else None for side in sides] for o in opened]
            for j in range(self.sizes[out]):
                c = row.pop((out, j), ZERO)
                if c:
                    slope, offset = self.line(*ends[j], numbers[j][0 if c > 0 else 1], c > 0)
                    row[source, j] = row.get((source, j), ZERO) + c * slope
                    total += c * offset
        return total + sum(c * (place.lower[k] if c > 0 else place.upper[k]) for (_, k), c in row.items())

    def shares(self, digits: str | None, count: int) -> list[Fraction | None]:
        if digits is None:
            return [None] * count
        width = 2 if len(digits) == 2 * count else 4
        if len(digits) != width * count:
            raise No("digits")
        return [Fraction(int(digits[k : k + width], 16), 16**width - 1) for k in range(0, len(digits), width)]

    def add(self, place: Place, row: dict[tuple[str, int], Fraction], facts: Any) -> Fraction:
        total = ZERO
        for number, given in facts:
            m = Fraction(given)
            if not 0 <= number < len(place.facts) or m < 0:
                raise No("fact")
            terms, constant, _, _ = place.facts[number]
            total += m * constant
            for k, v in terms.items():
                row[k] = row.get(k, ZERO) + m * v
        return total

    def refresh(self, place: Place, lemmas: Any) -> Place:
        known = dict(place.known)
        place = replace(place, known=known)
        self.meet(known, self.input, [(place.lower[k], place.upper[k]) for k in range(self.sizes[self.input])])
        for out, source, weights, bias in self.layers:
            if place.empty:
                break
            ends = [known[source, k] for k in range(self.sizes[source])]
            if weights is None:
                self.meet(known, out, [(max(a, ZERO), max(b, ZERO)) for a, b in ends])
            else:
                self.meet(known, out, [self.interval(ws, c, ends) for ws, c in zip(weights, bias, strict=True)])
            mine = [lemma for lemma in lemmas if self.names[lemma[0]] == out]
            if not mine and weights is not None and source != self.input:
                mine = [[None]]
            for lemma in mine:
                self.lemma(place, out, lemma)
        return replace(place, stale=False)

    @staticmethod
    def interval(weights: Any, constant: Fraction, ends: Any) -> tuple[Fraction, Fraction]:
        pairs = [(w * a, w * b) if w > 0 else (w * b, w * a) for w, (a, b) in zip(weights, ends, strict=True)]
        return constant + sum(p[0] for p in pairs), constant + sum(p[1] for p in pairs)

    def lemma(self, place: Place, out: str, given: Any) -> None:
        _, rows, slopes, facts = (*given, None, None, None)[:4]
        if rows is None:
            read = any(weights is None and source == out for _, source, weights, _ in self.layers)
            ends = [place.known[out, j] for j in range(self.sizes[out])]
            rows = [r for j, (low, high) in enumerate(ends) if read and low < 0 < high for r in (j, -1 - j)]
        made = []
        for r in rows:
            j, sign = (r, Fraction(1)) if r >= 0 else (-1 - r, Fraction(-1))
            row = {(out, j): sign}
            total = self.add(place, row, facts or [])
            made.append((j, sign, sign * self.back(place, row, total, self.slopes(slopes))))
        for j, sign, value in made:
            low, high = place.known[out, j]
            place.known[out, j] = (max(low, value), high) if sign > 0 else (low, min(high, value))

    @staticmethod
    def meet(known: Any, name: str, found: list[Any]) -> None:
        for j, (low, high) in enumerate(found):
            a, b = known.get((name, j), (low, high))
            known[name, j] = max(a, low), min(b, high)

    def slopes(self, given: Any) -> Any:
        return {self.names[int(n)]: (d if isinstance(d, list) else [d, None]) for n, d in (given or {}).items()}

    # The tree

    def run(self) -> list[Fraction]:
        """The values of all leaves of cases that are not empty; raises where the certificate is not accepted."""
        stack, values = [self.root], []
        for token in self.certificate["tree"]:
            if not stack:
                raise No("tokens are left")
            place, (kind, *rest) = stack.pop(), token
            if kind == "x":
                at = Fraction(rest[1]) if len(rest) > 1 else (place.lower[rest[0]] + place.upper[rest[0]]) / 2
                stack += [place.limit(rest[0], low=at), place.limit(rest[0], high=at)]
                continue
            if kind == "o":
                stack += [self.assume(place, part) for part in reversed(place.either[rest[0]])]
                continue
            if kind == "b":
                stack.append(self.refresh(place, rest[0] if rest else []))
                continue
            if place.stale and not place.empty:
                place = self.refresh(place, [])
            if kind == "l":
                values += self.leaf(place, *rest)
                continue
            form, at = ([[rest[0], rest[1], 1]], ZERO) if kind == "r" else (rest[0], Fraction(rest[1]))
            stack += reversed(self.halves(place, form, at))
        if stack:
            raise No("the tree ends early")
        return values

    def halves(self, place: Place, form: Any, at: Fraction) -> list[Place]:
        found = []
        for sign in (1, -1):
            terms = {(self.input if n == -1 else self.names[n], i): sign * Fraction(a) for n, i, a in form}
            side = replace(place, facts=(*place.facts, (terms, -sign * at, False, False)))
            if len(terms) == 1 and not place.empty:
                ((key, a),) = terms.items()
                low, high = side.known[key]
                known = {
                    **side.known,
                    key: (low, min(high, sign * at / a)) if a > 0 else (max(low, sign * at / a), high),
                }
                side = replace(side, known=known)
            found.append(side)
        return found

    def leaf(self, place: Place, facts: Any = None, slopes: Any = None) -> list[Fraction]:
        if facts is None:
            own = [k for k, fact in enumerate(place.facts) if fact[3]]
            facts = [[own[-1], 1]] if own else []
        row: dict[tuple[str, int], Fraction] = {}
        total = self.add(place, row, facts)
        if place.empty:
            return []
        near = total + sum(a * place.known[key][0 if a > 0 else 1] for key, a in row.items())
        value = max(near, self.back(place, row, total, self.slopes(slopes)))
        strict = any(place.facts[k][2] for k, m in facts if Fraction(m) > 0)
        if value < 0 or (value == 0 and not strict):
            raise No(f"value {float(value)}")
        return [value]
