"""What the benchmarks compare is one model: every route to HiGHS has the same sizes and the same optimum."""

from __future__ import annotations

import numpy as np
import pytest

from nnsym.encode import encode
from nnsym.read.onnx import load as load_network
from nnsym.read.vnnlib import load_vnnlib
from nnsym.registry import find_encoding
from tests.benchmarks.handover import ARRAYS, FLOOR, PYOMO, in_worker, routes
from tests.benchmarks.measure import BenchSpec, measure, table
from tests.benchmarks.models import onnx_model, random_instance, vnnlib_text

SMALL = (6, 8, 8, 3)


def optimum(highs: object) -> tuple[int, float]:
    """Rows and optimum of what a route has loaded."""
    highs.setOptionValue("output_flag", False)  # type: ignore[attr-defined]
    highs.run()  # type: ignore[attr-defined]
    return highs.getNumRow(), highs.getInfo().objective_function_value  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [0, 1])
def test_all_routes_hand_over_the_same_model(seed: int) -> None:
    instance = random_instance(SMALL, radius=0.3, seed=seed)
    found = {}
    for spec in routes(instance):
        value = None
        for step in spec.steps.values():
            value = step(value)
        found[spec.route] = optimum(value)
    rows, least = found[FLOOR]
    program = encode(instance.query, instance.bounds, find_encoding("bigm"))
    assert program.n_binary >= 4
    assert rows == program.n_rows - 1  # the floor writes t = y_0 - y_1 in one row, a program s = y_0 - y_1 and s <= t
    for route, (_, value) in found.items():
        assert value == pytest.approx(least, abs=1e-6), route


def test_the_files_of_the_benchmarks_state_the_same_property() -> None:
    instance = random_instance(SMALL, radius=0.3)
    query = load_vnnlib(
        vnnlib_text(instance.lower, instance.upper, SMALL[-1]).encode(), load_network(onnx_model(instance.layers))
    )
    for x in np.random.default_rng(0).uniform(instance.lower, instance.upper, (5, SMALL[0])):
        assert query.margin(query.values({query.inputs[0]: x})) == pytest.approx(instance.prop.margin(x), rel=1e-4)


def test_times_are_taken_where_they_are_spent() -> None:
    instance = random_instance(SMALL)
    steps = {"build": lambda _: sum(range(1000)), "hand-over": lambda n: None if n == 499500 else 1 / 0}
    (timing,) = measure([BenchSpec(route="sums", steps=steps)], rounds=3)
    assert [len(s) for s in timing.seconds.values()] == [3, 3]
    assert timing.total > 0
    assert timing.median("export") == 0
    handed = in_worker(instance, rounds=1)
    assert set(handed) == {FLOOR, ARRAYS, PYOMO}
    assert all(min(h.inside + h.pipe) > 0 for h in handed.values())
    assert table("t", ("a", "bc"), [("1", "2")]).splitlines() == ["### t", "", "| a | bc |", "| - | -- |", "| 1 | 2  |"]
