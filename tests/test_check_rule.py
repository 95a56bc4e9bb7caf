"""The one rule: lines lie on their side, bounds hold at points, both engines agree, precision, float semantics."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from certificates import below, box, certificate, plain, stated
from check_graphs import random_graph

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.functions import Pieces, Product, Sigmoid, Square, clip, leaky, negative_exponential, relu, sign
from nnsym.check.problem import Case
from nnsym.check.rule import SEMANTICS

BITS = 40
HALF = Fraction(1, 2)
FUNCTIONS: tuple[tuple[str, Any, Any], ...] = (
    ("relu", relu(), lambda z: max(z, 0)),
    ("leaky", leaky(Fraction(0.01)), lambda z: max(z, 0) + Fraction(0.01) * min(z, 0)),
    ("abs", leaky(Fraction(-1)), abs),
    ("clip", clip(Fraction(-1), Fraction(2)), lambda z: min(max(z, -1), 2)),
    ("hard", clip(HALF * 0, HALF * 2, HALF / 4, HALF), lambda z: min(max(z / 8 + HALF, 0), 1)),
    ("sign", sign(), lambda z: (z > 0) - (z < 0)),
    ("square", Square(), lambda z: z * z),
    ("sigmoid", Sigmoid(), lambda z: _sigmoid(z)),
    ("tanh", Sigmoid(2, 2, -1), lambda z: 2 * _sigmoid(2 * z) - 1),
)  # fmt: skip
_SMOOTH = ("sigmoid", "tanh")


def _sigmoid(z: Fraction) -> Fraction:
    """To 40 digits."""
    getcontext().prec = 45
    return Fraction(1 / (1 + (-(Decimal(z.numerator) / Decimal(z.denominator))).exp()))


def _intervals(rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    found = []
    for _ in range(count):
        left = int(rng.uniform(-6, 6) * rng.choice([1, 0.1, 0.001]) * (1 << BITS))
        width = int(rng.uniform(0, 8) * rng.choice([1, 0.01, 0]) * (1 << BITS))
        found.append((0, width) if rng.random() < 0.1 else (left, left + width))
    return found


@pytest.mark.parametrize(("name", "function", "value"), FUNCTIONS, ids=[f[0] for f in FUNCTIONS])
def test_lines_lie_on_their_side(name: str, function: Any, value: Any) -> None:
    rng = np.random.default_rng(3)
    unit, noise = Fraction(1, 1 << BITS), Fraction(1, 10**40) if name in _SMOOTH else 0
    for left, right in _intervals(rng, 60):
        shares = [Fraction(int(k), 255) if rng.random() < 0.6 else None for k in rng.integers(0, 256, 2)]
        (below,), low, (above,), high = function.lines((left, right), BITS, *shares)
        least, greatest = function.range((left, right), BITS)
        for k in range(9):
            z = (left + (right - left) * k // 8) * unit
            y = Fraction(value(z))
            assert Fraction(below, 1 << 30) * z + low * unit <= y + noise
            assert y <= Fraction(above, 1 << 30) * z + high * unit + noise
            assert least * unit <= y + noise
            assert y - noise <= greatest * unit


@pytest.mark.parametrize(("name", "function", "value"), FUNCTIONS, ids=[f[0] for f in FUNCTIONS])
def test_offsets_are_as_good_as_slopes_let_them(name: str, function: Any, value: Any) -> None:
    """Somewhere the line comes near: a slope costs no more than it must."""
    if name == "sign":
        return
    rng = np.random.default_rng(4)
    for left, right in _intervals(rng, 25):
        (below,), low, (above,), high = function.lines((left, right), BITS, Fraction(1, 3), Fraction(1, 4))
        points = [Fraction(left + (right - left) * k // 200, 1 << BITS) for k in range(201)]
        values = [float(value(z)) for z in points]
        under = min(
            y - float(Fraction(below, 1 << 30) * z) - low / 2**BITS for z, y in zip(points, values, strict=True)
        )
        over = min(
            float(Fraction(above, 1 << 30) * z) + high / 2**BITS - y for z, y in zip(points, values, strict=True)
        )
        step = (right - left) / 2**BITS / 200
        assert max(under, over) <= (2 + 2 * max(map(abs, map(float, points)))) * step + 1e-5


def test_planes_of_products_lie_on_their_side() -> None:
    rng = np.random.default_rng(5)
    for x, z in zip(_intervals(rng, 60), _intervals(rng, 60), strict=True):
        (a, b), low, (c, d), high = Product().lines(
            x, z, BITS, *(Fraction(int(k), 255) for k in rng.integers(0, 256, 2))
        )
        for s in (0, 0.3, 1):
            for t in (0, 0.7, 1):
                p, q = x[0] + int((x[1] - x[0]) * s), z[0] + int((z[1] - z[0]) * t)
                assert (
                    (a * p + b * q << BITS) + (low << BITS + 30)
                    <= p * q << 30
                    <= (c * p + d * q << BITS) + (high << BITS + 30)
                )


@pytest.mark.parametrize("x", [0, 1, 3, 1 << 20, (1 << 60) - 1, 1 << 60, 37 << 58, 59 << 60, 61 << 60, 1 << 70])
def test_the_exponential_is_enclosed(x: int) -> None:
    getcontext().prec = 60
    true = (-(Decimal(x) / Decimal(1 << 60))).exp() * Decimal(1 << 60)
    low, high = negative_exponential(x, 60)
    assert low <= true <= high <= low + 3


def _made(
    rng: np.random.Generator, tree: Any, **more: Any
) -> tuple[dict[str, Any], list[Fraction], list[Fraction], list[Fraction]]:
    """A certificate about a random graph: its box, and the weights of the row ``w y <= 0``."""
    graph, _ = random_graph(rng, fine="precision" in more)
    lower = rng.integers(-8, 8, 3) / 8
    upper = lower + rng.integers(0, 9, 3) / 8 * rng.choice([2**-7, 1, 1])
    weights = [int(v) / 4 for v in rng.integers(-8, 9, 2)]
    row = f"(+ (* {weights[0]} y[0]) (* {weights[1]} y[1]))"
    text = stated(graph, box("x", lower.tolist(), upper.tolist()) + f"(assert (<= {row} 0.0))", {"y": [2]})
    sides = [[Fraction(v) for v in side.tolist()] for side in (lower, upper)]
    return certificate(text, tree, {"name": "f", "graph": graph}, **more), *sides, [Fraction(w) for w in weights]


def _points(
    rng: np.random.Generator, lower: list[Fraction], upper: list[Fraction], count: int
) -> list[tuple[Fraction, ...]]:
    at = [rng.choice([0, 64, int(rng.integers(0, 65))], 3).tolist() for _ in range(count)]
    return [tuple(a + (b - a) * Fraction(t, 64) for a, b, t in zip(lower, upper, ts, strict=True)) for ts in at]


def _contains(seed: int) -> None:
    """Every bound of every node holds at points, and the leaf's value is not above what points attain.

    With 16 binary places what rounding loses is large enough to be seen, if it is not charged.
    """
    rng = np.random.default_rng(seed)
    coarse = seed % 2 == 1
    made, lower, upper, weights = _made(rng, [["l"]], **({"precision": 16} if coarse else {}))
    runs = []
    for engine in ("reference", "fast"):
        checker = Checker(made, {}, engine)
        least, case, unit = checker.run(failures=True).least, below(checker), 1 << checker.engine.bits
        assert least is not None
        for point in _points(rng, lower, upper, 6):
            bits, values = checker.forward(Case(point, point))
            for node, bounds in case.known.items():
                for k in range(node.size):
                    run = [Fraction(int(side[k]), 1 << bits) for side in (values[node].lower, values[node].upper)]
                    assert Fraction(int(bounds.lower[k]), unit) <= run[1]
                    assert run[0] <= Fraction(int(bounds.upper[k]), unit)
            y = values[checker.problem.places["y"].node]
            attained = [
                max(w * Fraction(a, 1 << bits), w * Fraction(b, 1 << bits))
                for w, a, b in zip(weights, y.lower, y.upper, strict=True)
            ]
            assert least <= sum(attained)
        runs.append(least)
    assert abs(runs[0] - runs[1]) < Fraction(1, 10 ** (0 if coarse else 6))


@pytest.mark.parametrize("seed", range(16))
def test_bounds_hold_at_points_and_engines_agree(seed: int) -> None:
    _contains(seed)


@pytest.mark.slow
def test_bounds_hold_at_points_and_engines_agree_on_many_graphs() -> None:
    for seed in range(100, 180):
        _contains(seed)


def test_a_point_is_resolved_to_1e_12_and_1e_7() -> None:
    """Where the box is a point, the value is the attained one: what falls short of it by so little is told apart."""
    rng = np.random.default_rng(11)
    weights = [rng.integers(-64, 65, (10, 10)) / 64 for _ in range(4)]
    nodes = []
    for k in range(4):
        nodes += [["MatMul", [f"r{k - 1}" if k else "x", f"W{k}"], [f"z{k}"]], ["Relu", [f"z{k}"], [f"r{k}"]]]
    graph = plain({"x": [10]}, nodes, ["r3"], **{f"W{k}": w for k, w in enumerate(weights)})
    point = (rng.integers(-50, 51, 10) / 100).tolist()
    value = [Fraction(str(v)) for v in point]
    for w in weights:
        value = [
            max(Fraction(0), sum((v * Fraction(a) for v, a in zip(value, column, strict=True)), Fraction(0)))
            for column in w.T.tolist()
        ]
    best = int(np.argmax([float(v) for v in value]))
    for engine, digits in (("reference", 12), ("fast", 7)):
        for short, accepted in ((Fraction(1, 10**digits), True), (Fraction(0), False), (-Fraction(1, 10**30), False)):
            text = stated(
                graph, box("x", point, point) + f"(assert (<= r3[{best}] {value[best] - short}))", {"r3": [10]}
            )
            checker = Checker(certificate(text, [["l"]], {"name": "f", "graph": graph}), {}, engine)
            assert (not checker.run(failures=True).failures) == accepted


# Floats


def _float32(scale: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    rng = np.random.default_rng(scale)
    layers = [(rng.standard_normal((6, 6)) * scale).astype(np.float32) for _ in range(3)]
    nodes = []
    for k in range(3):
        nodes += [["MatMul", [f"r{k - 1}" if k else "x", f"W{k}"], [f"z{k}"]], ["Relu", [f"z{k}"], [f"r{k}"]]]
    return plain({"x": [6]}, nodes, ["z2"], **{f"W{k}": w.astype(float) for k, w in enumerate(layers)}), layers


def test_every_order_of_float32_sums_is_covered() -> None:
    """Runs in shuffled orders attain values below the real function's, and none below what is certified for floats."""
    graph, layers = _float32(1)
    rng = np.random.default_rng(2)
    x = rng.standard_normal(6).astype(np.float32)
    text = stated(
        graph, box("x", x.astype(float).tolist(), x.astype(float).tolist()) + "(assert (<= z2[0] -9999.0))", {"z2": [6]}
    )
    least, known = {}, {}
    names = [[0, f"z{k}"] for k in range(3)]
    for semantics in ("real", "float32"):
        for engine in ("reference", "fast"):
            made = certificate(text, [["l"]], {"name": "f", "graph": graph}, semantics=semantics, names=names)
            checker = Checker(made, {}, engine)
            least[semantics, engine] = checker.run().least
            bounds, unit = below(checker).known, 1 << checker.engine.bits
            known[semantics, engine] = [
                (Fraction(int(low), unit), Fraction(int(high), unit))
                for tensor in checker.problem.names
                for low, high in zip(bounds[tensor.node].lower, bounds[tensor.node].upper, strict=True)
            ]
    outside = dict.fromkeys(known, 0)
    runs = []
    for _ in range(200):
        value, sums = x, list[float]()
        for k, w in enumerate(layers):
            order = rng.permutation(6)
            total = np.zeros(6, dtype=np.float32)
            for j in order:
                total = total + value[j] * w[j]
            value = np.maximum(total, 0) if k < 2 else total
            sums += total.astype(float).tolist()
        for key, ends in known.items():
            outside[key] += sum(not low <= Fraction(v) <= high for v, (low, high) in zip(sums, ends, strict=True))
        runs.append(Fraction(float(value[0])) + 9999)
    assert outside["real", "reference"] > 100
    for engine in ("reference", "fast"):
        assert outside["float32", engine] == 0
        assert least["float32", engine] <= min(runs)
        assert least["float32", engine] < least["real", engine]
    assert min(runs) < least["real", "reference"]
    assert min(runs) - least["float32", "reference"] < Fraction(1, 10**4)


