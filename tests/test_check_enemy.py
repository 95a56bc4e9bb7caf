"""Statements of every form that a point meets, with trees and numbers of an enemy: none is ever told to be empty."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from certificates import certificate
from test_check_mutations import Layers, arguments, graph_of, network

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from tests.depth import drawn

#: Numbers that some readers take for others, and that would leave narrow types.
ODD: Sequence[Any] = (
    "1e300", "-1e300", "1/3", "1e-300", str(1 << 70), "9" * 60 + "/7", "\u0661", "1_0", " 1", "0x1", "-0", "1/0", "inf",
    1e308, -1, 0, True, None, [], {}, "", 2.5, 1 << 63, -(1 << 63), "1e1201", "\uff11", "--1",
)  # fmt: skip


class Statement:
    """A property of one or two networks that a point satisfies, the point, and what its values are there."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.names = ["f", "g"][: int(rng.integers(1, 3))]
        self.equal = len(self.names) == 2 and rng.random() < 0.3
        self.layers: dict[str, Layers] = {}
        self.values: dict[str, Fraction] = {}
        self.limits: list[str] = []
        for name in self.names:
            whole = name == "g"
            self.layers[name] = self.layers["f"] if name == "g" and self.equal else network(rng)
            point = [Fraction(int(v), 1 if whole else 64) for v in rng.integers(-3 if whole else -64, 4, 3)]
            found = arguments(self.layers[name], point)
            self.values |= {f"x{name}[0,{k}]": v for k, v in enumerate(point)}
            self.values |= {f"y{name}[0,{k}]": v for k, v in enumerate(found[-1])}
            self.values |= {f"h{name}[0,{k}]": max(v, Fraction(0)) for k, v in enumerate(found[0])}
            self.limits += self._box(name, point)
        self.text = self._text()
        self.either = list[int]()  # how many operands the property's disjunctions have

    def _box(self, name: str, point: Sequence[Fraction]) -> list[str]:
        """Limits around the point, in one box or in several of which one has it."""
        width = Fraction(1, int(self.rng.choice([1, 8, 1 << 40])))

        def limits(centre: Sequence[Fraction]) -> str:
            ends = [
                (c - int(self.rng.integers(0, 2)) * width, c + int(self.rng.integers(0, 2)) * width) for c in centre
            ]
            return " ".join(f"(>= x{name}[0,{k}] {a}) (<= x{name}[0,{k}] {b})" for k, (a, b) in enumerate(ends))

        if self.rng.random() < 0.5:
            return [f"(assert (and {limits(point)}))"]
        boxes = [point, *([c + int(self.rng.integers(-2, 3)) for c in point] for _ in range(2))]
        wide = " ".join(f"(>= x{name}[0,{k}] -9) (<= x{name}[0,{k}] 9)" for k in range(3))
        order = self.rng.permutation(3).tolist()
        return [f"(assert (and {wide}))", f"(assert (or {' '.join(f'(and {limits(boxes[k])})' for k in order)}))"]

    def atom(self, true: bool) -> str:
        """A comparison of a few variables, true at the point or not; the true ones often by nothing at all."""
        rng = self.rng
        chosen = rng.choice(sorted(self.values), int(rng.integers(1, 4)), replace=False).tolist()
        factors = [Fraction(int(v), 4) for v in rng.choice([-6, -3, -1, 1, 2, 5], len(chosen))]
        row = f"(+ {' '.join(f'(* {a} {v})' for a, v in zip(factors, chosen, strict=True))})"
        value = sum(a * self.values[v] for a, v in zip(factors, chosen, strict=True))
        if true and rng.random() < 0.15:
            return f"(== {row} {value})"
        away = Fraction(int(rng.integers(0, 3)), 10 ** int(rng.choice([0, 3, 9, 13])))
        strict = bool(away) and rng.random() < 0.5
        if not true:
            return f"(< {row} {value - away})"
        return rng.choice(
            [f"({'<' if strict else '<='} {row} {value + away})", f"({'>' if strict else '>='} {row} {value - away})"]
        )

    def formula(self, depth: int, true: bool = True) -> str:
        rng = self.rng
        kind = rng.choice(["atom", "or", "and"]) if depth else "atom"
        if kind == "atom":
            return self.atom(true)
        count = int(rng.integers(1, 4))
        sides = [true] * count if kind == "and" else [bool(rng.random() < 0.5) for _ in range(count)]
        if true or kind == "and":
            sides[int(rng.integers(0, count))] = true
        return f"({kind} {' '.join(self.formula(depth - 1, side) for side in sides)})"

    def _text(self) -> str:
        declared = "".join(
            f"(declare-network {n} {'(equal-to f)' if n == 'g' and self.equal else ''}"
            f"(declare-input x{n} {'int8' if n == 'g' else 'real'} [1,3])"
            f'(declare-hidden h{n} real [1,4] "r0")(declare-output y{n} real [1,2]))'
            for n in self.names
        )
        away = Fraction(int(self.rng.integers(0, 2)), 8)
        squares = [
            f"(* (- xf[0,{k}] {c}) (- xf[0,{k}] {c}))"
            for k, c in enumerate(v for n, v in self.values.items() if n[:2] == "xf")
        ]
        ball = f"(assert (<= (+ {' '.join(squares)}) {away}))" if self.rng.random() < 0.3 else ""
        asserted = [f"(assert {self.formula(2)})" for _ in range(int(self.rng.integers(1, 3)))]
        return f"(vnnlib-version <2.0>){declared}{''.join(self.limits)}{ball}{''.join(asserted)}"

    def networks(self) -> list[dict[str, Any]]:
        own = self.names[:1] if self.equal else self.names
        return [{"name": n, "graph": graph_of(self.layers[n])} for n in own]

    # Trees

    def number(self) -> Any:
        odd = ODD[int(self.rng.integers(0, len(ODD)))]
        return odd if self.rng.random() < 0.02 else int(self.rng.integers(-16, 17)) / 8

    def facts(self, count: int) -> Any:
        """Multipliers of so many facts: none, few, or so many that sums would wrap."""
        kind, count = self.rng.random(), max(1, count + (self.rng.random() < 0.05))
        if kind < 0.3:
            return None
        if kind < 0.33:
            return [[int(self.rng.integers(0, count)), 1 << int(self.rng.integers(0, 60))]] * 300
        return [
            [int(k), self.number() if kind > 0.9 else int(self.rng.integers(0, 9)) / 8]
            for k in self.rng.integers(0, count, 3)
        ]

    def slopes(self) -> Any:
        def digits() -> Any:
            return None if self.rng.random() < 0.3 else self.rng.bytes(int(self.rng.integers(0, 6))).hex()

        if self.rng.random() < 0.6:
            return None
        return {str(int(self.rng.integers(0, 6))): digits() if self.rng.random() < 0.5 else [digits(), digits()]}

    def token(self, kind: str, facts: int) -> tuple[list[Any], int]:
        """A token and how many children it has."""
        rng = self.rng
        name, i = int(rng.integers(0, 6)), int(rng.integers(0, 4))
        if kind == "x":
            return [
                kind,
                int(rng.integers(0, 3 * len(self.names))),
                *([self.number()] if rng.random() < 0.7 else []),
            ], 2
        if kind == "i":
            return [kind, int(rng.integers(3, 6)), int(rng.integers(-3, 4))], 2
        if kind == "r":
            return [kind, name, i], 2
        if kind == "g":
            form = [
                [name if rng.random() < 0.8 else -1, int(rng.integers(0, 4)), self.number()]
                for _ in range(int(rng.integers(1, 3)))
            ]
            return [kind, form, self.number()], 2
        if kind == "o":
            chosen = int(rng.integers(0, len(self.either)))
            return [kind, chosen], self.either[chosen]
        lemma = [name, rng.integers(-4, 4, 3).tolist(), self.slopes(), self.facts(facts)]
        return [kind, [lemma]] if rng.random() < 0.3 else [kind], 1

    def tree(self, depth: int, facts: int) -> list[Any]:
        kinds = ["l", "l", "x", "r", "g", "b", *["i"] * (len(self.names) - 1), *["o"] * min(2, len(self.either))]
        kind = str(self.rng.choice(kinds)) if depth else "l"
        if kind == "l":
            return [["l", self.facts(facts), self.slopes()][: int(self.rng.integers(1, 4))]]
        token, count = self.token(kind, facts)
        more = facts + (kind in "rg")
        return [token, *(t for _ in range(count) for t in self.tree(depth - 1, more))]

    def certificate(self) -> dict[str, Any]:
        names = [[k, t] for k in range(len(self.names)) for t in ("z0", "r0", "z1", "r1")][:6]
        semantics = str(self.rng.choice(["real", "real", "real", "float32", "float64"]))
        head = certificate(self.text, [], *self.networks(), names=names, semantics=semantics)
        root = Checker(head, {}, "reference").problem.root
        self.either = [len(junction.parts) for junction in root.disjunctions]
        return head | {"tree": self.tree(int(self.rng.integers(0, 4)), len(root.facts))}


