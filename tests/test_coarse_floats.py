"""Models of float64 with layers in float32: a cast, or a kernel that has no other; they are read, and said to be so."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from certificates import of_files, verdict
from onnx import TensorProto, helper, numpy_helper

import nnsym as nn
from nnsym.errors import InputError
from nnsym.read.agree import require_agreement
from nnsym.read.runtime import run
from nnsym.results.result import Deployed
from tests.models import model, single

KINDS = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
node = helper.make_node


def chain(*kinds: str, seed: int = 0, bias: float = 0.0) -> onnx.ModelProto:
    """A layer ``relu(x W + b)`` in each type, with casts between them."""
    rng, nodes, constants, last = np.random.default_rng(seed), [], {}, "x"
    for k, kind in enumerate(kinds):
        if k:
            nodes.append(node("Cast", [last], [f"c{k}"], to=KINDS[kind]))
        constants |= {f"W{k}": rng.normal(size=(2, 2)).astype(kind), f"b{k}": np.full((1, 2), bias, kind)}
        nodes.append(node("MatMul", [f"c{k}" if k else last, f"W{k}"], [f"m{k}"]))
        nodes.append(node("Add", [f"m{k}", f"b{k}"], [f"s{k}"]))
        nodes.append(node("Relu", [f"s{k}"], [last := f"r{k}"]))
    ends = [("x", kinds[0]), (last, kinds[-1])]
    ends = [helper.make_tensor_value_info(name, KINDS[kind], [1, 2]) for name, kind in ends]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ORDERS = [k for k in itertools.product(KINDS, repeat=3) if all(b != "float16" for a, b in itertools.pairwise(k))]


@pytest.mark.parametrize("kinds", ORDERS, ids="-".join)
def test_layers_of_any_float_types_are_read_and_compared(kinds: tuple[str, ...]) -> None:
    f = nn.load(chain(*kinds))
    bits = [int(kind.removeprefix("float")) for kind in kinds]
    assert f.dtype == kinds[0]
    assert f.coarse == (f"float{min(bits)}" if min(bits) < bits[0] else "")
    x = nn.Variable((1, 2), name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0, 0] <= 1000)
    assert nn.verify(p, "ibp").deployed is (Deployed.OPEN if f.coarse else Deployed.HOLDS)


@pytest.mark.parametrize("kinds", [("float64", "float32", "float64"), ("float64", "float64", "float64")])
def test_another_network_is_noticed_as_finely_as_its_coarsest_layer_allows(kinds: tuple[str, ...]) -> None:
    f = nn.load(chain(*kinds))
    off = 1e-3 if f.coarse else 1e-10
    require_agreement(f, lambda at: run(f, at), by="itself")
    with pytest.raises(InputError, match="the imported network gives"):
        require_agreement(f, lambda at: {n: v + off for n, v in run(f, at).items()}, by="another")


@pytest.mark.parametrize(
    "proto",
    [
        single("Shrink", (1, 64), opset=13, lambd=1.0, bias=0.5),
        single("Shrink", (1, 64), opset=13, lambd=0.3),
        single("HardSwish", (1, 64), opset=18),
    ],
    ids=["soft", "hard", "hard swish"],
)
@pytest.mark.parametrize("elem", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_kernels_that_know_float32_only(proto: onnx.ModelProto, elem: int) -> None:
    made = model(list(proto.graph.node), {"x": (1, 64)}, elem=elem, opset=proto.opset_import[0].version)
    f = nn.load(made)
    double = elem == TensorProto.DOUBLE
    assert f.coarse == ("float32" if double else "")
    at = np.random.default_rng(3).normal(size=(1, 64)).astype(f.dtype)
    apart = float(np.abs(f.evaluate(at) - run(f, {"x": at})["y"]).max())
    assert not double or 1e-12 < apart < 1e-6  # the reason for all this


@pytest.mark.parametrize(
    ("op", "opset", "shape"),
    [("GroupNormalization", 21, (1, 3, 4)), ("LayerNormalization", 17, (1, 3)), ("RMSNormalization", 23, (1, 3))],
)
def test_statistics_are_computed_in_the_type_that_the_model_names(op: str, opset: int, shape: tuple[int, ...]) -> None:
    """In float32 unless it says otherwise, also of float64: ONNX Runtime's own kernels may be finer."""
    constants = {n: np.float64([1, 2, 3]) for n in ("s", "b")}
    for stash, coarse in ((None, "float32"), (TensorProto.FLOAT, "float32"), (TensorProto.DOUBLE, "")):
        more = {} if stash is None else {"stash_type": stash}
        more |= {"num_groups": 1} if op == "GroupNormalization" else {}
        node = helper.make_node(op, ["x", "s", *["b"] * (op != "RMSNormalization")], ["y"], **more)
        f = nn.load(model([node], {"x": shape}, ("y",), constants, elem=TensorProto.DOUBLE, opset=opset), check=False)
        assert f.coarse == coarse


def absorbing(kinds: str) -> bytes:
    """``relu(x + 2^25) - 2^25``, the identity on reals, in the types of input, sum and output."""
    first, inner = KINDS[kinds.split()[0]], KINDS[kinds.split()[1]]
    large = np.full((1, 1), 2.0**25, kinds.split()[1])
    nodes = [node("Cast", ["x"], ["a"], to=inner), node("Add", ["a", "L"], ["b"]), node("Relu", ["b"], ["c"])]
    nodes += [node("Sub", ["c", "L"], ["d"]), node("Cast", ["d"], ["y"], to=first)]
    ends = [helper.make_tensor_value_info(n, first, [1, 1]) for n in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(large, "L")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize(
    ("kinds", "semantics", "accepted"),
    [
        ("float64 float64", "float64", True),
        ("float64 float32", "float64", False),  # it is false there: every run gives 0
        ("float32 float64", "float64", False),
        ("float64 float32", "real", True),
        ("float32 float32", "real", True),
        ("float32 float32", "float32", False),
    ],
)
def test_the_checker_speaks_of_runs_in_the_types_of_the_file(kinds: str, semantics: str, accepted: bool) -> None:
    """``y >= 1/2`` for x in [0.6, 0.9]."""
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.6))(assert (<= X_0 0.9))"
    made, files = of_files(absorbing(kinds), f"{text}(assert (<= Y_0 0.5))".encode(), [["l"]], semantics=semantics)
    found = verdict(made, "reference", files)
    assert isinstance(found, str) is not accepted, found


def test_the_checker_knows_the_types_that_inputs_declare() -> None:
    """A model without constants, whose type nothing but its input tells."""
    text = b"(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.0))(assert (<= X_0 1.0))"
    text += b"(assert (<= Y_0 -1.0))"
    for name, elem in KINDS.items():
        nodes = [node("Relu", ["x"], ["y"])]
        network = model(nodes, {"x": (1, 1)}, elem=elem).SerializeToString()
        for semantics in ("float32", "float64"):
            made, files = of_files(network, text, [["l"]], semantics=semantics)
            wide = int(name.removeprefix("float")) >= int(semantics.removeprefix("float"))
            assert isinstance(verdict(made, "reference", files), str) is not wide
