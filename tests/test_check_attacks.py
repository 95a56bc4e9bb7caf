"""Certificates and files that somebody made to be believed: read here in one way and there in another, or endless."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import box, certificate, of_files, plain, stated, verdict
from onnx import TensorProto, helper, numpy_helper

from nnsym.check.checker import check
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.check.limits import limited
from nnsym.check.model import read_onnx
from nnsym.check.vnnlib import read_property

X, Y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 2)) for n in "xy")
TEXT = b"""(declare-const X_0 Real) (declare-const X_1 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
(assert (>= X_0 1.0)) (assert (<= X_0 2.0)) (assert (>= X_1 1.0)) (assert (<= X_1 2.0)) (assert (<= Y_0 0.5))
"""


def model(node: Any, opset: int = 13, constants: Any = ()) -> bytes:
    graph = helper.make_graph([node], "g", [X], [Y], [numpy_helper.from_array(np.float32(v), n) for n, v in constants])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(made.SerializeToString())


def field(number: int, data: bytes) -> bytes:
    """A field of bytes in a protobuf message."""
    size = b""
    left = len(data)
    while left > 127:
        size, left = size + bytes([left & 127 | 128]), left >> 7
    return bytes([number << 3 | 2]) + size + bytes([left]) + data


RELU = helper.make_node("Relu", ["x"], ["y"])


def stored(*graphs: bytes) -> bytes:
    """A model with the bytes of its graph, or graphs."""
    empty = helper.make_model(helper.make_graph([], "", [], []), opset_imports=[helper.make_opsetid("", 13)])
    empty.ClearField("graph")
    return bytes(empty.SerializeToString()) + b"".join(field(7, g) for g in graphs)


def test_two_values_of_one_field_are_refused() -> None:
    """Protobuf's own readers take the last of two numbers, and join two messages."""
    ends = helper.make_graph([], "g", [X], [Y]).SerializeToString()
    leaky = helper.make_node("LeakyRelu", ["x"], ["y"])
    alpha = helper.make_attribute("alpha", 0.5).SerializeToString()
    again = alpha + b"\x15" + np.float32(-7).tobytes()  # its field f once more
    values = numpy_helper.from_array(np.float32([1, 2]), "c")
    both = numpy_helper.from_array(np.float32([1, 2]), "c")
    both.float_data.extend([3.0, 4.0])

    def graph(attribute: bytes, constant: Any) -> bytes:
        node = field(1, leaky.SerializeToString() + field(5, attribute))
        return bytes(ends) + node + field(5, constant.SerializeToString())

    assert read_onnx(stored(graph(alpha, values))).ops[0].attributes == {"alpha": 0.5}
    for model_ in (
        stored(graph(again, values)), stored(graph(alpha, both)), stored(graph(alpha, values), graph(alpha, values)),
    ):  # fmt: skip
        with pytest.raises(Refused, match="twice"):
            read_onnx(model_)


@pytest.mark.parametrize("node", [
    helper.make_node("Add", ["x", "c"], ["y"], axis=1, broadcast=1), helper.make_node("Relu", ["x"], ["y"], alpha=0.5),
    helper.make_node("BatchNormalization", ["x", "c", "c", "c", "c"], ["y"], spatial=0),
], ids=["broadcast", "alpha", "spatial"])  # fmt: skip
def test_attributes_that_are_not_read_are_refused(node: Any) -> None:
    made, files = of_files(model(node, constants=[("c", [1, 2])]), TEXT, [["l"]])
    assert f"{node.op_type} 'y'" in str(verdict(made, "reference", files))


def test_old_operator_sets_are_refused() -> None:
    for opset in (1, 6):
        with pytest.raises(Refused, match="operator set"):
            read_onnx(model(RELU, opset))
    assert read_onnx(model(RELU, 7)).ops[0].kind == "Relu"


@pytest.mark.parametrize("text", [
    *(f"; a comment{end}(assert (<= 1 0))\n" for end in ("\u2028", "\x0b", "\x85", "\r", "\x1c")),
    '(assert (<= 1 0))"', "(declare-const X_\u0663 Real)", "(declare-const X_01 Real)",
    "(declare-network f (declare-input x real [2x1]))", "(declare-network f (declare-input x real [-2]))",
])  # fmt: skip
def test_texts_that_others_read_differently_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_property(text)


@pytest.mark.parametrize("data", [
    b'{"a": 1, "a": 2}', b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e99999}', b"[" * 10**6, b'"\xff"',
    '{"a": 1}'.encode("utf-16"), b'{"a": ' + b"9" * 5000 + b"}",
], ids=["names", "nan", "infinity", "exponent", "depth", "bytes", "utf-16", "digits"])  # fmt: skip
def test_json_that_is_no_certificate(data: bytes) -> None:
    with pytest.raises(Refused):
        read_json(data)


