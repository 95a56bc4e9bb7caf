"""A sample of what a suite of the VNN-LIB standard asks: ``nnsym-vnnlib`` on one small query of each kind.

The kinds are those of the peer suite that ``make satisfactory`` runs whole: one for each operator, for each theory of
arithmetic, for hidden values and for several networks. Each has a query that a point answers, which is run through ONNX
Runtime here, and one that none does; what the largest value is, is known by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nnsym.cli import vnnlib
from nnsym.read.runtime import Session
from tests.models import model, single

node = helper.make_node
F = TensorProto.FLOAT
PAIR = (1, 2)  # X, in [-1, 1] each
IMAGE = (1, 1, 2, 2)


def cast(*nodes: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    """Nodes that end in ``c``, a truth value, as numbers."""
    return model([*nodes, node("Cast", ["c"], ["y"], to=F)], {"x": PAIR}, ["y"], constants)


HALF = np.float32([0.5])
#: Kind: the model, the shapes of X and Y, the place of Y that is asked about and its largest value over the box.
KINDS: dict[str, tuple[onnx.ModelProto, tuple[int, ...], tuple[int, ...], float]] = {
    "add": (single("Add", PAIR, np.float32([1, 2])), PAIR, (1, 2), 2.0),
    "batchnormalization": (
        single("BatchNormalization", PAIR, *(np.float32(v) for v in ([2, 1], [1, 0], [0, 0], [1, 1])), epsilon=0.0),
        *(PAIR, (1, 2), 3.0),
    ),
    "cast": (cast(node("Cast", ["x"], ["c"], to=TensorProto.BOOL)), PAIR, (1, 2), 1.0),
    "concat": (model([node("Concat", ["x", "x"], ["y"], axis=1)], {"x": PAIR}), PAIR, (1, 4), 1.0),
    "constant": (
        model([node("Constant", [], ["k"], value_float=3.0), node("Mul", ["x", "k"], ["y"])], {"x": PAIR}),
        *(PAIR, (1, 2), 3.0),
    ),
    "constantofshape": (
        model(
            [node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["k"]), node("Sub", ["x", "k"], ["y"])],
            {"x": PAIR},
        ),
        *(PAIR, (1, 2), 1.0),
    ),
    "conv": (single("Conv", IMAGE, np.ones((1, 1, 2, 2), np.float32)), IMAGE, (1, 1, 1, 1), 4.0),
    "div": (single("Div", PAIR, np.float32([4, 2])), PAIR, (1, 2), 0.25),
    "equal": (cast(node("Equal", ["x", "h"], ["c"]), h=HALF), PAIR, (1, 2), 1.0),
    "expand": (single("Expand", PAIR, np.int64([2, 2])), PAIR, (2, 2), 1.0),
    "flatten": (single("Flatten", IMAGE), IMAGE, (1, 4), 1.0),
    "gather": (single("Gather", PAIR, np.int64([1]), axis=1), PAIR, (1, 1), 1.0),
    "gemm": (single("Gemm", PAIR, np.float32([[1], [-2]]), HALF), PAIR, (1, 1), 3.5),
    "matmul": (single("MatMul", PAIR, np.float32([[1, 0], [1, 1]])), PAIR, (1, 2), 2.0),
    "maxpool": (single("MaxPool", IMAGE, kernel_shape=[2, 2]), IMAGE, (1, 1, 1, 1), 1.0),
    "mul": (model([node("Mul", ["x", "x"], ["y"])], {"x": PAIR}), PAIR, (1, 2), 1.0),
    "neg": (single("Neg", PAIR), PAIR, (1, 2), 1.0),
    "pow": (single("Pow", PAIR, np.float32(3)), PAIR, (1, 2), 1.0),
    "reducemean": (single("ReduceMean", PAIR, np.int64([1])), PAIR, (1, 1), 1.0),
    "reducesum": (single("ReduceSum", PAIR, np.int64([1])), PAIR, (1, 1), 2.0),
    "relu": (single("Relu", PAIR), PAIR, (1, 2), 1.0),
    "reshape": (single("Reshape", PAIR, np.int64([2, 1])), PAIR, (2, 1), 1.0),
    "sigmoid": (single("Sigmoid", PAIR), PAIR, (1, 2), float(1 / (1 + np.exp(-1.0)))),
    "slice": (single("Slice", PAIR, *map(np.int64, ([1], [2], [1]))), PAIR, (1, 1), 1.0),
    "softmax": (single("Softmax", PAIR, axis=1), PAIR, (1, 2), float(1 / (1 + np.exp(-2.0)))),
    "split": (
        model([node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2), node("Sub", ["a", "b"], ["y"])], {"x": PAIR}),
        *(PAIR, (1, 1), 2.0),
    ),
    "sub": (single("Sub", PAIR, np.float32([-1, 0])), PAIR, (1, 2), 2.0),
    "transpose": (single("Transpose", PAIR, perm=[1, 0]), PAIR, (2, 1), 1.0),
    "unsqueeze": (single("Unsqueeze", PAIR, np.int64([0])), PAIR, (1, 1, 2), 1.0),
    "where": (
        model(
            [node("Less", ["x", "h"], ["c"]), node("Where", ["c", "x", "k"], ["y"])],
            {"x": PAIR},
            ["y"],
            {"h": HALF, "k": np.float32([-4])},
        ),
        *(PAIR, (1, 2), 0.5),
    ),
}  # fmt: skip


def indices(shape: tuple[int, ...]) -> list[str]:
    return [",".join(map(str, index)) for index in np.ndindex(shape)]


def box(name: str, shape: tuple[int, ...]) -> str:
    return "\n".join(f"(assert (>= {name}[{i}] -1.0)) (assert (<= {name}[{i}] 1.0))" for i in indices(shape))


Answer = Callable[..., list[str]]


@pytest.fixture
def answer(tmp_path: Path) -> Answer:
    """What the command prints of a query, called as the suite calls it; it would take over this process' output."""

    def asked(text: str, **networks: onnx.ModelProto) -> list[str]:
        (tmp_path / "query.vnnlib").write_text(f"(vnnlib-version <2.0>)\n{text}\n", encoding="utf-8")
        words = ["verify", str(tmp_path / "query.vnnlib"), "--timeout", "30.0"]
        for name, proto in networks.items():
            onnx.save(proto, tmp_path / f"{name}.onnx")
            words += ["--network", f"{name}={tmp_path / name}.onnx"]
        given = vnnlib._parser().parse_args(words)
        return vnnlib._decided(given, vnnlib._networks(given.network), given.timeout).splitlines()

    return asked


