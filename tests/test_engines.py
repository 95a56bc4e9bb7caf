"""What is said of every float run holds of runs that rewrite graphs, and of those that take subnormal numbers for 0."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from certificates import below, of_files
from test_check_runtimes import model

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.deployed.enclose import enclose
from nnsym.deployed.secants import row_errors
from nnsym.errors import InputError
from tests.depth import drawn
from tests.engines import FAR_APART, FURTHER_APART, every_run

Case = tuple[list[tuple[str, str, str, dict[str, Any]]], dict[str, Any], np.ndarray]


def _stored(case: Case) -> tuple[bytes, np.ndarray]:
    nodes, constants, x = case
    return model(nodes, x.shape, 13, {n: np.float32(c) for n, c in constants.items()}), np.float32(x)


def _told_by_checker(data: bytes, x: np.ndarray, size: int, engine: str, precision: int) -> list[Any] | None:
    """Bounds of the output's elements at a point; None where the checker says nothing."""
    text = "".join(
        f"(declare-const X_{k} Real)(assert (== X_{k} {Fraction(float(v))}))" for k, v in enumerate(x.ravel())
    )
    text += "".join(f"(declare-const Y_{k} Real)(assert (<= Y_{k} 0))" for k in range(size))
    made, files = of_files(data, text.encode(), [["l"]], semantics="float32", precision=precision)
    try:
        checker = Checker(made, files, engine)
        known = below(checker).known[checker.problem.outputs[0].node]
    except (Refused, OverflowError):
        return None
    unit = 1 << checker.engine.bits
    return [(Fraction(int(a), unit), Fraction(int(b), unit)) for a, b in zip(known.lower, known.upper, strict=True)]


def _told_of_runs(data: bytes, x: np.ndarray) -> Any:
    """Bounds of the output's first element at a point, its real value and how far runs may be; None for nothing."""
    f = nn.load(data, check=False)
    v = nn.Variable(x.shape, name="x")
    query = nn.forall(v, where=nn.box(v, x, x), then=f(v).ravel()[0] >= 0).query  # the row is y itself
    enclosed = enclose(query, compute(query, "crown"))
    if enclosed.overflow:
        return None
    rows = compute(enclosed.query, "crown").rows
    errors = row_errors(enclosed.query, enclosed.errors, enclosed.ranges)
    real = query.rows.value(query.values({query.inputs[0]: x.ravel().astype(float)}))[0]
    return rows.lower[0], rows.upper[0], real, np.inf if errors is None else errors[0]


@pytest.mark.parametrize("name", FAR_APART)
def test_the_checker_excludes_no_run(name: str) -> None:
    """Sums that come first, factors that are folded, and what is taken for 0; also with all places that there are."""
    data, x = _stored(FAR_APART[name])
    runs = list(every_run(data, {"x": x}))
    assert len({run.tobytes() for run in runs}) > 1 or not np.isfinite(runs[0]).all()
    for engine, precision in (("fast", 32), ("reference", 56), ("reference", 100), ("reference", 400)):
        told = _told_by_checker(data, x, runs[0].size, engine, precision)
        for run in runs if told is not None else []:
            for value, (low, high) in zip(run.tolist(), told, strict=True):
                assert np.isfinite(value), (engine, precision)
                assert low <= Fraction(value) <= high, (engine, precision)


@pytest.mark.parametrize("name", [*FAR_APART, *FURTHER_APART])
def test_the_enclosure_excludes_no_run(name: str) -> None:
    data, x = _stored((FAR_APART | FURTHER_APART)[name])
    told = _told_of_runs(data, x)
    if told is None:
        return
    low, high, real, error = told
    for run in every_run(data, {"x": x}):
        assert np.isfinite(run[0])
        assert low <= run[0] <= high
        assert abs(float(run[0]) - real) <= error


def test_ordinary_numbers_cost_nothing_more() -> None:
    """The same networks with numbers near 1: something is said of all, and finely."""
    for name, (nodes, constants, x) in FAR_APART.items():
        plain = {n: np.full(np.shape(c), 0.5) for n, c in constants.items()}
        data, at = _stored((nodes, plain, np.full(x.shape, 0.75)))
        run, *_ = every_run(data, {"x": at})
        for engine in ("fast", "reference"):
            told = _told_by_checker(data, at, run.size, engine, 56)
            assert told is not None, name
            assert told[0][1] - told[0][0] < 1e-4
        found = _told_of_runs(data, at)
        assert found is not None
        assert found[1] - found[0] < 1e-4
        assert found[3] < 1e-5


