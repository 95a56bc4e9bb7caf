"""Products with a 0/1 factor and integer columns: every exact encoding decides them, and closes only what it says."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nnsym as nn
from nnsym.bounds.methods import SOURCES, compute
from nnsym.encode.gates import GATE_CASES, GATE_ROWS
from nnsym.encode.point import NOMINAL, complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir import logic
from nnsym.ir.functions import comparisons as steps
from nnsym.ir.functions.stairs import Floor, RoundEven
from nnsym.ir.node import new_input, pointwise, product
from nnsym.ir.zero_one import gates, integral, zero_one
from nnsym.read.onnx import load
from tests.models import model

node = helper.make_node
F, I = TensorProto.FLOAT, TensorProto.INT64  # noqa: E741
EXACT = ("bigm", "balas", "partition2", "log", "sos2", "indicator", "smt", "smt-ite", "smt-textbook")
x, h = new_input("x", 3), new_input("h", 3)


def test_what_is_known_to_be_zero_or_one() -> None:
    step = pointwise(steps.greater([0.0, 1.0, 2.0]), h)
    known = (step, logic.negation(step), logic.both(step, pointwise(steps.less(0.5), x)))
    assert all(zero_one(n).all() for n in known)
    assert all(integral(n).all() for n in known)
    either = logic.either(step, pointwise(steps.less(0.5), x))
    assert zero_one(either).all()
    assert not zero_one(x).any()
    assert not zero_one(pointwise(Floor(), x)).any()
    assert integral(pointwise(Floor(), x)).all()
    assert gates(product(step, x))
    assert gates(product(x, step))
    assert not gates(product(x, h))


def test_the_rule_is_chosen_by_what_the_factors_are() -> None:
    step = pointwise(steps.greater(), h)
    assert find_encoding("bigm").rule_for(product(step, x)) is GATE_ROWS
    assert find_encoding("smt").rule_for(product(step, x)) is GATE_CASES
    general = find_encoding("bigm").rule_for(product(x, h))
    assert general is not None
    assert general.emits


def chosen() -> onnx.ModelProto:
    """``x if x > z else 3 z - x + 1``, and its product with ``z >= 0.5``."""
    nodes = [
        node("Greater", ["x", "z"], ["c"]),
        node("Mul", ["z", "three"], ["z3"]),
        node("Sub", ["z3", "x"], ["d"]),
        node("Add", ["d", "one"], ["e"]),
        node("Where", ["c", "x", "e"], ["w"]),
        node("GreaterOrEqual", ["z", "half"], ["g"]),
        node("Cast", ["g"], ["gf"], to=F),
        node("Mul", ["w", "gf"], ["y"]),
    ]
    constants = {"three": np.float32(3), "one": np.float32(1), "half": np.float32(0.5)}
    return model(nodes, {"x": (1,), "z": (1,)}, ["y"], constants)


def rounded() -> onnx.ModelProto:
    """``round(x) - 2 floor(z / 2) + trunc(x + z)``."""
    nodes = [
        node("Round", ["x"], ["r"]),
        node("Mul", ["z", "half"], ["zh"]),
        node("Floor", ["zh"], ["f"]),
        node("Mul", ["f", "two"], ["f2"]),
        node("Sub", ["r", "f2"], ["a"]),
        node("Add", ["x", "z"], ["s"]),
        node("Cast", ["s"], ["k"], to=I),
        node("Cast", ["k"], ["t"], to=F),
        node("Add", ["a", "t"], ["y"]),
    ]
    return model(nodes, {"x": (1,), "z": (1,)}, ["y"], {"half": np.float32(0.5), "two": np.float32(2)})


def placed() -> onnx.ModelProto:
    """Where the largest of ``x, z, 0.25`` is, and ``x == z``."""
    nodes = [
        node("Concat", ["x", "z", "quarter"], ["v"], axis=0),
        node("ArgMax", ["v"], ["k"], axis=0),
        node("Cast", ["k"], ["kf"], to=F),
        node("Equal", ["x", "z"], ["c"]),
        node("Cast", ["c"], ["cf"], to=F),
        node("Add", ["kf", "cf"], ["y"]),
    ]
    return model(nodes, {"x": (1,), "z": (1,)}, ["y"], {"quarter": np.float32([0.25])})


def asked(network: nn.Network, bound: Fraction, low: Any, high: Any, sign: int = 1) -> nn.Property:
    a, b = nn.Variable((1,), name="x"), nn.Variable((1,), name="z")
    box = nn.all([nn.box(v, lo, hi) for v, lo, hi in zip((a, b), low, high, strict=True)])
    return nn.forall([a, b], where=box, then=sign * network(a, b)[0] <= bound)


def eighths(low: Any, high: Any) -> np.ndarray:
    sides = [[Fraction(k, 8) for k in range(int(8 * lo), int(8 * hi) + 1)] for lo, hi in zip(low, high, strict=True)]
    return np.array([[a, b] for a in sides[0] for b in sides[1]], dtype=object)


def largest(network: nn.Network, low: Any, high: Any, sign: int = 1) -> Fraction:
    """Over a grid of eighths, on which all of these functions attain their maximum (``sign`` -1: minus the minimum)."""
    points = eighths(low, high)
    return max(sign * v for v in np.asarray(network.evaluate(points[:, :1], points[:, 1:])).ravel().tolist())


@pytest.mark.parametrize(("make", "method", "sign"), [
    (chosen, "bigm", 1), (chosen, "bigm", -1), (rounded, "smt", 1), (placed, "bigm", 1),
])  # fmt: skip
def test_decided_on_both_sides_of_the_maximum(make: Callable[[], onnx.ModelProto], method: str, sign: int) -> None:
    network = load(make())
    low, high = (-1.0, 0.25), (1.5, 1.0)
    top = largest(network, low, high, sign)
    over = nn.verify(asked(network, top + Fraction(1, 64), low, high, sign), method, timeout=20)
    assert over.status.value == "verified"
    below = nn.verify(asked(network, top - Fraction(1, 64), low, high, sign), method, timeout=20)
    assert below.status.value == "falsified", below.reason


@pytest.mark.parametrize("make", [chosen, rounded, placed])
@pytest.mark.parametrize("name", ["bigm", "balas", "log", "indicator", "smt"])
def test_runs_satisfy_every_row_exactly(make: Callable[[], onnx.ModelProto], name: str) -> None:
    """Wherever a factor is 0 or 1, on steps and between: of the numbers that bounds give, none cuts off a run."""
    network, low, high = load(make()), (-1.0, -0.5), (1.5, 1.0)
    query = asked(network, Fraction(0), low, high).query
    program = encode(query, compute(query, "ibp"), find_encoding(name))
    first, second = query.inputs
    for point in eighths(low, high)[::11]:
        done = complete(program, query, {first: point[:1], second: point[1:]}, exact=True)
        assert residual(program, done, NOMINAL) == (0.0, ""), point


@pytest.mark.slow
@pytest.mark.parametrize("make", [chosen, rounded, placed])
@pytest.mark.parametrize("method", EXACT)
def test_every_exact_encoding_decides(make: Callable[[], onnx.ModelProto], method: str) -> None:
    network = load(make())
    for low, high in (((-1.0, 0.25), (1.5, 1.0)), ((0.25, 0.0), (0.25, 2.0)), ((-2.0, -2.0), (-0.5, 0.5))):
        top = largest(network, low, high)
        over = nn.verify(asked(network, top + Fraction(1, 64), low, high), method, timeout=30)
        assert over.status.value == "verified", over.reason
        under = nn.verify(asked(network, top - Fraction(1, 64), low, high), method, timeout=30)
        assert under.status.value == "falsified", under.reason


def test_ties_are_decided_by_smt_and_left_open_or_decided_by_rows() -> None:
    network = load(rounded())
    low, high = (0.5, 0.0), (0.5, 0.0)  # round(0.5) is 0, its other limit 1
    p = asked(network, Fraction(0), low, high)
    assert nn.verify(p, "smt").status.value == "verified"
    assert nn.verify(p, "bigm").status.value != "falsified"
    odd = asked(network, Fraction(5, 2), (1.5, 0.0), (1.5, 0.0))  # round(1.5) is 2, and trunc(1.5) 1
    assert nn.verify(odd, "smt").status.value == "falsified"


@pytest.mark.parametrize("make", [chosen, rounded])
def test_bounds_hold_at_sampled_points(make: Callable[[], onnx.ModelProto]) -> None:
    network = load(make())
    low, high = (-1.0, -0.5), (1.5, 1.0)
    query = asked(network, Fraction(0), low, high).query
    random = np.random.default_rng(0)
    points = [random.integers(8 * np.array(low), 8 * np.array(high) + 1) / 8 for _ in range(40)]
    inputs = {n.name: n for n in query.inputs}
    for source in SOURCES:
        rows = compute(query, source).rows
        for p in points:
            found = query.rows.value(query.values({inputs["x"]: p[:1], inputs["z"]: p[1:]}))
            assert (rows.lower - 1e-9 <= found).all()
            assert (found <= rows.upper + 1e-9).all()


@pytest.mark.parametrize("fn", [Floor(), Floor(0.75), Floor(1 / 3), RoundEven()])
def test_lines_of_stairs_hold_in_rationals(fn: Any) -> None:
    random = np.random.default_rng(1)
    ends = np.sort(np.round(random.normal(scale=3, size=(60, 2)) * 8) / 8, axis=1)
    lower, upper = np.append(ends[:, 0], [0.5, 1.5, -0.5]), np.append(ends[:, 1], [0.5, 2.5, 0.5])
    low, high = fn.span(lower, upper)
    a, b, c, d = fn.lines(lower, upper)
    slope, least, most = fn.band(lower, upper)
    for k in range(len(lower)):
        for t in [lower[k], upper[k], *random.uniform(lower[k], upper[k], 12), *np.arange(lower[k], upper[k], 0.25)]:
            value = fn.value(np.array([Fraction(t)], dtype=object))[0]
            assert low[k] <= value <= high[k]
            assert (
                Fraction(a[k]) * Fraction(t) + Fraction(b[k]) <= value <= Fraction(c[k]) * Fraction(t) + Fraction(d[k])
            )
            middle = Fraction(slope[k]) * Fraction(t)
            assert middle + Fraction(least[k]) <= value <= middle + Fraction(most[k])


def test_a_comparison_of_what_rounds_is_open_or_violated_for_the_deployed_function() -> None:
    nodes = [
        node("Add", ["x", "far"], ["a"]),
        node("Sub", ["a", "far"], ["b"]),
        node("Greater", ["b", "t"], ["c"]),
        node("Cast", ["c"], ["y"], to=F),
    ]
    far = np.float32([2.0**25])  # where a float32 has steps of 4: 2.5 becomes 4
    network = load(model(nodes, {"x": (1,)}, ["y"], {"far": far, "t": np.float32([3.5])}))
    v = nn.Variable((1,), name="x")
    p = nn.forall(v, where=nn.box(v, 2.5, 3.0), then=network(v)[0] <= 0)
    real = nn.verify(p)
    assert real.status.value == "verified"
    assert real.deployed is not None
    assert real.deployed.value != "holds"
    assert nn.verify(p, semantics="deployed").status.value == "falsified"


def test_integers_that_a_machine_may_wrap_around_are_open_for_the_deployed_function() -> None:
    nodes = [
        node("Cast", ["x"], ["k"], to=TensorProto.INT32),
        node("Mul", ["k", "far"], ["m"]),
        node("Cast", ["m"], ["y"], to=F),
    ]
    network = load(model(nodes, {"x": (1,)}, ["y"], {"far": np.int32([2**20])}), check=False)
    v = nn.Variable((1,), name="x")
    p = nn.forall(v, where=nn.box(v, 2000, 4000), then=network(v)[0] >= 0)
    result = nn.verify(p)
    assert result.deployed is not None
    assert result.deployed.value != "holds"


def test_casts_to_a_narrower_type_are_open_for_the_deployed_function() -> None:
    cast = node("Cast", ["x"], ["c"], to=F)
    greater = node("Greater", ["c", "t"], ["g"])
    back = node("Cast", ["g"], ["y"], to=TensorProto.DOUBLE)
    third = np.float32([1 / 3])
    proto = model([cast, greater, back], {"x": (1,)}, ["y"], {"t": third}, elem=TensorProto.DOUBLE)
    network = load(proto)
    v = nn.Variable((1,), name="x")
    beyond = float(third[0]) + 2.0**-40  # above the threshold, and rounded to it
    p = nn.forall(v, where=nn.box(v, beyond, beyond), then=network(v)[0] >= 1)
    result = nn.verify(p)
    assert result.status.value == "verified"
    assert result.deployed is None or result.deployed.value != "holds"