def declared(name: str, kind: str, shape: tuple[int, ...]) -> str:
    return f"(declare-{kind} {name} float32 [{','.join(map(str, shape))}])"


@pytest.mark.parametrize("kind", KINDS)
def test_operators(kind: str, answer: Answer) -> None:
    proto, takes, gives, most = KINDS[kind]
    head = f"(declare-network N {declared('X', 'input', takes)} {declared('Y', 'output', gives)})\n{box('X', takes)}\n"
    least = f"(>= Y[{indices(gives)[0]}] {{}})"
    assert answer(head + f"(assert {least.format(most + 0.03125)})", N=proto) == ["unsat"]
    below = round(most - 0.03125, 4)
    word, *lines = answer(head + f"(assert {least.format(below)})", N=proto)
    assert word == "sat"
    count = int(np.prod(takes))
    x = np.float32([float(v) for v in lines[1 : 1 + count]]).reshape(takes)
    assert np.abs(x).max() <= 1
    assert float(np.ravel(Session(proto.SerializeToString()).run({"x": x})["y"])[0]) >= below


LAYER = single("Gemm", PAIR, np.float32([[1, -1], [1, 1]]))  # (x0 + x1, x1 - x0)
DECLARED = f"(declare-network N {declared('X', 'input', PAIR)} {declared('Y', 'output', PAIR)})\n{box('X', PAIR)}\n"

