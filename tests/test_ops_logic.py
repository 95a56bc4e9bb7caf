"""Comparisons, connectives, choices, casts and roundings: exactly ONNX Runtime's at every tie, and what they become."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nnsym as nn
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Max, Pointwise, Product
from nnsym.ir.univariate import Piecewise
from nnsym.read.onnx import load
from nnsym.read.runtime import run
from tests.models import model

node = helper.make_node
F, B, I = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64  # noqa: E741

COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
#: A float32, its neighbours, and what rounds to it.
THIRD = np.float32(1 / 3)
NEAR = [THIRD, np.nextafter(THIRD, np.float32(1)), np.nextafter(THIRD, np.float32(0)), -THIRD, np.float32(0)]


def graph(*nodes: onnx.NodeProto, width: int = 1, inputs: Sequence[str] = ("x",), **constants: Any) -> onnx.ModelProto:
    """Nodes from float inputs ``(width,)`` to ``y``."""
    return model(list(nodes), dict.fromkeys(inputs, (width,)), ["y"], constants)


def same(proto: onnx.ModelProto, *points: Sequence[float]) -> nn.Network:
    """Load a model whose values are those of ONNX Runtime bit by bit at the points, in floats and in rationals."""
    network = load(proto)
    for values in points:
        given = [np.asarray(values[k :: len(network.inputs)], dtype=np.float32) for k in range(len(network.inputs))]
        there = run(network, dict(zip(network.inputs, given, strict=True)))
        for exact in (False, True):
            here = network.evaluate(*(to_fractions(v.astype(float)) if exact else v.astype(float) for v in given))
            for (name, expected), found in zip(
                there.items(), here if isinstance(here, tuple) else (here,), strict=True
            ):
                assert np.asarray(found, dtype=float).tolist() == expected.astype(float).tolist(), (name, values)
    return network


def functions(network: nn.Network) -> list[str]:
    return [n.fn.name for n in network.nodes if isinstance(n, Pointwise)]


def kinds(network: nn.Network) -> list[type]:
    return [type(n) for n in network.nodes]


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_at_the_threshold_and_beside_it(op: str) -> None:
    cast = node("Cast", ["c"], ["y"], to=F)
    points = [[v] for v in NEAR]
    same(graph(node(op, ["x", "t"], ["c"]), cast, t=THIRD), *points)
    same(graph(node(op, ["t", "x"], ["c"]), cast, t=THIRD), *points)
    pairs = [list(p) for p in itertools.product(NEAR[:3], repeat=2)]
    same(graph(node(op, ["x", "z"], ["c"]), cast, inputs=("x", "z")), *pairs)


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_connectives_of_one_variable_are_one_function_and_of_two_have_their_truth_table(op: str) -> None:
    one = node("Greater", ["x", "t"], ["a"])
    alike = graph(one, node("Less", ["x", "u"], ["b"]), node(op, ["a", "b"], ["c"]), node("Cast", ["c"], ["y"], to=F),
                  t=np.float32(-0.5), u=np.float32(0.5))  # fmt: skip
    network = same(alike, *([v] for v in (-1, -0.5, 0, 0.5, 1)))
    assert Product not in kinds(network)
    assert len(functions(network)) <= 1  # one of them is true everywhere
    other = graph(one, node("Less", ["z", "t"], ["b"]), node(op, ["a", "b"], ["c"]), node("Cast", ["c"], ["y"], to=F),
                  inputs=("x", "z"), t=np.float32(0.25))  # fmt: skip
    same(other, *(list(p) for p in itertools.product((0, 0.25, 1), repeat=2)))


def test_not_turns_a_step_round() -> None:
    proto = graph(node("Greater", ["x", "t"], ["a"]), node("Not", ["a"], ["b"]), node("Cast", ["b"], ["y"], to=F),
                  t=np.float32(0.5))  # fmt: skip
    network = same(proto, [0.5], [0.25], [1.0])
    assert len(functions(network)) == 1


def hard_shrink() -> onnx.ModelProto:
    return graph(
        node("Greater", ["x", "h"], ["a"]), node("Less", ["x", "l"], ["b"]), node("Or", ["a", "b"], ["c"]),
        node("Where", ["c", "x", "zero"], ["y"]), h=np.float32(0.5), l=np.float32(-0.5), zero=np.float32(0),
    )  # fmt: skip


def soft_shrink() -> onnx.ModelProto:
    return graph(
        node("Greater", ["x", "h"], ["a"]), node("Sub", ["x", "h"], ["down"]),
        node("Less", ["x", "l"], ["b"]), node("Add", ["x", "h"], ["up"]), node("Where", ["b", "up", "zero"], ["low"]),
        node("Where", ["a", "down", "low"], ["y"]), h=np.float32(0.5), l=np.float32(-0.5), zero=np.float32(0),
    )  # fmt: skip


def threshold() -> onnx.ModelProto:
    return graph(node("Greater", ["x", "t"], ["a"]), node("Where", ["a", "x", "v"], ["y"]),
                 t=np.float32(0.5), v=np.float32(-3))  # fmt: skip


def band() -> onnx.ModelProto:
    return graph(
        node("GreaterOrEqual", ["x", "l"], ["a"]), node("LessOrEqual", ["x", "h"], ["b"]),
        node("And", ["a", "b"], ["c"]), node("Where", ["c", "x", "zero"], ["y"]),
        h=np.float32(0.5), l=np.float32(-0.5), zero=np.float32(0),
    )  # fmt: skip


def masked() -> onnx.ModelProto:
    return graph(node("Greater", ["x", "t"], ["a"]), node("Cast", ["a"], ["m"], to=F), node("Mul", ["x", "m"], ["y"]),
                 t=np.float32(0.25))  # fmt: skip


@pytest.mark.parametrize("make", [hard_shrink, soft_shrink, threshold, band, masked])
def test_what_exporters_write_for_one_function_is_one_function(make: Callable[[], onnx.ModelProto]) -> None:
    network = same(make(), *([v] for v in (-2, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 2)))
    active = [n for n in network.nodes if isinstance(n, (Pointwise, Product, Max))]
    assert len(active) == 1
    assert isinstance(active[0], Pointwise)
    assert isinstance(active[0].fn, Piecewise)


def test_a_breakpoint_whose_value_no_float_holds_is_not_put_together() -> None:
    numbers = {"t": np.float32(0.1), "w": np.float32(1 / 3), "v": np.float32(0)}
    proto = graph(node("GreaterOrEqual", ["x", "t"], ["a"]), node("Mul", ["x", "w"], ["s"]),
                  node("Where", ["a", "s", "v"], ["y"]), **numbers)  # fmt: skip
    network = load(proto)
    at = to_fractions(np.array([float(np.float32(0.1))]))
    w = to_fractions(np.array([float(np.float32(1 / 3))]))
    assert network.evaluate(at).tolist() == (at * w).tolist()


def test_choices_between_computed_values_and_between_constants() -> None:
    points = [list(p) for p in itertools.product((-1.0, 0.25, 0.5), repeat=2)]
    one = node("Greater", ["x", "t"], ["a"])
    same(graph(one, node("Where", ["a", "x", "z"], ["y"]), inputs=("x", "z"), t=np.float32(0.25)), *points)
    same(graph(one, node("Where", ["a", "k", "m"], ["y"]), inputs=("x", "z"), t=np.float32(0.25),
               k=np.float32(0.1), m=np.float32(1 / 3)), *points)  # fmt: skip


def test_choices_by_what_is_put_together_of_two_variables() -> None:
    points = [list(p) for p in itertools.product((-1.0, 0.25, 0.5), repeat=2)]
    first, second = node("Greater", ["x", "t"], ["a"]), node("Less", ["z", "t"], ["b"])
    for op in ("And", "Or", "Xor"):
        nodes = [first, second, node(op, ["a", "b"], ["c"]), node("Not", ["c"], ["n"])]
        for condition in ("c", "n"):
            for branches in (["k", "m"], ["x", "m"], ["k", "z"]):
                proto = graph(*nodes, node("Where", [condition, *branches], ["y"]), inputs=("x", "z"),
                              t=np.float32(0.25), k=np.float32(0.1), m=np.float32(1 / 3))  # fmt: skip
                same(proto, *points)


@pytest.mark.parametrize("op", ["Floor", "Ceil", "Round"])
def test_rounding_at_integers_halves_and_beside_them(op: str) -> None:
    ties = [k / 2 for k in range(-7, 8)]
    beside = [float(np.nextafter(np.float32(v), np.float32(w))) for v in ties for w in (-9, 9)]
    same(graph(node(op, ["x"], ["y"])), *([v] for v in (*ties, *beside, 2.0**24 - 1, -(2.0**23) + 0.5)))


def test_casts() -> None:
    there, back = node("Cast", ["x"], ["c"], to=I), node("Cast", ["c"], ["y"], to=F)
    same(graph(there, back), *([v] for v in (-2.5, -2, -1.5, -0.5, 0, 0.5, 0.999, 1, 1.5, 2.5)))
    same(graph(node("Cast", ["x"], ["c"], to=B), back), [0.0], [-0.0], [1e-30], [-1e-30], [3.0])
    proto = graph(node("Cast", ["x"], ["y"], to=I))
    proto.graph.output[0].type.tensor_type.elem_type = I
    network = load(proto)
    assert network.type_of("y") == "int64"


def test_integers_are_compared_between_the_thresholds() -> None:
    proto = graph(node("Cast", ["x"], ["k"], to=I), node("Greater", ["k", "two"], ["c"]),
                  node("Cast", ["c"], ["y"], to=F), two=np.int64(2))  # fmt: skip
    network = same(proto, *([v] for v in (1.5, 2.0, 2.5, 3.0, 4.0)))
    (step,) = (n.fn for n in network.nodes if isinstance(n, Pointwise) and isinstance(n.fn, Piecewise))
    assert step.breaks.tolist() == [[2.5]]


@pytest.mark.parametrize(("number", "kind"), [(3, I), (-3, I), (2, I)])
def test_remainders_of_integers_have_the_divisors_sign(number: int, kind: int) -> None:
    proto = graph(node("Cast", ["x"], ["k"], to=kind), node("Mod", ["k", "d"], ["m"]), node("Cast", ["m"], ["y"], to=F),
                  d=np.int64(number))  # fmt: skip
    same(proto, *([float(v)] for v in range(-7, 8)))


def test_remainders_of_floats_have_the_sign_of_what_is_divided() -> None:
    same(graph(node("Mod", ["x", "d"], ["y"], fmod=1), d=np.float32(0.75)), *([v / 8] for v in range(-20, 20)))


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("last", [0, 1])
def test_places_of_extremes_with_ties(op: str, last: int) -> None:
    proto = graph(node(op, ["x"], ["k"], axis=0, select_last_index=last), node("Cast", ["k"], ["y"], to=F), width=3)
    same(proto, *itertools.product((0.0, 0.5, 1.0), repeat=3))


def test_arithmetic_that_would_truncate_or_wrap_around_is_refused() -> None:
    cast = node("Cast", ["x"], ["k"], to=TensorProto.INT8)
    with pytest.raises(UnsupportedError, match="rounds or wraps around"):
        load(graph(cast, node("Cast", ["k"], ["y"], to=F)))
    cast = node("Cast", ["x"], ["k"], to=I)
    with pytest.raises(UnsupportedError, match="Div of computed values of type int64"):
        load(graph(cast, node("Div", ["k", "d"], ["y"]), d=np.int64(2)))
    with pytest.raises(InputError, match="NaN or"):
        load(graph(node("Greater", ["x", "t"], ["c"]), node("Cast", ["c"], ["y"], to=F), t=np.float32(np.inf)))


def one_hot(*before: onnx.NodeProto, values: Any, width: int = 1, depth: int = 3, **attributes: int) -> onnx.ModelProto:
    """Nodes from ``x`` to the integers ``k``, and their one-hot rows."""
    hot = node("OneHot", ["k", "depth", "values"], ["h"], **attributes)
    return graph(*before, hot, node("Cast", ["h"], ["y"], to=F), width=width, depth=np.int64([depth]), values=values)


@pytest.mark.parametrize("values", [np.int64([0, 1]), np.float32([0.1, -2.5])])
@pytest.mark.parametrize(("axis", "depth"), [(-1, 3), (0, 1), (1, 2)])
def test_one_hot_rows_count_from_the_end_too_and_are_off_beyond(values: Array, axis: int, depth: int) -> None:
    proto = one_hot(node("Cast", ["x"], ["k"], to=I), values=values, width=2, depth=depth, axis=axis)
    same(proto, *([v, 1.0 - v] for v in (-4, -3, -2.5, -1, -0.5, 0, 0.5, 1, 2, 2.5, 3, 4)))


def test_one_hot_rows_of_a_place_are_steps_of_its_own() -> None:
    place = node("ArgMax", ["x"], ["k"], axis=0)
    same(one_hot(place, values=np.int64([0, 1]), width=3), *itertools.product((0.0, 1.0), repeat=3))
    network = same(one_hot(place, values=np.int64([0, 1]), width=2), *itertools.product((0.0, 1.0), repeat=2))
    (step,) = (n.fn for n in network.nodes if isinstance(n, Pointwise) and n.size == 1)
    assert step.name == "greater"


@pytest.mark.parametrize("kind", [TensorProto.INT32, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16])
def test_integers_that_a_type_holds_for_every_input_are_cast_to_it(kind: int) -> None:
    proto = graph(node("ArgMax", ["x"], ["k"], axis=0), node("Cast", ["k"], ["s"], to=kind),
                  node("Cast", ["s"], ["y"], to=F), width=3)  # fmt: skip
    same(proto, *itertools.product((0.0, 1.0), repeat=3))


def test_casts_to_types_that_may_not_hold_the_numbers_are_refused() -> None:
    place, back = node("ArgMax", ["x"], ["k"], axis=0), node("Cast", ["s"], ["y"], to=F)
    long = graph(place, node("Cast", ["k"], ["s"], to=TensorProto.INT8), back, width=130)
    with pytest.raises(UnsupportedError, match="wraps around"):
        load(long)  # places up to 129
    negative = graph(place, node("Sub", ["k", "one"], ["m"]), node("Cast", ["m"], ["s"], to=TensorProto.UINT8), back,
                     width=3, one=np.int64(1))  # fmt: skip
    with pytest.raises(UnsupportedError, match="wraps around"):
        load(negative)
    with pytest.raises(UnsupportedError, match="wraps around"):
        load(graph(node("Cast", ["x"], ["k"], to=I), node("Cast", ["k"], ["s"], to=TensorProto.INT32), back))
