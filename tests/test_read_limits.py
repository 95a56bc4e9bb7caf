"""Limits hold while files are read: seconds, bytes, and what is no file at all."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

import nnsym as nn
from nnsym.errors import InputError, NnsymError, OutOfTimeError, UnsupportedError
from tests.models import f32, model, single

node = helper.make_node
MIB = 2**20
NET = nn.sequential([([[1, -1]], [0])], name="f")
HEAD = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0"))
BOX = "".join(f"(assert (>= X_{k} 0))(assert (<= X_{k} 1))\n" for k in range(2))


def command(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    code = "from nnsym.cli.main import command; command()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, env=environment, timeout=100
    )


def spent() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


@pytest.mark.parametrize("name", ["bomb.onnx.gz", "bomb.vnnlib.gz"])
def test_what_gzip_unpacks_is_counted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b" " * 150 * MIB, 1))
    read = nn.load if "onnx" in name else lambda path, **options: nn.load_vnnlib(path, NET, **options)
    before = time.process_time()
    with pytest.raises(InputError, match=r"bomb.*MiB or more.*reading may use 0\.125 GiB.*--memory"):
        read(tmp_path / name, memory=128 * MIB)
    assert time.process_time() - before < 10
    with pytest.raises(OutOfTimeError, match="--timeout"):
        read(tmp_path / name, timeout=1e-9)


def test_members_padding_and_damage_of_gzip(tmp_path: Path) -> None:
    text = (HEAD + BOX + "(assert (>= Y_0 3))").encode()
    good = gzip.compress(text[:50]) + gzip.compress(text[50:]) + b"\0" * 100
    assert nn.load_vnnlib(good, NET).boxes
    for bad in (good[:-110], gzip.compress(text) + b"rest", gzip.compress(text)[:-4]):
        with pytest.raises(InputError, match="damaged or truncated"):
            nn.load_vnnlib(bad, NET)


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    os.mkfifo(tmp_path / "pipe.vnnlib")
    for path in (tmp_path / "pipe.onnx", Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=r"pipe or a device|folder"):
            nn.load(path)
    for path in (tmp_path / "pipe.vnnlib", Path("/dev/zero"), tmp_path, tmp_path / "a\0b"):
        with pytest.raises(InputError, match=r"pipe or a device|folder|cannot be read"):
            nn.load_vnnlib(path, NET)
    with (tmp_path / "sparse.vnnlib").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="MiB or more"):
        nn.load_vnnlib(tmp_path / "sparse.vnnlib", NET)


def grown(nodes: list, inits: dict | None = None) -> bytes:
    ends = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [1, 2]), ("y", [1, 1]))]
    given = [numpy_helper.from_array(np.asarray(v), k) for k, v in (inits or {}).items()]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], given)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def doubling(op: str, count: int, first: str) -> list:
    names = [first, *(f"c{k}" for k in range(count))]
    extra = {"axis": 1} if op == "Concat" else {}
    return [node(op, [a, a], [b], **extra) for a, b in pairwise(names)]


LARGE = np.array([1, 10**12], dtype=np.int64)
SIZE = np.array([10**12], dtype=np.int64)


@pytest.mark.parametrize(
    "data",
    [
        grown([*doubling("Concat", 60, "x"), node("ReduceSum", ["c59"], ["y"])]),
        grown([*doubling("Concat", 60, "k"), node("Mul", ["x", "c59"], ["y"])], {"k": f32(1, 2)}),
        grown([node("Expand", ["x", "s"], ["y"])], {"s": np.array([10**6, 10**6, 1, 2])}),
        grown([node("Tile", ["x", "s"], ["y"])], {"s": LARGE}),
        grown([node("ConstantOfShape", ["s"], ["k"]), node("Add", ["x", "k"], ["y"])], {"s": SIZE}),
        grown([node("Pad", ["x", "s"], ["y"])], {"s": np.array([0, 10**12, 0, 0])}),
        grown([node("Range", ["a", "b", "c"], ["k"]), node("Add", ["x", "k"], ["y"])], {"a": 0, "b": 10**13, "c": 1}),
        single("Relu", (1, 10**12)).SerializeToString(),
        single("Conv", (1, 1, 3, 3), f32(1, 1, 3, 3), pads=[10**6] * 4).SerializeToString(),
        grown([node("Reshape", ["k", "s"], ["a"]), node("Add", ["a", "k"], ["b"]), node("Mul", ["x", "b"], ["y"])],
              {"k": f32(30_000), "s": np.array([30_000, 1])}),
    ],
    ids=["concat", "constants", "expand", "tile", "constantofshape", "pad", "range", "input", "conv", "broadcast"],
)  # fmt: skip
def test_graphs_that_grow_are_refused_before_they_do(data: bytes) -> None:
    before = time.process_time()
    with pytest.raises(InputError, match=r"about|does not fit|MiB|that are read"):
        nn.load(data, memory=256 * MIB)
    assert time.process_time() - before < 10


def test_functions_that_call_each_other_twice() -> None:
    opset = [helper.make_opsetid("", 13), helper.make_opsetid("own", 1)]
    made = [helper.make_function("own", "f0", ["a"], ["b"], [node("Relu", ["a"], ["b"])], opset)]
    for k in range(1, 50):
        body = [node(f"f{k - 1}", ["a"], ["t"], domain="own"), node(f"f{k - 1}", ["t"], ["b"], domain="own")]
        made.append(helper.make_function("own", f"f{k}", ["a"], ["b"], body, opset))
    proto = model([node("f49", ["x"], ["y"], domain="own")], {"x": [1, 2]})
    proto.opset_import.append(opset[1])
    proto.functions.extend(made)
    with pytest.raises(InputError, match="written out, have"):
        nn.load(proto)


def test_loops_over_constants_are_not_run() -> None:
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Identity", ["v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, []) for n, t in (("i", 7), ("c", 9), ("v", 1))],
        [helper.make_tensor_value_info(n, t, []) for n, t in (("d", 9), ("w", 1))],
    )
    nodes = [node("Loop", ["n", "t", "k"], ["l"], body=body), node("Mul", ["x", "l"], ["y"])]
    data = grown(nodes, {"n": np.array(2**60), "t": np.array(True), "k": np.float32(1)})
    with pytest.raises(UnsupportedError, match="operators with a graph inside"):
        nn.load(data)


@pytest.mark.parametrize("inside", ["a loop", "random numbers", "an outer value"])
def test_a_branch_over_constants_is_not_run(inside: str) -> None:
    """What stands in a branch is no constant: it may never end, differ from run to run, or read the input."""
    out = [helper.make_tensor_value_info("r", 1, [1, 2])]
    loop = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Identity", ["v"], ["w"])],
        "body",
        [helper.make_tensor_value_info(n, t, s) for n, t, s in (("i", 7, []), ("c", 9, []), ("v", 1, [1, 2]))],
        [helper.make_tensor_value_info(n, t, s) for n, t, s in (("d", 9, []), ("w", 1, [1, 2]))],
    )
    constants = {"n": np.int64(2**60), "t": np.True_, "k": np.ones((1, 2), np.float32)}
    held = [node("Constant", [], [n], value=numpy_helper.from_array(np.asarray(v))) for n, v in constants.items()]
    bodies = {
        "a loop": [*held, node("Loop", ["n", "t", "k"], ["r"], body=loop)],
        "random numbers": [node("RandomNormal", [], ["r"], shape=[1, 2])],
        "an outer value": [node("Neg", ["x"], ["r"])],
    }
    branch = helper.make_graph(bodies[inside], "branch", [], out)
    nodes = [node("If", ["t"], ["l"], then_branch=branch, else_branch=branch), node("Mul", ["x", "l"], ["y"])]
    with pytest.raises(UnsupportedError, match="operators with a graph inside are not read"):
        nn.load(grown(nodes, {"t": np.array(True)}), check=False, timeout=5)


@pytest.mark.slow
def test_many_assertions_end_in_time(tmp_path: Path) -> None:
    """Comparisons that no array holds: 300 thousand of them, read word by word."""
    (tmp_path / "n.onnx").write_bytes(single("Gemm", (1, 2), f32(2, 1), f32(1)).SerializeToString())
    text = HEAD + BOX + "(assert (or (>= (* 2 Y_0) 3) (>= (+ X_0 Y_0) 3)))\n" * 300_000
    (tmp_path / "long.vnnlib").write_text(text)
    before = spent()
    said = command("verify", tmp_path / "n.onnx", tmp_path / "long.vnnlib", "--timeout", 4, "--json")
    assert said.returncode == 30, said.stderr
    assert '"reason": "timeout"' in said.stdout
    assert spent() - before < 15
    with pytest.raises(InputError, match=r"its comparisons|the words of it"):
        nn.load_vnnlib(text.encode(), NET, memory=256 * MIB)


def test_errors_are_one_line(tmp_path: Path) -> None:
    proto = single("Gemm", (1, 2), f32(2, 1), f32(1))
    proto.graph.node[0].name, proto.graph.node[0].op_type = "a\nb\x1b[31m", "Nothing"
    (tmp_path / "n.onnx").write_bytes(proto.SerializeToString())
    (tmp_path / "p.vnnlib").write_text(HEAD + BOX + "(assert (>= Y_0 3))")
    said = command("verify", tmp_path / "n.onnx", tmp_path / "p.vnnlib")
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1
    assert "\x1b" not in said.stderr


@pytest.mark.slow
def test_products_of_sums_are_counted() -> None:
    total = "(+ " + " ".join(f"x[{k}]" for k in range(2)) + " 1.0)"
    text = f"""(vnnlib-version <2.0>)(declare-network f (declare-input x real [2]) (declare-output y real [1]))
        (assert (<= (* {" ".join([total] * 70)}) y[0]))"""
    with pytest.raises(NnsymError, match="a product of 65 variables"):
        nn.load_vnnlib(text.encode(), NET)
