"""False theorems: whatever a certificate says, a claim that an exactly evaluated point refutes is never accepted."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from certificates import certificate, plain, stated, verdict

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.rule import Reference
from nnsym.check.tree import Tree

ENGINES = ("reference", "fast", None)
Layers = list[tuple[Any, Any]]


def network(rng: np.random.Generator, sizes: Sequence[int] = (3, 4, 4, 2)) -> Layers:
    """Dyadic weights and biases."""
    pairs = pairwise(sizes)
    return [(rng.integers(-16, 17, (a, b)) / 16, rng.integers(-16, 17, b) / 16) for a, b in pairs]


def graph_of(layers: Layers) -> dict[str, Any]:
    """The network with ReLUs between its layers, tensors z0, r0, z1 ... and y."""
    nodes, constants, last = [], {}, "x"
    for k, (w, b) in enumerate(layers):
        constants |= {f"W{k}": w, f"b{k}": b}
        end = k == len(layers) - 1
        nodes.append(["Gemm", [last, f"W{k}", f"b{k}"], ["y" if end else f"z{k}"]])
        nodes += [] if end else [["Relu", [f"z{k}"], [f"r{k}"]]]
        last = f"r{k}"
    return plain({"x": [1, len(layers[0][0])]}, nodes, ["y"], **constants)


def run(layers: Layers, x: Sequence[Fraction]) -> list[Fraction]:
    """The network at a point, in fractions."""
    return arguments(layers, x)[-1]


def arguments(layers: Layers, x: Sequence[Fraction]) -> list[list[Fraction]]:
    """The values of z0, z1 ... and y at a point."""
    value, found = list(x), []
    for w, b in layers:
        sums = [sum((v * Fraction(a) for v, a in zip(value, column, strict=True)), Fraction(c))
                for column, c in zip(w.T.tolist(), b.tolist(), strict=True)]  # fmt: skip
        found.append(sums)
        value = [max(s, Fraction(0)) for s in sums]
    return found


class Theorem:
    """``w y > t`` on a box around a point that attains w y = m: false where t >= m."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.layers = rng, network(rng)
        self.point = [Fraction(int(v), 64) for v in rng.integers(-64, 65, 3)]
        width = Fraction(1, int(rng.choice([1, 8, 1 << 12, 1 << 40])))
        self.lower = [p - width * int(rng.integers(0, 2)) for p in self.point]
        self.upper = [p + width * int(rng.integers(0, 2)) for p in self.point]
        self.weights = [Fraction(int(v), 4) for v in rng.integers(-4, 5, 2)]
        self.attained = sum(a * v for a, v in zip(self.weights, run(self.layers, self.point), strict=True))

    def text(self, threshold: Fraction) -> str:
        graph = graph_of(self.layers)
        limits = "".join(
            f"(assert (>= x[0,{k}] {a}))(assert (<= x[0,{k}] {b}))"
            for k, (a, b) in enumerate(zip(self.lower, self.upper, strict=True))
        )
        row = f"(+ (* {self.weights[0]} y[0,0]) (* {self.weights[1]} y[0,1]))"
        either = f"(assert (or (<= {row} {threshold}) (<= y[0,0] -1000.0)))" if self.rng.random() < 0.3 else ""
        return stated(graph, limits + (either or f"(assert (<= {row} {threshold}))"), {"y": [1, 2]})

    def certificate(self, threshold: Fraction, tree: Sequence[Any], layers: Layers | None = None) -> dict[str, Any]:
        names = [[0, n] for n in ("z0", "r0", "z1", "r1", "y")]
        return certificate(
            self.text(threshold), tree, {"name": "f", "graph": graph_of(layers or self.layers)}, names=names
        )

    # Trees

    def slopes(self) -> Any:
        digits = "".join(f"{int(v):02x}" for v in self.rng.integers(0, 256, int(self.rng.integers(0, 5))))
        return {str(int(self.rng.choice([1, 3]))): digits} if self.rng.random() < 0.5 else None

    def leaf(self, facts: int) -> list[Any]:
        if self.rng.random() < 0.4:
            return ["l"]
        if self.rng.random() < 0.03:  # sums that would wrap
            return ["l", [[0, 1 << int(self.rng.integers(0, 60))]] * (1 << int(self.rng.integers(8, 13)))]
        chosen = self.rng.integers(0, facts + 1, 2).tolist()
        return ["l", [[k, int(m) / 8] for k, m in zip(chosen, self.rng.integers(-1, 9, 2), strict=True)], self.slopes()]

    def tree(self, depth: int, facts: int = 1) -> list[Any]:
        """A random tree, of splits at random places, with refreshes and lemmas."""
        kind = self.rng.choice(["l", "l", "x", "r", "g", "b", "o", "claim"]) if depth else "l"
        if kind == "l":
            return [self.leaf(facts)]
        if kind == "b":
            rows = self.rng.integers(-4, 4, 3).tolist()
            lemma = [
                int(self.rng.choice([0, 2])),
                rows,
                self.slopes(),
                [[0, int(self.rng.integers(0, 3))]] if facts > 1 else None,
            ]
            return [["b", [lemma]] if self.rng.random() < 0.5 else ["b"], *self.tree(depth - 1, facts)]
        if kind == "o":
            return [["o", 0], *self.tree(depth - 1, facts + 1), *self.tree(depth - 1, facts + 1)]
        if kind == "claim":
            return self.claim(depth, facts)
        at = int(self.rng.integers(-64, 65)) / 64
        split = {
            "x": ["x", int(self.rng.integers(0, 3)), at],
            "r": ["r", int(self.rng.choice([0, 2])), int(self.rng.integers(0, 4))],
            "g": ["g", [[0, 1, 1], [2, 0, -0.5], [-1, 2, 0.25]], at],
        }[str(kind)]
        more = facts + (kind != "x")
        return [split, *self.tree(depth - 1, more), *self.tree(depth - 1, more)]

    def claim(self, depth: int, facts: int) -> list[Any]:
        """A range of a hidden neuron, about where the point has it, one side of which a small tree closes."""
        layer, i, more = (int(v) for v in self.rng.integers(0, (2, 4, 3)))
        off = Fraction(int(self.rng.integers(-8, 9)), 10 ** int(self.rng.choice([0, 1, 3, 9])))
        token = ["g", [[2 * layer, i, 1]], str(arguments(self.layers, self.point)[layer][i] + off)]
        own = [["l", [[facts, 1], [int(self.rng.integers(0, facts + 1)), int(self.rng.integers(0, 3))]], self.slopes()]]
        if more == 2:
            own = [["r", 0, int(self.rng.integers(0, 4))], *own, ["l", [[facts, 1], [facts + 1, 0.5]]]]
        rest = [*([["b"]] if more else []), *self.tree(depth - 1, facts + 1)]
        return [token, *own, *rest] if self.rng.random() < 0.5 else [token, *rest, *own]