#: Theory of arithmetic: what has a point, and what has none, of ``Y = (X0 + X1, X1 - X0)``.
ARITHMETIC = {
    "bnd": ("(>= Y[0,0] 1.5)", "(>= Y[0,0] 2.5)"),
    "outc": ("(> Y[0,0] Y[0,1])", "(and (> Y[0,0] Y[0,1]) (<= X[0,0] 0.0))"),
    "lin": ("(>= (+ Y[0,0] (* 2.0 Y[0,1])) 3.5)", "(>= (+ Y[0,0] (* 2.0 Y[0,1])) 4.5)"),
    "poly": ("(>= (* X[0,0] X[0,1]) 0.75)", "(and (>= (* X[0,0] X[0,1]) 0.75) (<= Y[0,0] 0.5) (>= X[0,0] 0.0))"),
    "or": ("(or (>= Y[0,0] 3.0) (<= Y[0,1] -1.5))", "(or (>= Y[0,0] 3.0) (<= Y[0,1] -2.5))"),
}


@pytest.mark.parametrize("theory", ARITHMETIC)
def test_arithmetic(theory: str, answer: Answer) -> None:
    has, has_not = ARITHMETIC[theory]
    assert answer(f"{DECLARED}(assert {has})", N=LAYER)[0] == "sat"
    assert answer(f"{DECLARED}(assert {has_not})", N=LAYER) == ["unsat"]


def test_hidden_values_and_several_ends(answer: Answer) -> None:
    deep = model([node("Neg", ["x"], ["h"]), node("Relu", ["h"], ["y"])], {"x": PAIR})
    ends = declared("X", "input", PAIR), '(declare-hidden H float32 [1,2] "h")', declared("Y", "output", PAIR)
    head = f"(declare-network N {' '.join(ends)})\n{box('X', PAIR)}\n"
    word, *lines = answer(f"{head}(assert (<= H[0,0] -0.5))", N=deep)
    assert (word, [line.split()[0] for line in lines if " " in line]) == ("sat", ["X", "H", "Y"])
    assert answer(f"{head}(assert (and (<= H[0,0] -0.5) (>= Y[0,0] 0.25)))", N=deep) == ["unsat"]
    sums = model([node("Add", ["a", "b"], ["s"]), node("Sub", ["a", "b"], ["d"])], {"a": (1,), "b": (1,)}, ["s", "d"])
    kinds = (("A", "input"), ("B", "input"), ("S", "output"), ("D", "output"))
    head = (
        f"(declare-network N {' '.join(declared(*end, (1,)) for end in kinds)})\n{box('A', (1,))}\n{box('B', (1,))}\n"
    )
    assert answer(f"{head}(assert (and (>= S[0] 1.0) (>= D[0] 0.75)))", N=sums)[0] == "sat"
    assert answer(f"{head}(assert (and (>= S[0] 1.25) (>= D[0] 1.0)))", N=sums) == ["unsat"]


#: How a second network is related, how many models are given, and whether the two can differ on one input.
RELATED = [("", 2, True), ("(isomorphic-to N)", 2, True), ("(equal-to N)", 1, False)]


@pytest.mark.parametrize(("related", "given", "differ"), RELATED)
def test_several_networks(related: str, given: int, differ: bool, answer: Answer) -> None:
    other = single("Gemm", PAIR, np.float32([[1, -1], [1, 2]]))
    ends = f"{declared('A', 'input', PAIR)} {declared('B', 'output', PAIR)}"
    tied = (
        f"(declare-network M {related} {ends})\n{box('A', PAIR)}\n(assert (and (== A[0,0] X[0,0]) (== A[0,1] X[0,1])))"
    )
    models = dict(list({"N": LAYER, "M": other}.items())[:given])
    head = DECLARED.replace("\n", f"\n{tied.splitlines()[0]}\n", 1) + "\n".join(tied.splitlines()[1:])
    found = answer(f"{head}\n(assert (>= (- B[0,1] Y[0,1]) 0.5))", **models)
    assert found[0] == ("sat" if differ else "unsat")
    assert answer(f"{head}\n(assert (>= (- B[0,0] Y[0,0]) 0.5))", **models) == ["unsat"]