GRAPH = plain({"x": [1]}, [["Mul", ["x", "two"], ["y"]]], ["y"], two=[2])
CLAIM = stated(GRAPH, box("x", [1], [3]) + "(assert (<= y[0] 1.5))", {"y": [1]})


@pytest.mark.parametrize(("tree", "more"), [
    ([["x", True, 2], ["l"], ["l"]], {}), ([["l", [[False, 1]]]], {}), ([["l", [[0, True]]]], {}),
    ([["l"]], {"names": [[0.5, "y"]]}), ([["l"]], {"names": [[True, "y"]]}), ([["l"]], {"precision": True}),
    ([["l", [[0, -1]]]], {}), ([["l", [[0, "-1/1"]]]], {}), ([["l", [[0, 1], [0, -2]]]], {}),
    ([["i", 0, 2], ["l"], ["l"]], {}), ([["x", 0, 2], ["l"]], {}), ([["x", 0, 2], ["l"], ["l"], ["l"]], {}),
    ([["l", None, None, None]], {}), ([["x", 0, 2, 2], ["l"], ["l"]], {}), ([["b", [], []], ["l"]], {}), ([[]], {}),
    ([["g", [[-1, 0, "1e1300"]], 0], ["l"], ["l"]], {}), ([["x", 0, "1/0"], ["l"], ["l"]], {}),
])  # fmt: skip
def test_tokens_that_are_nearly_right(tree: Any, more: Any) -> None:
    """The claim is true; what is refused is the way it is said."""
    made = certificate(CLAIM, tree, {"name": "f", "graph": GRAPH}, **more)
    assert not isinstance(verdict(certificate(CLAIM, [["l"]], {"name": "f", "graph": GRAPH}), "fast"), str)
    for engine in ("reference", "fast"):
        assert isinstance(verdict(made, engine), str)


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_the_files_that_are_given_are_what_the_claim_is_about(tmp_path: Path) -> None:
    network, other = model(RELU), model(helper.make_node("Neg", ["x"], ["y"]))
    made, _ = of_files(network, TEXT, [["l"]])
    proof = written(tmp_path, "proof.json", json.dumps(made).encode())
    f, p = written(tmp_path, "f.onnx", network), written(tmp_path, "p.vnnlib", TEXT)
    g, q = written(tmp_path, "g.onnx", other), written(tmp_path, "q.vnnlib", TEXT + b"\n")
    assert "property: SHA-256" in str(check(proof, [f, p]))
    assert check(proof).claim == check(proof, [f]).claim == check(proof, [p]).claim == "unsat"
    for given in ([g], [g, p], [f, q], [f, p, g]):
        with pytest.raises(Refused, match="the claim is not about"):
            check(proof, given)


def test_a_graph_of_its_own_may_not_stand_for_a_network(tmp_path: Path) -> None:
    """It reads the network's file, drops what that says, and proves the property of itself."""
    network = model(helper.make_node("Neg", ["x"], ["y"]))
    graph = plain({"x": [1, 2]}, [
        ["Network", ["x"], ["u"], {"name": "net"}], ["Mul", ["u", "none"], ["v"]], ["Add", ["v", "one"], ["y"]],
    ], ["y"], none=[0], one=[1])  # fmt: skip
    of, _ = of_files(network, TEXT, [["l"]])
    made = of | {"networks": [{"name": "f", "graph": graph}, *of["networks"]]}
    made["networks"][1] = made["networks"][1] | {"name": "net"}
    proof = written(tmp_path, "proof.json", json.dumps(made).encode())
    f, p = written(tmp_path, "f.onnx", network), written(tmp_path, "p.vnnlib", TEXT)
    assert "stated in the certificate" in str(check(proof))
    twice = made | {"networks": [made["networks"][0] | {"sha256": "0" * 64}, made["networks"][1]]}
    with pytest.raises(Refused, match="a graph of its own and the hash of a file"):
        check(written(tmp_path, "twice.json", json.dumps(twice).encode()))
    with pytest.raises(Refused, match="stated in the certificate is none of the files"):
        check(proof, [f, p])


def _declared(name: str, more: str = "") -> str:
    tensors = f"(declare-input x{name} real [1,2])(declare-output y{name} real [1,2])"
    limits = "".join(f"(assert (>= x{name}[0,{k}] 1.0))(assert (<= x{name}[0,{k}] 2.0))" for k in range(2))
    return f"(declare-network {name} {more}{tensors}){limits}"