@pytest.mark.parametrize("wide", [0.0, 0.25])
def test_constants_that_are_computed_round_in_a_run(wide: float) -> None:
    """Of 1e10 + w - 1e10 nothing is left in floats; sums that are exact in any format may stand."""
    for constants, exact in (({"a": 1e10, "b": 1.0}, False), ({"a": 1024.0, "b": 0.5}, True)):
        nodes = [("Add", "a b", "c", {}), ("Sub", "c a", "d", {}), ("Mul", "x d", "y", {})]
        data, x = _stored((nodes, {n: [c] for n, c in constants.items()}, np.array([1.0 + wide])))
        told = _told_by_checker(data, x, 1, "reference", 56)
        assert (told is not None) == exact
        for run in every_run(data, {"x": x}) if told is not None else ():
            assert told[0][0] <= Fraction(float(run[0])) <= told[0][1]
    third, x = _stored(([("Div", "a b", "c", {}), ("Min", "x c", "y", {})], {"a": [1.0], "b": [3.0]}, np.array([1.0])))
    assert _told_by_checker(third, x, 1, "reference", 56) is None


def test_random_layers_of_far_numbers() -> None:
    """Chains of layers with numbers of any size that float32 has: what is said of all runs is true of each."""
    rng = np.random.default_rng(5)
    told, apart = 0, 0
    for _ in range(drawn(150, 30)):
        power = rng.choice([2, 8, 20, 38])
        draw = lambda *shape: np.float32(  # noqa: E731
            np.clip(rng.choice([-1, 1], shape) * 10.0 ** rng.uniform(-power, power, shape), -3e38, 3e38)  # noqa: B023
        )
        nodes, constants, last = [], {}, "x"
        for k in range(int(rng.integers(1, 5))):
            kind, to = str(rng.choice(["MatMul", "Mul", "Add", "Div", "ReduceMean", "Relu", "Conv"])), f"h{k}"
            shape = {"MatMul": (2, 2), "Conv": (2, 2, 1)}.get(kind, (1, 2, 1) if rng.random() < 0.5 else (1,))
            constants[f"c{k}"] = draw(*shape)
            given = last if kind in ("Relu", "ReduceMean") else f"{last} c{k}"
            nodes.append((kind, given, to, {"axes": [2]} if kind == "ReduceMean" else {}))
            if kind == "ReduceMean":
                nodes.append(("Concat", f"{to} {to}", f"{to}c", {"axis": 2}))
            last = nodes[-1][2]
        nodes.append(("Identity", last, "y", {}))
        data, x = model(nodes, (1, 2, 2), 13, constants), draw(1, 2, 2)
        try:
            runs = list(every_run(data, {"x": x}))
            found = _told_of_runs(data, x)
        except InputError:
            continue
        for engine in ("fast", "reference"):
            bounds = _told_by_checker(data, x, runs[0].size, engine, 100)
            for run in runs if bounds is not None else []:
                for value, (low, high) in zip(run.tolist(), bounds, strict=True):
                    assert np.isfinite(value), nodes
                    assert low <= Fraction(value) <= high, nodes
            told += bounds is not None
        for run in runs if found is not None else []:
            low, high, real, error = found
            assert low <= run[0] <= high or (np.isinf(high) and np.isinf(low)), nodes
            assert np.isinf(error) or abs(float(run[0]) - real) <= error, nodes
        apart += len({run.tobytes() for run in runs}) > 1
        told += found is not None
    assert told > 20
    assert apart >= 2


def test_products_over_axes_are_of_any_order() -> None:
    """By hand in float32, what is below the least normal number kept or taken for 0."""
    rng, told, tiny = np.random.default_rng(4), 0, np.finfo(np.float32).tiny
    for _ in range(drawn(60, 24)):
        power, count = rng.choice([1, 8, 15, 30]), int(rng.integers(2, 6))
        x = np.float32(rng.choice([-1, 1], (1, count)) * 10.0 ** rng.uniform(-power, power, (1, count)))
        found = _told_of_runs(model([("ReduceProd", "x", "y", {"axes": [1]})], x.shape, 13, {}), x)
        if found is None:
            continue
        told += 1
        for order in permutations(x.ravel()):
            for least in (np.float32(0), tiny):
                value = np.float32(1)
                for factor in order:
                    value = value * factor
                    value = np.float32(0) if abs(value) < least else value
                assert found[0] <= value <= found[1], order
                assert abs(float(value) - found[2]) <= found[3], order
    assert told > 10


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-9])
def test_a_deviation_may_be_divided_by_the_root_alone(size: float) -> None:
    """The standard adds 1e-9 to it, ONNX Runtime does not."""
    x = np.float32([[[[1, -1], [2, -2]]]]) * np.float32(size)
    data = model([("MeanVarianceNormalization", "x", "y", {"axes": [0, 2, 3]})], x.shape, 13, {})
    found = _told_of_runs(data, x)
    assert found is not None or size < 1e-8
    for run in every_run(data, {"x": x}) if found is not None else ():
        assert found[0] <= run[0] <= found[1]
        assert abs(float(run[0]) - found[2]) <= found[3]
