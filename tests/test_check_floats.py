"""Claims about runs in floats: what a run attains is never told to be impossible, and what it may lose is charged."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from operator import mul
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from certificates import below, certificate, of_files, plain, stated, verdict
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nnsym.check.checker import Checker
from tests.depth import drawn

FLOATS = {"float32": (TensorProto.FLOAT, np.float32, 24, 62), "float64": (TensorProto.DOUBLE, np.float64, 53, 510)}
ENGINES = ("reference", "fast")
SIZE = 6

#: Operators on a vector, their constants (drawn, if they are shapes) and attributes.
OPERATORS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    ("Relu", (), {}), ("Abs", (), {}), ("Sign", (), {}), ("Neg", (), {}), ("LeakyRelu", (), {"alpha": 0.1}),
    ("HardSigmoid", (), {"alpha": 0.2, "beta": 0.5}), ("HardSigmoid", (), {"alpha": 1.0, "beta": 0.5}),
    ("HardSigmoid", (), {"alpha": 1.0, "beta": 0.0}), ("Clip", (-0.75, 0.1), {}), ("Sigmoid", (), {}), ("Tanh", (), {}),
    ("Add", ((SIZE,),), {}), ("Sub", ((SIZE,),), {}), ("Mul", ((SIZE,),), {}), ("Div", ((SIZE,),), {}),
    ("MatMul", ((SIZE, 3),), {}), ("Gemm", ((SIZE, 3), (3,)), {"alpha": 0.3, "beta": 0.7}), ("ReduceMean", (), {}),
    ("Cast", (), {"to": TensorProto.FLOAT}), ("Cast", (), {"to": TensorProto.DOUBLE}), ("Max", ((SIZE,),), {}),
)  # fmt: skip


def _one(rng: np.random.Generator, kind: str, constants: Any, attributes: Any, name: str) -> bytes:
    """A model of one operator from x to y in a type of floats."""
    elem, dtype, *_ = FLOATS[name]
    given = {
        f"c{k}": np.asarray(rng.standard_normal(c) * 2.0 ** int(rng.integers(-9, 9)) if isinstance(c, tuple) else c)
        for k, c in enumerate(constants)
    }
    node = helper.make_node(kind, ["x", *given], ["y"], **attributes)
    ends = [helper.make_tensor_value_info("x", elem, (1, SIZE))]
    made = [helper.make_tensor_value_info("y", attributes.get("to", elem), None)]
    stored = [numpy_helper.from_array(v.astype(dtype), n) for n, v in given.items()]
    graph = helper.make_graph([node], "g", ends, made, stored)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(whole.SerializeToString())


def _runner(data: bytes, name: str) -> Any:
    """ONNX Runtime, which has few kernels in float64, or ONNX's own evaluator by NumPy."""
    if name == "float32":
        return ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(data)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("operator", OPERATORS, ids=[f"{k}-{n}" for n, (k, _, _) in enumerate(OPERATORS)])
def test_what_a_run_attains_is_never_told_to_be_impossible(operator: Any, name: str) -> None:
    """At a point of the type: ``y <= run`` and ``y >= run`` hold of the run, so neither is refuted."""
    rng = np.random.default_rng(1)
    for _ in range(drawn(16, 2)):
        data = _one(rng, *operator, name)
        scale = 2.0 ** rng.integers(-30, 4, SIZE)
        x = (rng.standard_normal(SIZE) * scale).astype(FLOATS[name][1])
        run = np.ravel(_runner(data, name).run(None, {"x": x[None]})[0])
        declared = "".join(f"(declare-const {v}_{k} Real)" for v, n in (("X", SIZE), ("Y", len(run))) for k in range(n))
        point = "".join(f"(assert (== X_{k} {Fraction(float(v))}))" for k, v in enumerate(x))
        for k in rng.choice(len(run), min(2, len(run)), replace=False).tolist():
            v = run[k]
            sides = "".join(f"(assert ({word} Y_{k} {Fraction(float(v))}))" for word in ("<=", ">="))
            for fact in (0, 1):
                tree = [["l", [[fact, 1]]]]
                made, files = of_files(data, (declared + point + sides).encode(), tree, semantics=name)
                for engine in ENGINES:
                    assert isinstance(verdict(made, engine, files), str), (operator, k, fact, engine)


def _charge(name: str, terms: int, size: Fraction) -> Fraction:
    """``gamma size + (n + 2) 2^-62``, or of float64."""
    *_, precision, least = FLOATS[name]
    k = Fraction(terms + 8, 1 << precision)
    return k / (1 - k) * size + Fraction(terms + 2, 1 << least)


