"""Forms of VNN-LIB 2.0 beyond float vectors: types, scalars, free dimensions, unused nodes, initial values.

Every query is about a small model of its own; what it asks for is known by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import nnsym as nn
from nnsym.ask.answer_file import witness_text
from nnsym.errors import InputError
from nnsym.read.vnnlib.load import load_vnnlib
from tests.models import model

node = helper.make_node
F, B, L, D, H = (getattr(TensorProto, n) for n in ("FLOAT", "BOOL", "INT64", "DOUBLE", "FLOAT16"))


def typed(proto: onnx.ModelProto, *kinds: int) -> onnx.ModelProto:
    """The model with other types of its outputs."""
    for output, kind in zip(proto.graph.output, kinds, strict=True):
        output.type.tensor_type.elem_type = kind
    return proto


def ask(proto: onnx.ModelProto, declarations: str, *assertions: str, tmp_path: Any) -> tuple[str, list[str]]:
    """The word of a query about one network, and the lines that follow it."""
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    asserted = "\n".join(f"(assert {a})" for a in assertions)
    text = f"(vnnlib-version <2.0>)\n(declare-network N {declarations})\n{asserted}\n"
    query = load_vnnlib(text.encode(), networks={"N": path})
    word, *rest = witness_text(query, nn.verify(query, timeout=30), version="2.0").splitlines()
    return word, rest


BOX = ("(>= X[0] -1.0)", "(<= X[0] 1.0)")
X1 = "(declare-input X float32 [1])"


def cast_twice(kind: int) -> onnx.ModelProto:
    return model([node("Cast", ["x"], ["c"], to=kind), node("Cast", ["c"], ["y"], to=F)], {"x": (1,)})


def comparison(op: str) -> onnx.ModelProto:
    return model([node(op, ["x", "t"], ["c"]), node("Cast", ["c"], ["y"], to=F)], {"x": (1,)}, ["y"],
                 {"t": np.float32([0.5])})  # fmt: skip


def choice() -> onnx.ModelProto:
    return model([node("Less", ["x", "t"], ["c"]), node("Where", ["c", "x", "u"], ["y"])], {"x": (1,)}, ["y"],
                 {"t": np.float32([0.5]), "u": np.float32([-4])})  # fmt: skip


Y1 = X1 + "(declare-output Y float32 [1])"
CASES = [
    (cast_twice(B), ("(== X[0] 0.0)", "(>= Y[0] 0.5)"), "unsat"),
    (cast_twice(B), ("(>= X[0] -0.5)", "(<= X[0] -0.25)", "(>= Y[0] 1.0)"), "sat"),
    (cast_twice(L), ("(>= X[0] -1.75)", "(<= X[0] -1.0)", "(<= Y[0] -1.5)"), "unsat"),
    (cast_twice(L), ("(>= X[0] -1.75)", "(<= X[0] -1.0)", "(<= Y[0] -1.0)"), "sat"),
    (comparison("Equal"), ("(>= X[0] 0.25)", "(<= X[0] 0.75)", "(>= Y[0] 0.5)"), "sat"),
    (comparison("Equal"), ("(>= X[0] 0.5625)", "(<= X[0] 0.75)", "(>= Y[0] 0.5)"), "unsat"),
    (comparison("GreaterOrEqual"), ("(== X[0] 0.5)", "(<= Y[0] 0.5)"), "unsat"),
    (comparison("Greater"), ("(== X[0] 0.5)", "(<= Y[0] 0.5)"), "sat"),
    (choice(), (*BOX, "(>= Y[0] 0.5)"), "unsat"),
    (choice(), (*BOX, "(<= Y[0] -4.0)"), "sat"),
]


@pytest.mark.parametrize(("proto", "assertions", "expected"), CASES)
def test_jumps(proto: onnx.ModelProto, assertions: tuple[str, ...], expected: str, tmp_path: Any) -> None:
    assert ask(proto, Y1, *assertions, tmp_path=tmp_path)[0] == expected


def test_outputs_of_integers_and_truth_values(tmp_path: Any) -> None:
    shape = typed(model([node("Shape", ["x"], ["y"])], {"x": (1, 3)}), L)
    declared = "(declare-input X float32 [1,3]) (declare-output Y int64 [2])"
    box = tuple(f"({c} X[0,{k}] {v})" for k in range(3) for c, v in ((">=", "0.0"), ("<=", "1.0")))
    word, lines = ask(shape, declared, *box, "(>= Y[1] 3)", tmp_path=tmp_path)
    assert word == "sat"
    assert lines[-3:] == ["Y int64 [2]", "1", "3"]
    assert ask(shape, declared, *box, "(>= Y[1] 4)", tmp_path=tmp_path)[0] == "unsat"
    place = typed(model([node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)], {"x": (1, 3)}), L)
    declared = "(declare-input X float32 [1,3]) (declare-output Y int64 [1])"
    assert (
        ask(place, declared, *box, "(>= X[0,2] 0.9)", "(<= X[0,1] 0.5)", "(== Y[0] 1)", tmp_path=tmp_path)[0] == "unsat"
    )
    truth = typed(model([node("Greater", ["x", "t"], ["y"])], {"x": (1,)}, ["y"], {"t": np.float32([0.5])}), B)
    word, lines = ask(truth, X1 + "(declare-output Y bool [1])", *BOX, "(>= X[0] 0.75)", tmp_path=tmp_path)
    assert (word, lines[-2:]) == ("sat", ["Y bool [1]", "1"])
    with pytest.raises(InputError, match="'y' of the model 'N' is int64"):
        ask(place, declared.replace("int64", "float32"), *box, tmp_path=tmp_path)


def test_outputs_of_another_float_type(tmp_path: Any) -> None:
    wide = typed(model([node("Cast", ["x"], ["d"], to=D), node("Add", ["d", "t"], ["y"])], {"x": (1,)}, ["y"],
                       {"t": np.float64([0.1])}), D)  # fmt: skip
    declared = X1 + "(declare-output Y float64 [1])"
    assert ask(wide, declared, *BOX, "(>= Y[0] 1.2)", tmp_path=tmp_path)[0] == "unsat"
    assert ask(wide, declared, *BOX, "(>= Y[0] 1.0)", tmp_path=tmp_path)[0] == "sat"


def test_half_precision(tmp_path: Any) -> None:
    half = model([node("Relu", ["x"], ["r"]), node("Add", ["r", "t"], ["y"])], {"x": (1,)}, ["y"],
                 {"t": np.float16([0.25])}, elem=H)  # fmt: skip
    declared = "(declare-input X float16 [1]) (declare-output Y float16 [1])"
    assert ask(half, declared, *BOX, "(>= Y[0] 1.5)", tmp_path=tmp_path)[0] == "unsat"
    word, lines = ask(half, declared, *BOX, "(>= Y[0] 1.0)", tmp_path=tmp_path)
    assert word == "sat"
    assert float(np.float16(lines[1])) == float(lines[1])


def test_scalars(tmp_path: Any) -> None:
    scalar = model([node("Abs", ["x"], ["y"])], {"x": ()})
    declared = "(declare-input X float32 []) (declare-output Y float32 [])"
    assert ask(scalar, declared, "(>= X -1.0)", "(<= X 0.5)", "(>= Y 1.5)", tmp_path=tmp_path)[0] == "unsat"
    assert ask(scalar, declared, "(>= X -1.0)", "(<= X 0.5)", "(>= Y 0.75)", tmp_path=tmp_path)[0] == "sat"


def test_the_query_fixes_free_dimensions(tmp_path: Any) -> None:
    free = model([node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": ("batch", "length")})
    declared = "(declare-input X float32 [2,2]) (declare-output Y float32 [])"
    box = tuple(f"({c} X[{i},{j}] {v})" for i in (0, 1) for j in (0, 1) for c, v in ((">=", "0.0"), ("<=", "1.0")))
    assert ask(free, declared, *box, "(>= Y 4.5)", tmp_path=tmp_path)[0] == "unsat"
    assert ask(free, declared, *box, "(>= Y 3.5)", tmp_path=tmp_path)[0] == "sat"
    fixed = model([node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": (1, 2)})
    with pytest.raises(InputError, match="declared with shape"):
        ask(fixed, declared, *box, tmp_path=tmp_path)


def test_nodes_that_no_output_depends_on(tmp_path: Any) -> None:
    unused = model([node("Neg", ["x"], ["dead"]), node("Relu", ["x"], ["y"])], {"x": (1,)})
    declared = X1 + '(declare-hidden Z float32 [1] "dead")(declare-output Y float32 [1])'
    assert ask(unused, declared, *BOX, "(>= (+ Z[0] Y[0]) 1.5)", tmp_path=tmp_path)[0] == "unsat"
    assert ask(unused, declared, *BOX, "(>= Z[0] 0.5)", tmp_path=tmp_path)[0] == "sat"


def test_inputs_with_an_initial_value(tmp_path: Any) -> None:
    proto = model([node("Add", ["x", "w"], ["y"])], {"x": (1,), "w": (1,)}, ["y"], {"w": np.float32([3.0])})
    both = "(declare-input X float32 [1]) (declare-input W float32 [1]) (declare-output Y float32 [1])"
    assert ask(proto, both, *BOX, "(== W[0] 1.0)", "(>= Y[0] 2.5)", tmp_path=tmp_path)[0] == "unsat"
    assert ask(proto, Y1, *BOX, "(>= Y[0] 2.5)", tmp_path=tmp_path)[0] == "sat"  # without it, its initial value


def test_an_input_that_an_equation_ties_to_another(tmp_path: Any) -> None:
    proto = model([node("Sub", ["x", "z"], ["y"])], {"x": (1,), "z": (1,)})
    declared = "(declare-input X float32 [1]) (declare-input Z float32 [1]) (declare-output Y float32 [1])"
    assert ask(proto, declared, *BOX, "(== Z[0] (* 2.0 X[0]))", "(>= Y[0] 1.5)", tmp_path=tmp_path)[0] == "unsat"
    assert ask(proto, declared, *BOX, "(== Z[0] (* 2.0 X[0]))", "(>= Y[0] 0.5)", tmp_path=tmp_path)[0] == "sat"


def test_what_the_standard_calls_an_error(tmp_path: Any) -> None:
    relu, other = (model([node(op, ["x"], ["y"])], {"x": (1,)}) for op in ("Relu", "Abs"))
    paths = {"N": tmp_path / "n.onnx", "M": tmp_path / "m.onnx"}
    for path, proto in zip(paths.values(), (relu, other), strict=True):
        path.write_bytes(proto.SerializeToString())
    head = f"(vnnlib-version <2.0>)\n(declare-network N {Y1})\n(declare-network M (isomorphic-to N) "
    second = "(declare-input A float32 [1])(declare-output C float32 [1]))\n(assert (<= X[0] 1.0))\n"
    with pytest.raises(InputError, match="differ in more than weights"):
        load_vnnlib((head + second).encode(), networks=paths)
    equal = (head + second).replace("isomorphic-to", "equal-to").encode()
    with pytest.raises(InputError, match="a model is given for 'M'"):
        load_vnnlib(equal, networks={"N": paths["N"], "M": paths["N"]})
    with pytest.raises(InputError, match="a comparison of two numbers"):
        ask(relu, Y1, *BOX, "(<= 1.0 2.0)", tmp_path=tmp_path)