def test_networks_are_those_that_the_property_names() -> None:
    """Exchanged, each would be called by the name of the other: y of f is at least 1, that of g is not."""
    data = {"f": model(RELU), "g": model(helper.make_node("Neg", ["x"], ["y"]))}
    hashes = {n: hashlib.sha256(d).hexdigest() for n, d in data.items()}
    files = {hashes[n]: d for n, d in data.items()}
    entries = [{"name": n, "sha256": hashes[n]} for n in "fg"]
    text = "(vnnlib-version <2.0>)" + _declared("f") + _declared("g") + "(assert (<= yf[0,0] 0.5))"
    assert "network 'f'" in str(verdict(certificate(text, [["l"]], *entries), None, files))
    false = text.replace("yf[0,0] 0.5", "yg[0,0] 0.5")
    for given in (entries[::-1], [entries[0] | {"name": "g"}, entries[1] | {"name": "f"}], [entries[0], entries[0]]):
        for stated_ in (text, false):
            for engine in ("reference", "fast"):
                assert isinstance(verdict(certificate(stated_, [["l"]], *given), engine, files), str)


def test_names_of_the_old_form_are_names_like_others_in_the_new_one() -> None:
    """X and Y are the second network's own: nobody counts them through the elements of all."""
    graph = plain({"x": [1]}, [["Identity", ["x"], ["y"]]], ["y"])
    tensors = "(declare-input {} real [1])(declare-output {} real [1])"
    text = f"(vnnlib-version <2.0>)(declare-network f {tensors.format('a', 'b')})"
    text += f"(declare-network g (equal-to f) {tensors.format('X', 'Y')})"
    text += box("a", [0], [1]) + box("X", [2], [3])
    for claim, true in (
        ("(<= Y[0] 1.5)", True),
        ("(<= Y[0] 2.5)", False),
        ("(>= b[0] 1.5)", True),
        ("(>= b[0] 0.5)", False),
    ):
        made = certificate(f"{text}(assert {claim})", [["l"]], {"name": "f", "graph": graph})
        for engine in ("reference", "fast"):
            assert isinstance(verdict(made, engine), str) is not true


@pytest.mark.parametrize("sizes", [(1, 3), (3, 1), (2, 2)])
def test_names_of_the_old_form_count_through_all_inputs_and_outputs(sizes: tuple[int, int]) -> None:
    """Every X_k and Y_k has a value of its own; k = 4 is beyond."""
    a, b = sizes
    graph = plain({"u": [a], "v": [b]}, [["Neg", ["u"], ["p"]], ["Neg", ["v"], ["q"]]], ["p", "q"])
    names = "".join(f"(declare-const {c}_{k} Real)" for c in "XY" for k in range(5))
    limits = "".join(f"(assert (<= X_{k} {k + 1}))(assert (>= X_{k} {k + 1}))" for k in range(4))
    for k in range(5):
        for c, sign in (("X", 1), ("Y", -1)):
            for off in (-0.5, 0.5):
                claim = f"(assert ({'<=' if off < 0 else '>='} {c}_{k} {sign * (k + 1) + off}))"
                made = certificate(names + limits + claim, [["l"]], {"name": "f", "graph": graph})
                said = str(verdict(made, "reference"))
                assert ("beyond the network's elements" if k == 4 else "accepted") in said, said


def test_sizes_that_do_not_fit_are_refused() -> None:
    """Of a declared tensor, of an argument of a network, of how many arguments it takes."""
    inner = plain({"a": [2]}, [["Relu", ["a"], ["r"]]], ["r"])
    pair = plain({"a": [2], "b": [3]}, [["Relu", ["a"], ["r"]], ["Relu", ["b"], ["s"]]], ["r", "s"])
    for given, used, reason in (
        (["x"], inner, "accepted"), (["x"], plain({"a": [3]}, [["Relu", ["a"], ["r"]]], ["r"]), "do not fit"),
        (["x", "x"], inner, "damaged"), (["x"], pair, "damaged"), (["x", "x"], pair, "do not fit"),
    ):  # fmt: skip
        outer = plain({"x": [2]}, [["Network", given, ["y"], {"name": "inner"}]], ["y"])
        text = stated(outer, box("x", [1, 1], [2, 2]) + "(assert (<= y[0] 0.5))", {"y": [2]})
        said = str(
            verdict(certificate(text, [["l"]], {"name": "f", "graph": outer}, {"name": "inner", "graph": used}), None)
        )
        assert reason in said, said
    text = stated(inner, box("a", [1, 1], [2, 2]) + "(assert (<= r[0] 0.5))", {"r": [2]})
    for wrong in (
        text.replace("output r real [2]", "output r real [3]"),
        text.replace("output r real [2]", "output r real []"),
    ):
        said = str(verdict(certificate(wrong, [["l"]], {"name": "f", "graph": inner}), None))
        assert "elements, not" in said or "does not fit" in said, said