def test_what_floats_break_is_refused_for_floats() -> None:
    """``x + 2^25 - 2^25`` is x on reals; a float32 at 2^25 has steps of 4."""
    nodes = [["Add", ["x", "up"], ["h"]], ["Relu", ["h"], ["r"]], ["Add", ["r", "down"], ["y"]]]
    graph = plain({"x": [1]}, nodes, ["y"], up=[2.0**25], down=[-(2.0**25)])
    text = stated(graph, box("x", [0.625], [0.875]) + "(assert (<= y[0] 0.5))", {"y": [1]})
    for engine in ("reference", None):
        Checker(certificate(text, [["l"]], {"name": "f", "graph": graph}), {}, engine).run()
        with pytest.raises(Refused, match="not positive"):
            Checker(certificate(text, [["l"]], {"name": "f", "graph": graph}, semantics="float32"), {}, engine).run()


def test_float_claims_about_other_functions_are_refused() -> None:
    graph = plain({"x": [1]}, [["Tanh", ["x"], ["y"]]], ["y"])
    text = stated(graph, box("x", [0], [1]) + "(assert (<= y[0] -0.5))", {"y": [1]})
    Checker(certificate(text, [["l"]], {"name": "f", "graph": graph}), {}, "reference").run()
    with pytest.raises(Refused, match="not modelled"):
        Checker(certificate(text, [["l"]], {"name": "f", "graph": graph}, semantics="float32"), {}, "reference").run()


