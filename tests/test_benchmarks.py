"""What the benchmarks compare is one model: every route to HiGHS has the same sizes and the same optimum."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ours import OURS
from readers import z3_minimum

from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Form
from nnsym.program import Feature
from nnsym.read.onnx import load as load_network
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym_encodings import ENCODINGS
from tests.benchmarks import gallery
from tests.benchmarks.floor_text import numerals, repeated
from tests.benchmarks.floors import FLOORS
from tests.benchmarks.handover import ARRAYS, FLOOR, PYOMO, in_worker, routes
from tests.benchmarks.measure import BenchSpec, measure, table
from tests.benchmarks.models import Instance, instance_of, onnx_model, random_instance, vnnlib_text
from tests.benchmarks.search import groups, instances
from tests.depth import drawn

SMALL = (6, 8, 8, 3)
HERE = {encoding.name: encoding for encoding in gallery.at_hand()}
TEXTS = [name for name, encoding in HERE.items() if encoding.form is Form.BOOLEAN]
LOGICAL = [name for name, encoding in HERE.items() if name not in TEXTS and Feature.IMPLICATIONS in encoding.emits]
LINEAR = [name for name in HERE if name not in {*TEXTS, *LOGICAL}]


def handed_over(specs: Iterable[BenchSpec]) -> dict[str, Any]:
    """What every route ends with."""
    found = {}
    for spec in specs:
        value = None
        for step in spec.steps.values():
            value = step(value)
        found[spec.route] = value
    return found


def least(highs: Any, *, relaxed: bool = False) -> float:
    """The optimum of what a route has loaded."""
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("solve_relaxation", relaxed)
    highs.run()
    return float(highs.getInfo().objective_function_value)


def with_margin(instance: Instance, added: float) -> Instance:
    """The same network with its first output raised."""
    *hidden, (weight, bias) = instance.layers
    raised = bias + added * np.eye(1, len(bias))[0]
    return instance_of((*hidden, (weight, raised)), instance.lower, instance.upper)


@pytest.mark.parametrize("seed", [0, 1])
def test_all_routes_hand_over_the_same_model(seed: int) -> None:
    instance = random_instance(SMALL, radius=0.3, seed=seed)
    found = handed_over(routes(instance))
    program = encode(instance.query, instance.bounds, find_encoding("bigm"))
    assert program.n_binary >= 4
    # the floor writes t = y_0 - y_1 in one row, a program s = y_0 - y_1 and s <= t
    assert found[FLOOR].getNumRow() == program.n_rows - 1
    for route, highs in found.items():
        assert least(highs) == pytest.approx(least(found[FLOOR]), abs=1e-6), route


def test_floors_are_those_of_our_encodings() -> None:
    assert set(FLOORS) <= set(OURS) <= {encoding.name for encoding in ENCODINGS}


@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=pytest.mark.slow) if k in ("partition2", "partition3") else k for k in LINEAR]
)
def test_a_floor_in_highs_has_the_relaxation_and_the_optimum_of_its_encoding(name: str) -> None:
    encoding = find_encoding(name)
    for seed in range(drawn(2, 1)):
        instance = random_instance(SMALL, radius=0.3, seed=seed)
        found = handed_over(gallery.routes(instance, encoding, gallery.door(encoding)))
        assert set(found) == {gallery.FLOOR, gallery.LANE, gallery.PYOMO}
        for relaxed in (True, False):
            optima = [least(highs, relaxed=relaxed) for highs in found.values()]
            assert optima == pytest.approx([optima[0]] * 3, abs=1e-6), (seed, relaxed)


@pytest.mark.parametrize("name", LOGICAL)
def test_a_floor_in_gurobi_has_the_optimum_of_its_encoding(name: str) -> None:
    encoding = find_encoding(name)
    for seed in (0, 1):
        instance = random_instance(SMALL, radius=0.3, seed=seed)
        exact = least(handed_over(routes(instance))[FLOOR])
        for model in handed_over(gallery.routes(instance, encoding, gallery.door(encoding))).values():
            model.optimize()
            assert model.ObjVal == pytest.approx(exact, abs=1e-6)
            assert model.NumGenConstrs if name == "indicator" else model.NumSOS


@pytest.mark.parametrize("name", TEXTS)
def test_a_floor_in_text_has_the_exact_minimum_of_its_encoding(name: str) -> None:
    encoding, instance = find_encoding(name), random_instance((4, 5, 5, 2), radius=0.3)
    margin = least(handed_over(routes(instance))[FLOOR])
    shifted = with_margin(instance, -0.125 - margin)  # both texts ask for a margin of at most 0
    texts = handed_over(gallery.routes(shifted, encoding, gallery.door(encoding)))
    t = re.findall(r"declare-const (x\d+)", texts[gallery.FLOOR])[-1]
    found = z3_minimum(texts[gallery.FLOOR], t), z3_minimum(texts[gallery.LANE], "spec[0].value")
    assert found[0] == pytest.approx(found[1], abs=1e-12)
    assert found[1] == pytest.approx(-0.125, abs=1e-2 if encoding.bits else 1e-6)
    assert (found[1] < -0.1251) == bool(encoding.bits)  # short numbers cost something


@given(st.lists(st.floats(-1e30, 1e30), max_size=9))
def test_a_floor_writes_floats_exactly(values: list[float]) -> None:
    for spell in (numerals, repeated):
        for value, text in zip(values, spell(np.array(values)), strict=True):
            over, *under = map(Fraction, re.findall(r"[0-9.]+", text))
            assert (-1 if "-" in text else 1) * over / (under or [1])[0] == Fraction(value)


@pytest.mark.parametrize(
    "part", ["handover", "rooms", "limits", "encodings", "cuts", "pieces", "relational", "growth", "batch", "peer"]
)
def test_every_part_can_be_asked_for(part: str) -> None:
    assert callable(importlib.import_module(f"tests.benchmarks.{part}").report)


def test_the_files_of_the_benchmarks_state_the_same_property() -> None:
    instance = random_instance(SMALL, radius=0.3)
    query = load_vnnlib(
        vnnlib_text(instance.lower, instance.upper, SMALL[-1]).encode(), load_network(onnx_model(instance.layers))
    )
    for x in np.random.default_rng(0).uniform(instance.lower, instance.upper, (5, SMALL[0])):
        assert query.margin(query.values({query.inputs[0]: x})) == pytest.approx(instance.prop.margin(x), rel=1e-4)


@pytest.mark.slow
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


def test_any_folder_of_the_competition_is_read(tmp_path: Path) -> None:
    """With answers and a header or without, packed or not, less what is not there; few networks have a line each."""
    for name in ("a.onnx.gz", "b.onnx", "p.vnnlib", "q.vnnlib.gz"):
        (tmp_path / name).write_bytes(b"")
    list_of_three = "a.onnx,p.vnnlib,116\nb.onnx, q.vnnlib,30\na.onnx,q.vnnlib,7.5\nc.onnx,p.vnnlib,30\n"
    (tmp_path / "instances.csv").write_text(list_of_three)
    found = list(instances(tmp_path))
    assert [(row.network, row.vnnlib.name, row.seconds, row.known) for row in found] == [
        ("a", "p.vnnlib", 60.0, "unknown"),
        ("b", "q.vnnlib.gz", 30.0, "unknown"),
        ("a", "q.vnnlib.gz", 7.5, "unknown"),
    ]
    assert [(name.split()[-1], len(some)) for name, some in groups(found)] == [("a", 2), ("b", 1)]
    (tmp_path / "instances.csv").write_text("onnx,vnnlib,timeout_s,expected\na.onnx,p.vnnlib,116,unsat\n")
    assert [row.known for row in instances(tmp_path)] == ["unsat"]
