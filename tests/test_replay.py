"""Replay: casting inward, running the stored model, and never confirming what does not violate exactly."""

from fractions import Fraction

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from nnsym import Variable, box, forall, verify
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms, InBox, conjunction
from nnsym.ir.network import Network
from nnsym.ir.node import Input, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.read.arrays import sequential
from nnsym.read.onnx import load
from nnsym.replay import Outcome, confirm, replay, replay_once
from nnsym.replay.points import cast_inward
from nnsym.results.result import Agreement
from tests.models import single

FLOAT32 = np.float32


def query_below(network: Network, box: Box, threshold: object, *, strict: bool = False) -> tuple[Query, Input]:
    """Violation: output 0 <= threshold (or <)."""
    x = new_input("x", len(box.lower))
    applied = network.apply((x,))
    rows = Rows.of(applied.output(next(iter(network.outputs)))).take(np.array([0])) - Rows.constants([threshold])
    atom = Atoms(np.array([0]), strict=strict, soft=True)
    return Query("below", {x: box}, rows, atom, (applied,)), x


def stored(weight: float, bias: float) -> Network:
    """y = relu(weight * x + bias) as a float32 ONNX model."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "W", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [
            numpy_helper.from_array(np.array([[weight]], FLOAT32), "W"),
            numpy_helper.from_array(np.array([bias], FLOAT32), "b"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return load(model)


@given(
    st.floats(-1e6, 1e6), st.fractions(-1000, 1000, max_denominator=10**6), st.fractions(0, 10, max_denominator=10**6)
)
@settings(max_examples=200, deadline=None)
def test_cast_inward_stays_in_the_exact_box(value: float, lower: Fraction, width: Fraction) -> None:
    box = Box(np.array([lower], dtype=object), np.array([lower + width], dtype=object))
    for dtype in ("float32", "float64"):
        cast = cast_inward(np.array([value]), box, dtype, np.array([False]))
        if cast is not None:
            assert cast.dtype == dtype
            assert lower <= Fraction(float(cast[0])) <= lower + width


def test_cast_inward_has_no_answer_where_no_float_fits() -> None:
    third = Fraction(1, 3)
    box = Box(np.array([third], dtype=object), np.array([third + Fraction(1, 10**12)], dtype=object))
    assert cast_inward(np.array([1 / 3]), box, "float32", np.array([False])) is None


def test_confirmed_by_onnxruntime_in_float32() -> None:
    query, x = query_below(stored(1.0, 0.5), Box(np.array([-1.0]), np.array([1.0])), 0.25)
    found = replay_once(query, {x: np.array([-0.4])})
    assert found.outcome is Outcome.CONFIRMED
    assert found.counterexample is not None
    assert found.counterexample.replayed_by == "onnxruntime"
    assert found.counterexample.inputs["x"].dtype == FLOAT32
    assert found.counterexample.inputs["x"].shape == (1, 1)
    assert found.counterexample.outputs["y"].item() == pytest.approx(0.1, abs=1e-6)
    assert found.counterexample.margin == found.margin < 0


def test_not_confirmed_where_the_property_holds() -> None:
    query, x = query_below(stored(1.0, 0.5), Box(np.array([0.0]), np.array([1.0])), 0.25)
    assert replay(query, {x: np.array([0.0])}).outcome is Outcome.SPURIOUS


def test_a_candidate_outside_the_box_is_moved_into_it() -> None:
    query, x = query_below(stored(1.0, 0.5), Box(np.array([-0.2]), np.array([1.0])), 0.25)
    assert replay(query, {x: np.array([-0.4])}).outcome is Outcome.SPURIOUS


def test_a_point_that_only_one_of_the_two_functions_violates_is_named() -> None:
    """Above 2^24 float32 skips odd integers, so sums of the stored model round where real ones do not."""
    network = stored(float(2**24), 1.0)
    query, x = query_below(network, Box(np.array([1.0]), np.array([1.0])), float(2**24), strict=False)
    # Float32: 2^24 + 1 rounds to 2^24, which is <= 2^24; reals give 2^24 + 1 > 2^24.
    found = replay_once(query, {x: np.array([1.0])})
    assert (found.outcome, found.deployed, found.margin) == (Outcome.BOUNDARY, True, 1.0)
    above = stored(float(2**24), -1.0)  # reals: 2^24 - 1; float32 the same
    query, x = query_below(above, Box(np.array([1.0]), np.array([1.0])), float(2**24) - 1.5)
    found = replay_once(query, {x: np.array([1.0])})
    assert (found.outcome, found.deployed) == (Outcome.SPURIOUS, False)
    rounded = stored(float(2**24), 3.0)  # reals: 2^24 + 3; float32 rounds to even: 2^24 + 4
    query, x = query_below(rounded, Box(np.array([1.0]), np.array([1.0])), float(2**24) + 3)
    found = replay_once(query, {x: np.array([1.0])})
    assert (found.outcome, found.deployed, found.margin) == (Outcome.CONFIRMED, False, 0.0)
    assert found.counterexample is not None
    assert found.counterexample.engine is Agreement.DIFFERS
    assert found.counterexample.outputs["y"].item() == 2**24 + 3  # of the function that the verdict speaks of


def test_a_box_without_a_number_of_the_dtype_is_decided_in_rationals() -> None:
    tenth = np.array([Fraction(1, 10)], dtype=object)
    query, x = query_below(stored(1.0, 0.5), Box(tenth, tenth), Fraction(6, 10))
    found = replay_once(query, {x: np.array([0.1])})
    assert (found.outcome, found.margin) == (Outcome.CONFIRMED, 0.0)
    assert found.counterexample is not None
    assert found.counterexample.inputs["x"].item() == Fraction(1, 10)
    assert found.counterexample.engine is Agreement.NOT_RUN
    assert "no float32 number" in found.counterexample.note
    above, x = query_below(stored(1.0, 0.5), Box(tenth, tenth), Fraction(6, 10), strict=True)
    assert replay_once(above, {x: np.array([0.1])}).outcome is Outcome.SPURIOUS


def test_a_run_that_overflows_is_no_point_of_the_real_function() -> None:
    query, x = query_below(stored(3e38, 3e38), Box(np.array([1.0]), np.array([1.0])), 7e38)
    found = replay_once(query, {x: np.array([1.0])})  # reals: 6e38 <= 7e38; float32: infinity, which is not
    assert (found.outcome, found.deployed) == (Outcome.CONFIRMED, False)
    assert found.counterexample is not None
    assert found.counterexample.engine is Agreement.DIFFERS


def test_networks_from_arrays_are_replayed_exactly() -> None:
    network = sequential([([[0.1, 0.2]], [0.0])])
    total = Fraction(0.1) + Fraction(0.2)
    box = Box(np.zeros(2), np.ones(2))
    query, x = query_below(network, box, total)
    at_one = {x: np.ones(2)}
    found = replay_once(query, at_one)
    assert found.outcome is Outcome.CONFIRMED
    assert found.counterexample is not None
    assert found.counterexample.replayed_by == "exact"
    assert found.counterexample.margin == 0.0
    strict, x = query_below(network, Box(np.ones(2), np.ones(2)), total, strict=True)
    assert replay_once(strict, {x: np.ones(2)}).outcome is Outcome.SPURIOUS


def test_polish_finds_a_violation_next_to_a_bad_candidate() -> None:
    query, x = query_below(stored(1.0, 0.5), Box(np.array([-1.0]), np.array([1.0])), 0.25)
    assert replay(query, {x: np.array([0.9])}).outcome is Outcome.CONFIRMED


def test_polish_respects_hard_leaves() -> None:
    query, x = query_below(stored(1.0, 0.5), Box(np.array([-1.0]), np.array([1.0])), 0.25)
    inside = InBox(x, np.array([0.0]), np.array([1.0]))
    narrowed = Query("hard", query.boxes, query.rows, conjunction(query.formula, inside), query.applications)
    assert replay(narrowed, {x: np.array([0.9])}).outcome is Outcome.SPURIOUS


def test_confirm_stops_at_the_first_violation_and_keeps_the_least_margin() -> None:
    query, x = query_below(stored(1.0, 0.5), Box(np.array([-1.0]), np.array([1.0])), 0.25)
    found = confirm(query, [{x: np.array([v])} for v in (0.5, 0.0, -0.3, -1.0)])
    assert (found.outcome, found.margin) == (Outcome.CONFIRMED, pytest.approx(-0.05, abs=1e-6))
    none = confirm(query, [{x: np.array([v])} for v in (0.5, 0.0)])
    assert (none.outcome, none.margin) == (Outcome.SPURIOUS, 0.25)
    assert confirm(query, []).margin == np.inf


def test_a_tie_of_a_smooth_function_is_within_rounding_and_no_fault_of_anybody() -> None:
    """No rationals are had of a sigmoid: intervals decide up to their width, and what they leave open is said so."""
    sigmoid = sequential([([[1.0]], [0.0]), ([[1.0]], [0.0])], activation="sigmoid")
    value = float(sigmoid.evaluate(np.array([0.5]))[0])
    for network in (sigmoid, load(single("Sigmoid", (1, 1)))):
        for away, outcome in ((-1e-5, Outcome.SPURIOUS), (0.0, Outcome.UNDECIDED), (1e-5, Outcome.CONFIRMED)):
            query, x = query_below(network, Box(np.array([0.5]), np.array([0.5])), value + away)
            assert replay_once(query, {x: np.array([0.5])}).outcome is outcome
        variable = Variable(1, name="x")
        tied = forall(variable, where=box(variable, 0.5, 0.5), then=network(variable).reshape(-1)[0] > value)
        assert verify(tied, "attack", timeout=5).reason == "within_rounding"