def places(found: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested lists and objects."""
    keys: Any = found.keys() if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ()
    for key in keys:
        yield (*at, key)
        yield from places(found[key], (*at, key))


def spoiled(rng: np.random.Generator, made: dict[str, Any]) -> bytes:
    """Its bytes with a value elsewhere changed, dropped, doubled or exchanged; the property's text stays."""
    made = json.loads(json.dumps(made, default=str))
    for _ in range(int(rng.integers(0, 3))):
        spots = [p for p in places(made) if p[0] not in ("property", "format", "claim")]
        at = spots[int(rng.integers(0, len(spots)))]
        if "graph" in at:  # another network is another statement
            continue
        inside: Any = made
        for key in at[:-1]:
            inside = inside[key]
        kind = rng.random()
        if kind < 0.5:
            inside[at[-1]] = ODD[int(rng.integers(0, len(ODD)))]
        elif isinstance(inside, list):
            other = int(rng.integers(0, len(inside)))
            inside[at[-1]], inside[other] = inside[other], inside[at[-1]]
        else:
            del inside[at[-1]]
    text = json.dumps(made)
    return (text.replace('"tree"', '"tree":[["l",[]]],"tree"', 1) if rng.random() < 0.02 else text).encode()


def _asked(data: bytes, engine: str | None) -> str:
    """What the checker says; nothing but its refusal may come out of it."""
    try:
        return str(Checker(read_json(data), {}, engine).run())
    except Refused as error:
        return f"refused: {error}"


def _none_is_accepted(seeds: range) -> int:
    proved = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        statement = Statement(rng)
        data = spoiled(rng, statement.certificate())
        for engine in ("reference", "fast", None):
            said = _asked(data, engine)
            assert said.startswith("refused"), (seed, engine, said)
            proved += "not positive" in said
    return proved


def test_nothing_that_a_point_meets_is_told_to_be_empty() -> None:
    count = drawn(80, 4)
    assert _none_is_accepted(range(count)) > count // 8


@pytest.mark.field
def test_ten_thousand_statements_that_a_point_meets() -> None:
    assert _none_is_accepted(range(1000, 1000 + drawn(10000, 100))) > 1000
