"""Witnesses in both formats, judged by a reader that shares nothing with nnsym: zero tolerance, real outputs."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnsym as nn
from nnsym.ask.answer_file import witness_text
from nnsym.errors import UnsupportedError
from nnsym.replay import replay_once
from nnsym.results.result import Result
from nnsym.write.vnnlib_terms import decimal
from tests.test_cli import call, folder
from tests.vnnlib2_files import element, holds
from tests.witness import confirms

__all__ = ["folder"]

TWO = """(vnnlib-version <2.0>)
(declare-network f
  (declare-input x float32 [1,2])
  (declare-hidden h float32 [1,4] "h")
  (declare-output y float32 [1,2])
)
(declare-network g (isomorphic-to f) (declare-input a float32 [1,2]) (declare-output b float32 [1,2]))
(assert (>= x[0,0] 0.1))
(assert (<= x[0,0] 0.3))
(assert (>= x[0,1] -0.7))
(assert (<= x[0,1] 0.7))
(assert (>= a[0,0] -0.6))
(assert (<= a[0,0] 0.3))
(assert (== a[0,1] x[0,1]))
(assert (or (> (* y[0,0] x[0,0]) (+ b[0,0] 0.01)) (< y[0,0] (- b[0,0] 0.01))))
(assert (>= h[0,1] -5.0))
"""


def write_model(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in ((2, 4), (4, 2))]
    nodes = [("MatMul", ["x", "W0"], "h"), ("Relu", ["h"], "r"), ("MatMul", ["r", "W1"], "y")]
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [out]) for op, inputs, out in nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("y", [1, 2]), ("h", [1, 4]))][:1],
        [numpy_helper.from_array(w, f"W{k}") for k, w in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def run(path: Path, x: Any, hidden: bool) -> dict[str, Any]:
    """Outputs and the hidden tensor of a model, by ONNX Runtime alone."""
    import onnx

    model = onnx.load(path)
    if hidden:
        model.graph.output.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 4]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"x": x}), strict=True))


def parse(text: str) -> list[tuple[str, str, list[int], list[str]]]:
    """The variables of a 2.0 witness."""
    word, *lines = text.splitlines()
    assert word == "sat"
    found = []
    while lines:
        match = re.fullmatch(r"(\w+) (\w+) \[([\d,]*)\]", lines.pop(0))
        assert match is not None
        shape = [int(d) for d in match[3].split(",") if d]
        count = int(np.prod(shape))
        found.append((match[1], match[2], shape, lines[:count]))
        assert len(lines) >= count
        lines = lines[count:]
    return found


def test_version_2_replays_with_zero_tolerance(tmp_path: Path) -> None:
    paths = {n: write_model(tmp_path / f"{n}.onnx", k) for k, n in enumerate("fg")}
    spec = tmp_path / "two.vnnlib"
    spec.write_text(TWO, encoding="utf-8")
    query = nn.load_vnnlib(spec, networks=paths)
    result = nn.verify(query, "attack", timeout=60)
    assert result.status == "falsified"
    text = nn.write_witness(query, result, tmp_path / "out.txt").read_text()
    variables = parse(text)
    assert [v[:3] for v in variables] == [
        ("x", "float32", [1, 2]),
        ("h", "float32", [1, 4]),
        ("y", "float32", [1, 2]),
        ("a", "float32", [1, 2]),
        ("b", "float32", [1, 2]),
    ]
    values = {n: np.array(lines, dtype=np.float32).reshape(shape) for n, _, shape, lines in variables}
    first, second = run(paths["f"], values["x"], True), run(paths["g"], values["a"], False)
    for name, expected in (("h", first["h"]), ("y", first["y"]), ("b", second["y"])):
        assert (values[name] == expected).all()
    exact = {element(n, i): Fraction(float(v)) for n, array in values.items() for i, v in np.ndenumerate(array)}
    assert holds(TWO, exact)
    for n, _, shape, lines in variables:  # the text itself is the number, not only after rounding to float32
        assert [Fraction(line) for line in lines] == [Fraction(v) for v in values[n].ravel().tolist()], (n, shape)
        assert not any("e" in line for line in lines)


def test_version_1_is_confirmed_on_real_networks(benchmarks: Path, tmp_path: Path) -> None:
    count = 0
    for line in (benchmarks / "rl_benchmarks" / "instances.csv").read_text().splitlines():
        onnx, spec, _, expected = (part.strip() for part in line.split(","))
        if expected != "sat" or count >= 3:
            continue
        count += 1
        network, path = (benchmarks / "rl_benchmarks" / part for part in (onnx, spec))
        query = nn.load_vnnlib(path, nn.load(network))
        result = nn.verify(query, timeout=60)
        text = nn.write_witness(query, result, tmp_path / "out.txt").read_text()
        assert re.match(r"sat\n\(\(X_0 \S+\)\n( \([XY]_\d+ \S+\)\n)* \(Y_\d+ \S+\)\)\n\Z", text)
        words = re.findall(r"\(X_\d+ (\S+?)\)", text)
        assert confirms(network, path, np.array(words, dtype=np.float32))
    assert count


def test_words_without_a_point() -> None:
    f = nn.zoo.xor() if hasattr(nn.zoo, "xor") else nn.sequential([([[1.0]], [0.0])])
    x = nn.Variable(next(iter(f.inputs.values())).node.size, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=f(x)[0] <= 100)
    assert witness_text(p, nn.verify(p, "crown")) == "unsat\n"
    relaxed = nn.verify(p, "crown", slack="0.5")
    assert witness_text(p, relaxed) == "unknown\n"
    for version, word in (("1.0", "timeout"), ("2.0", "timed-out")):
        late = Result(status=nn.verify(p, "ibp").status.UNKNOWN, reason="timeout", trust=None, method="ibp")
        assert witness_text(p, late, version=version) == f"{word}\n"


def test_networks_from_arrays_and_several_applications() -> None:
    f = nn.sequential([([[1.0, -1.0]], [0.0]), ([[1.0]], [0.0])])
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    p = nn.forall([x, z], where=nn.box(x, 0, 1) & nn.box(z, 0, 1) & (x[0] == z[0]), then=f(x)[0] <= f(z)[0])
    result = nn.verify(p, "smt")
    assert [v[:2] for v in parse(witness_text(p, result))] == [
        ("x", "real"), ("y", "real"), ("z", "real"), ("y__2", "real")
    ]  # fmt: skip
    with pytest.raises(UnsupportedError, match="2 applications"):
        witness_text(p, result, version="1.0")


@pytest.mark.usefixtures("folder")
def test_the_command_line_writes_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for spec, code, word in (("fails.vnnlib", 10, "sat"), ("holds.vnnlib", 0, "unsat")):
        assert call(monkeypatch, "verify", "net.onnx", spec, "--witness", "answer.txt") == code
        text = (tmp_path / "answer.txt").read_text()
        assert text.splitlines()[0] == word
    call(monkeypatch, "verify", "net.onnx", "fails.vnnlib", "--witness", "answer.txt")
    words = re.findall(r"\(X_\d+ (\S+?)\)", (tmp_path / "answer.txt").read_text())
    assert confirms(tmp_path / "net.onnx", tmp_path / "fails.vnnlib", np.array(words, dtype=np.float32))
    assert call(monkeypatch, "export", "net.onnx", "fails.vnnlib", "-o", "again.vnnlib") == 0
    assert call(monkeypatch, "verify", "net.onnx", "again.vnnlib", "--witness", "answer.txt") == 10
    assert (tmp_path / "answer.txt").read_text().startswith("sat\nx real [1,2]\n")


def test_products_of_what_a_stored_model_reads_are_exact(tmp_path: Path) -> None:
    """The cube of 1 + 2^-23 ends in a bit that float64 rounds away: only the rounded one is below the limit."""
    path = write_model(tmp_path / "f.onnx", 1)
    near, cube = decimal(Fraction(1 + 2.0**-23)), decimal(Fraction(1 + 2.0**-23) ** 3)
    text = f"""(vnnlib-version <2.0>)
        (declare-network f (declare-input x float32 [1,2]) (declare-output y float32 [1,2]))
        (assert (== x[0,0] {near})) (assert (== x[0,1] 0.0)) (assert (< (* x[0,0] x[0,0] x[0,0]) {cube}))
        (assert (<= y[0,0] 100.0))
    """
    query = nn.load_vnnlib(text.encode(), path)
    (x,) = query.inputs
    assert replay_once(query, {x: np.array([1 + 2.0**-23, 0.0])}).counterexample is None