@pytest.mark.parametrize(("exponent", "bias", "fits"), [(30, 0, True), (31, 0, False), (30, 2.0**64, False)])
def test_sums_that_may_leave_the_floats_range_are_refused(exponent: int, bias: float, fits: bool) -> None:
    """2^33 2^30 is, with what rounding adds, below 2^64, from which on no number is promised; 2^64 itself is not."""
    graph = plain({"x": [1]}, [["Mul", ["x", "much"], ["z"]], ["Add", ["z", "b"], ["y"]]], ["y"], much=[2.0**exponent],
                  b=[bias])  # fmt: skip
    text = stated(graph, box("x", [2**32], [2**33]) + "(assert (<= y[0] -1.0))", {"y": [1]})
    for semantics in ("real", "float32"):
        made = certificate(text, [["l"]], {"name": "f", "graph": graph}, semantics=semantics)
        if semantics == "real" or fits:
            Checker(made, {}, None).run()
        else:
            with pytest.raises(Refused, match="leave the floats' range"):
                Checker(made, {}, None).run()


def test_sums_of_more_terms_than_the_precision_bounds_are_refused() -> None:
    single = SEMANTICS["float32"]
    assert single.gamma((1 << 23) - 8) == 1
    with pytest.raises(Refused, match="too many terms"):
        single.gamma((1 << 23) - 7)


def test_the_fast_engine_refuses_what_leaves_its_range() -> None:
    graph = plain({"x": [1]}, [["Mul", ["x", "much"], ["h"]], ["Relu", ["h"], ["y"]]], ["y"], much=[2.0**40])
    text = stated(graph, box("x", [1], [2]) + "(assert (<= y[0] 1.0))", {"y": [1]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph})
    assert Checker(made, {}, "reference").run().leaves == 1
    assert Checker(made, {}).run().engine == "reference"
    with pytest.raises(Refused, match="range"):
        Checker(made, {}, "fast").run()


def test_pieces_know_their_shape() -> None:
    assert relu().convex
    assert not clip(Fraction(0), Fraction(1)).convex
    assert clip(None, Fraction(1)).concave
    assert not sign().continuous
    assert Pieces([Fraction(1, 3)], [(Fraction(0), Fraction(1)), (Fraction(3), Fraction(0))]).continuous
    assert math.isclose(float(Sigmoid().derivative(0, BITS)), 0.25)