def spoiled(rng: np.random.Generator, tree: list[Any]) -> list[Any]:
    """A tree with a token dropped, doubled, moved or with a number changed."""
    k, kind = int(rng.integers(0, len(tree))), rng.random()
    if kind < 0.3:
        return tree[:k] + tree[k + 1 :]
    if kind < 0.5:
        return [*tree[:k], tree[k], *tree[k:]]
    if kind < 0.7:
        return [tree[int(i)] for i in rng.permutation(len(tree))]
    return tree


def _refuted(count: int, seed: int, engines: Sequence[str | None] = ENGINES) -> int:
    """Try ``count`` false theorems; how many were refused by arithmetic and not for their form."""
    rng, proved = np.random.default_rng(seed), 0
    for _ in range(count):
        theorem = Theorem(rng)
        above = Fraction(int(rng.integers(0, 3)), 10 ** int(rng.choice([0, 3, 6, 9, 12])))
        tree = spoiled(rng, theorem.tree(int(rng.integers(0, 4))))
        made = theorem.certificate(theorem.attained + above, tree)
        for engine in engines:
            found = verdict(made, engine)
            assert isinstance(found, str), (seed, made)
            proved += "not positive" in found
    return proved


def _other_networks(count: int, seed: int) -> int:
    """Proofs of one network given for another, whose own run refutes them; nothing compares hashes here."""
    rng, tried = np.random.default_rng(seed), 0
    for _ in range(count):
        theorem = Theorem(rng)
        layers = [(w.copy(), b.copy()) for w, b in theorem.layers]
        k = int(rng.integers(0, 3))
        i, j = (int(rng.integers(0, n)) for n in layers[k][0].shape)
        layers[k][0][i, j] *= rng.choice([-1, -4, 2, 0])
        attained = sum(a * v for a, v in zip(theorem.weights, run(layers, theorem.point), strict=True))
        made = theorem.certificate(attained, [["b"], *theorem.tree(1)], layers)
        tried += 1
        for engine in ENGINES:
            assert isinstance(verdict(made, engine), str), (seed, made)
    return tried