def test_an_output_does_not_make_whole_numbers_of_an_input() -> None:
    """y is x itself, so that a type of y would be one of x: only x = 1 would be left."""
    graph = plain({"x": [1]}, [["Identity", ["x"], ["y"]]], ["y"])
    text = stated(graph, box("x", [0.5], [1.5]) + "(assert (<= y[0] 0.75))", {"y": [1]})
    tree = [["i", 0, 0], ["l"], ["l"]]
    for kind in ("real", "int8"):
        typed = text.replace("declare-output y real", f"declare-output y {kind}")
        assert isinstance(verdict(certificate(typed, tree, {"name": "f", "graph": graph}), "reference"), str)
    whole = text.replace("declare-input x real", "declare-input x int8")
    assert not isinstance(verdict(certificate(whole, tree, {"name": "f", "graph": graph}), "reference"), str)


@pytest.mark.parametrize("many", ["9" * 400, "1e1200"])
def test_values_beyond_floats_are_told(many: str) -> None:
    """Of a true claim and of a false one."""
    for limit, word in ((1.5, "accepted"), (9, "not positive")):
        text = stated(GRAPH, box("x", [1], [3]) + f"(assert (<= y[0] {limit}))", {"y": [1]})
        made = certificate(text, [["l", [[0, many]]]], {"name": "f", "graph": GRAPH})
        assert word in str(verdict(made, "reference"))
        assert word in str(verdict(made, None))


@pytest.mark.parametrize("engine", ["reference", "fast", None])
def test_squares_are_weighed_in_every_leaf(engine: str | None) -> None:
    """x = 2 meets all of it: no weights of a ball and a strict comparison exclude it."""
    ball = "(assert (<= (* (- x[0] 2) (- x[0] 2)) 0))"
    for limit, true in ((4.5, False), (3.5, True)):
        text = stated(GRAPH, box("x", [1], [3]) + ball + f"(assert (< y[0] {limit}))", {"y": [1]})
        for ball_weight in (0, 1, 8):
            made = certificate(text, [["l", [[0, ball_weight], [1, 1]]]], {"name": "f", "graph": GRAPH})
            assert isinstance(verdict(made, engine), str) or (true and ball_weight == 8), (limit, ball_weight)
    assert not isinstance(verdict(made, engine), str)


def test_names_do_not_write_on_the_terminal() -> None:
    made, files = of_files(model(RELU), TEXT, [["l"]])
    made["networks"][0]["name"] = "f'\x1b[2J\n  network 'g"
    assert str(verdict(made, None, files)).count("\n") == 2
    assert "\x1b" not in str(verdict(made, None, files))


def test_numbers_that_double_without_end_are_refused(tmp_path: Path) -> None:
    nodes = [["Mul", [a, a], [b]] for a, b in zip("xabcdefghijklmnopqrst", "abcdefghijklmnopqrstu", strict=True)]
    nodes += [["Mul", ["u" + k, "u" + k], ["u" + k + "1"]] for k in ("", "1", "11", "111", "1111")]
    nodes += [["Identity", ["u11111"], ["y"]]]
    graph = plain({"x": [1]}, nodes, ["y"])
    text = stated(graph, box("x", [2], [3]) + "(assert (<= y[0] 0))", {"y": [1]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph})
    for engine in ("reference", None):
        with pytest.raises(Refused, match="more than 4096 binary digits"):
            check(written(tmp_path, "p.json", json.dumps(made).encode()), (), engine)


def test_time_and_memory_are_limited(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"0\.05 s"), limited(0.05, 64):
        sum(1 for _ in iter(int, 1))
    with limited(0.05, 64):
        pass
    with pytest.raises(Refused, match="GiB"), limited(9, 64):
        raise MemoryError
    bomb = written(tmp_path, "bomb.json.gz", gzip.compress(b'{"a":"' + b" " * (1 << 22) + b'"}'))
    with pytest.raises(Refused):
        check(bomb)
    inside: list[Any] = []
    thread = threading.Thread(target=lambda: inside.append(limited(1, 1).__enter__()))
    thread.start()
    thread.join()
    assert inside == [None]