def _extreme(row: Sequence[Fraction], low: Sequence[Fraction], high: Sequence[Fraction]) -> Fraction:
    """The least value of a row of the inputs."""
    return sum((a * (p if a > 0 else q) for a, p, q in zip(row, low, high, strict=True)), Fraction(0))


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("engine", ENGINES)
def test_sums_are_charged_what_the_page_says(engine: str, name: str) -> None:
    """In intervals and in rows: not less, and not much more, of a dense layer, factors, and a difference."""
    rng = np.random.default_rng(2)
    for _ in range(drawn(8, 3)):
        w, v = rng.integers(-64, 65, (3, 2)) / 8, rng.integers(1, 9, 3) / 8
        w[rng.random((3, 2)) < 0.3] = 0
        b = rng.integers(-64, 65, 2) / 8
        nodes = [["Gemm", ["x", "W", "b"], ["d"]], ["Mul", ["x", "v"], ["s"]], ["Sub", ["x", "s"], ["e"]]]
        graph = plain({"x": [1, 3]}, nodes, ["d", "e"], W=w, b=b, v=v)
        low = [Fraction(int(k), 8) for k in rng.integers(-40, 40, 3)]
        high = [a + Fraction(int(k), 8) for a, k in zip(low, rng.integers(0, 9, 3), strict=True)]
        ends = enumerate(zip(low, high, strict=True))
        limits = "".join(f"(assert (>= x[0,{k}] {p}))(assert (<= x[0,{k}] {q}))" for k, (p, q) in ends)
        weights = [Fraction(int(k), 4) for k in rng.integers(-8, 9, 2)]
        row = f"(+ (* {weights[0]} d[0,0]) (* {weights[1]} d[0,1]))"
        text = stated(graph, limits + f"(assert (<= {row} 0))", {"d": [1, 2], "e": [1, 3]})
        names = [[0, n] for n in "dse"]
        made = certificate(text, [["l"]], {"name": "f", "graph": graph}, semantics=name, names=names)
        checker = Checker(made, {}, engine)
        found, unit = below(checker), Fraction(1, 1 << checker.engine.bits)

        most = [max(abs(p), abs(q)) for p, q in zip(low, high, strict=True)]
        weighed = [zip(w[:, i].tolist(), most, strict=True) for i in range(2)]
        sizes = [sum((abs(Fraction(a)) * m for a, m in pairs), Fraction(0)) for pairs in weighed]
        dense = [_charge(name, 4, size + abs(Fraction(c))) for size, c in zip(sizes, b.tolist(), strict=True)]
        scaled = [_charge(name, 2, Fraction(v[i]) * most[i]) for i in range(3)]
        apart = [_charge(name, 3, (1 + Fraction(v[i])) * most[i]) for i in range(3)]
        for value, charges in zip(checker.problem.names, (dense, scaled, apart), strict=True):
            for told, wanted in zip(found.known[value.node].error, charges, strict=True):
                assert wanted <= int(told) * unit <= wanted * Fraction(5, 4) + 3 * unit

        columns = [[Fraction(a) for a in column] for column in w.T.tolist()]
        bounds = found.known[checker.problem.names[0].node]
        for i, (column, c) in enumerate(zip(columns, b.tolist(), strict=True)):
            assert int(bounds.lower[i]) * unit <= _extreme(column, low, high) + Fraction(c) - dense[i]
            assert int(bounds.upper[i]) * unit >= -_extreme([-a for a in column], low, high) + Fraction(c) + dense[i]
        exact = _extreme([sum(map(mul, weights, pair)) for pair in zip(*columns, strict=True)], low, high)
        exact += sum(c * Fraction(d) - abs(c) * e for c, d, e in zip(weights, b.tolist(), dense, strict=True))
        least_value = checker.run(failures=True).least
        assert least_value is not None
        assert least_value <= exact


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_are_no_floats_are_charged(engine: str) -> None:
    """They are known to 2^-72. At x the value is one part in q beyond a unit that a nearby weight does not reach."""
    bits = {"reference": 56, "fast": 32}[engine]
    rng = np.random.default_rng(3)
    accepted = 0
    for _ in range(drawn(24, 6)):
        steps = int(rng.integers(1 << 50, 1 << 51))  # x, in units
        q = int(rng.integers(1 << 43, 1 << 44)) | 1
        while np.gcd(steps, q) != 1:
            q += 2
        weight = Fraction(pow(steps, -1, q) * int(rng.choice([1, -1])), q)  # weight x is +-1 / q beyond whole units
        x = Fraction(steps * int(rng.choice([1, -1])), 1 << bits)
        graph = plain({"x": [1]}, [["Mul", ["x", "w"], ["y"]]], ["y"], w=[weight])
        for word, away in (("<=", -1), (">=", 1)):
            for off in (0, 1):
                limit = weight * x + Fraction(away * off * 16, 1 << bits)
                text = stated(graph, f"(assert (== x[0] {x}))(assert ({word} y[0] {limit}))", {"y": [1]})
                found = verdict(certificate(text, [["l"]], {"name": "f", "graph": graph}), engine)
                assert off or isinstance(found, str), (weight, x)
                accepted += not isinstance(found, str)
    assert accepted


def test_constants_that_are_folded_beyond_floats_are_numbers_all_the_same() -> None:
    """The claim about reals is proved; runs round, or overflow, and nothing is said of them."""
    nodes = [["Mul", ["a", "a"], ["b"]], ["Mul", ["x", "b"], ["y"]]]
    for a, fits in ((Fraction(10) ** 200, False), (Fraction(1, 3), False), (Fraction(3, 4), True)):
        graph = plain({"x": [1]}, nodes, ["y"], a=[a])
        text = stated(graph, f"(assert (>= x[0] 1))(assert (<= x[0] 2))(assert (<= y[0] {a * a / 2}))", {"y": [1]})
        made = certificate(text, [["l"]], {"name": "f", "graph": graph})
        assert not isinstance(verdict(made, "reference"), str), a
        found = verdict(made | {"semantics": "float32"}, "reference")
        assert isinstance(found, str) != fits, (a, found)
        assert fits or "round constants" in found