def test_false_theorems_are_refused() -> None:
    assert _refuted(120, 1) > 60
    assert _other_networks(20, 2) == 20


@pytest.mark.slow
def test_ten_thousand_false_theorems_are_refused() -> None:
    assert sum(_refuted(450, seed) for seed in range(10, 30)) > 4000
    assert sum(_other_networks(50, seed) for seed in range(10, 30)) == 1000


def test_true_theorems_next_to_them_are_accepted() -> None:
    """The same trees prove what is true: the refusals above are not for nothing."""
    rng, accepted = np.random.default_rng(5), 0
    for _ in range(90):
        theorem = Theorem(rng)
        theorem.lower, theorem.upper = theorem.point, theorem.point
        tree = theorem.tree(2)
        made = theorem.certificate(theorem.attained - Fraction(1, 10**6), tree)
        found = [verdict(made, engine) for engine in ENGINES]
        assert isinstance(found[0], str) == isinstance(found[1], str), found
        accepted += not isinstance(found[0], str)
    assert accepted >= 10


class Blind(Reference):
    """An engine that is too coarse for every leaf."""

    def values(self, jobs: Sequence[Any]) -> list[Fraction]:
        return [Fraction(-1) for _ in jobs]


def test_a_finer_engine_is_asked_of_the_very_leaf() -> None:
    """Ways of leaves share their beginnings: what is kept of one must not be taken for another's."""
    rng, accepted, refused = np.random.default_rng(8), 0, 0
    for _ in range(30):
        theorem = Theorem(rng)
        tree = [["x", 0], ["b"], ["x", 1], *theorem.tree(1), ["l"], ["x", 2], ["l"], ["l"]]
        made = theorem.certificate(theorem.attained - int(rng.integers(0, 99)), tree)
        checker = Checker(made, {}, "reference")
        blind = Blind(checker.problem.nodes, checker.engine.bits, checker.engine.semantics, checker.stop)
        found: list[Any] = []
        for engine, finer in ((checker.engine, None), (blind, checker.engine)):
            try:
                leaves = Tree(checker.problem, engine, made["tree"], finer=finer).run()
                found.append((leaves.count, leaves.least))
            except Refused as error:
                found.append(str(error))
        assert found[0] == found[1]
        accepted, refused = accepted + (not isinstance(found[0], str)), refused + isinstance(found[0], str)
    assert accepted > 4
    assert refused > 4


def test_a_box_is_nothing_that_a_certificate_may_say() -> None:
    """A false theorem with leaves that try to bring their own bounds, boxes or verdicts."""
    theorem = Theorem(np.random.default_rng(6))
    for token in (
        ["l", [[0, 1]], None, "holds"],
        ["l", {"lower": 9}],
        ["b", [[0, None, None, None, 9]]],
        ["box", [0, 0, 0]],
    ):
        assert isinstance(verdict(theorem.certificate(theorem.attained, [token, ["l"]]), "reference"), str)
