"""False theorems about graphs of every kind of node, with slopes, cuts and lemmas drawn at random."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from certificates import below, box, certificate, opened, stated, verdict
from check_graphs import random_graph

from nnsym.check.checker import Checker
from nnsym.check.graph import Curve
from nnsym.check.problem import Case
from tests.depth import drawn


class Claim:
    """``w y > t`` on a box of a random graph."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.graph, _ = random_graph(rng, fine=seed % 3 == 0)
        self.lower = rng.integers(-8, 8, 3) / 8
        self.upper = self.lower + rng.integers(0, 9, 3) / 8 * rng.choice([2**-7, 1, 1])
        self.weights = [int(v) / 4 for v in rng.integers(-8, 9, 2)]
        self.names = [[0, node[2][0]] for node in self.graph["nodes"]]
        self.checker = Checker(self.certificate(Fraction(0), [["l"]], 56), {}, "reference")
        self.case = below(self.checker)
        curves = [n for n in self.checker.problem.nodes if isinstance(n, Curve)]
        nodes = [v.node for v in self.checker.problem.names]
        self.curves = [k for k, node in enumerate(nodes) if node in curves]
        self.arguments = [k for k, node in enumerate(nodes) if any(node in c.parents for c in curves)]

    def certificate(self, threshold: Fraction, tree: Any, precision: int) -> dict[str, Any]:
        row = f"(+ (* {self.weights[0]} y[0]) (* {self.weights[1]} y[1]))"
        limits = box("x", self.lower.tolist(), self.upper.tolist())
        text = stated(self.graph, limits + f"(assert (<= {row} {threshold}))", {"y": [2]})
        return certificate(text, tree, {"name": "f", "graph": self.graph}, names=self.names, precision=precision)

    def slopes(self) -> dict[str, Any]:
        """Lines below and above of some curves."""
        found: dict[str, Any] = {}
        for k in self.curves:
            if self.rng.random() < 0.6:
                count = sum(opened(self.checker, self.case, k))
                sides = [self.rng.bytes(count * int(self.rng.choice([1, 2]))).hex() for _ in range(2)]
                found[str(k)] = [None if self.rng.random() < 0.3 else side for side in sides]
        return found

    def tree(self) -> list[Any]:
        rng, k = self.rng, int(self.rng.choice(self.arguments))
        size = self.checker.problem.names[k].node.size
        if rng.random() < 0.5:
            return [["b"], ["l", None, self.slopes()]]
        if rng.random() < 0.5:
            leaves = [["l", [[0, 1], [1, int(rng.integers(0, 9)) / 8]]] for _ in range(2)]
            form = [[k, int(rng.integers(0, size)), int(rng.choice([1, -2]))]]
            return [["b"], ["g", form, int(rng.integers(-8, 8)) / 8], *leaves]
        return [["b", [[k, rng.integers(-size, size, 3).tolist()]]], ["x", int(rng.integers(0, 3))], ["l"], ["l"]]

    def attained(self) -> Fraction:
        """The least value of the row that one of 20 points certainly does not pass."""
        ends = [[Fraction(v) for v in side.tolist()] for side in (self.lower, self.upper)]
        found = []
        for _ in range(20):
            at = [Fraction(int(self.rng.choice([0, 64, self.rng.integers(0, 65)])), 64) for _ in range(3)]
            point = tuple(a + (b - a) * t for a, b, t in zip(*ends, at, strict=True))
            bits, values = self.checker.forward(Case(point, point))
            y = values[self.checker.problem.places["y"].node]
            pairs = zip(self.weights, y.lower, y.upper, strict=True)
            found.append(sum(max(Fraction(w) * a, Fraction(w) * b) for w, a, b in pairs) / (1 << bits))
        return Fraction(min(found))


def _refuted(seeds: range) -> None:
    """Claims that a point refutes are refused, claims far below are accepted: the trees are no nonsense."""
    accepted = 0
    for seed in seeds:
        claim = Claim(seed)
        if claim.case.empty:
            continue
        tree, attained = claim.tree(), claim.attained()
        for precision in (16, 56):
            for engine in ("reference", "fast"):
                found = verdict(claim.certificate(attained, tree, precision), engine)
                assert isinstance(found, str), (seed, engine, precision)
                accepted += not isinstance(verdict(claim.certificate(attained - 60, tree, precision), engine), str)
    assert accepted > 3 * len(seeds)


def test_claims_that_a_point_refutes_are_refused() -> None:
    _refuted(range(drawn(10, 5)))


@pytest.mark.field
def test_many_claims_that_a_point_refutes_are_refused() -> None:
    _refuted(range(drawn(10, 5), 500))
