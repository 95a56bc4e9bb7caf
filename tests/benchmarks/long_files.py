"""Long synthetic files, each read in a process of its own: ``python -m tests.benchmarks.long_files [MB]``.

A model of selections and of minima and maxima of pairs, as dense float32 matrices (270 MB), loaded and bounded; and
VNN-LIB files of several kinds, in both versions. CPU seconds, and memory beyond the imports in MB: the most, and
afterwards.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from onnx import helper, numpy_helper

from nnsym.ir.array import Array

_MEASURE = """
import sys, time
import numpy as np, onnx, onnxruntime, torch, nnsym as nn
def memory(key):
    return int(open('/proc/self/status').read().split(key + ':')[1].split()[0]) / 1e3
def timed(what, action):
    open('/proc/self/clear_refs', 'w').write('5')
    start = time.process_time()
    result = action()
    seconds = time.process_time() - start
    print(f"{what}: {seconds:.2f} s, {memory('VmHWM') - base:.0f} MB, then {memory('VmRSS') - base:.0f}", flush=True)
    return result
z = nn.Variable(1, name='z')
nn.verify(nn.forall(z, where=nn.box(z, 0, 1), then=nn.relu(z)[0] <= 2), 'crown')  # what is imported late
base = memory('VmRSS')
"""
_MODEL = """
f = timed('load', lambda: nn.load(sys.argv[1]))
x = nn.Variable((1, 2), name='x')
p = nn.forall(x, where=nn.box(x, -2, 2), then=f(x).ravel()[0] <= 100)
for method in ('ibp', 'crown'):
    timed(method, lambda: nn.verify(p, method, timeout=300))
"""
_TEXT = """
import os
net = nn.load(sys.argv[2])
size = os.path.getsize(sys.argv[1]) / 1e6
timed(f"{sys.argv[1].split('/')[-1]}, {size:.1f} MB", lambda: nn.load_vnnlib(sys.argv[1], net))
"""


def _pairs(values: int, groups: int, sign: float) -> tuple[Array, Array]:
    """Two layers that halve ``groups`` groups of values: ``(a + b) / 2 + sign |a - b| / 2`` of every pair."""
    half = values * groups // 2
    first, second = np.zeros((2 * half, 4 * half), np.float32), np.zeros((4 * half, half), np.float32)
    for k in range(half):
        first[2 * k : 2 * k + 2, 4 * k : 4 * k + 4] = ((1, -1, 1, -1), (1, -1, -1, 1))
        second[4 * k : 4 * k + 4, k] = (0.5, -0.5, 0.5 * sign, 0.5 * sign)
    return first, second


def selections(size: int) -> bytes:
    """The largest of ``size`` minima of ``size`` affine functions of two inputs, as a dense model."""
    random = np.random.default_rng(0)
    chosen = np.concatenate([np.eye(size, dtype=np.float32)[:, random.permutation(size)] for _ in range(size)], axis=1)
    layers = [(random.normal(size=(2, size)).astype(np.float32), False), (chosen, False)]
    for groups, sign in ((size, -1.0), (1, 1.0)):
        values = size
        while values > 1:
            layers += zip(_pairs(values, groups, sign), (True, False), strict=True)
            values //= 2
    nodes, held, last = [], [], "x"
    for number, (weight, active) in zip(count(), layers, strict=False):
        held.append(numpy_helper.from_array(weight, f"W{number}"))
        nodes.append(helper.make_node("MatMul", [last, f"W{number}"], [f"m{number}"]))
        last = f"m{number}"
        if active:
            nodes.append(helper.make_node("Relu", [last], [f"r{number}"]))
            last = f"r{number}"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    ends = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 2]), ("y", [1, 1]))]
    graph = helper.make_graph(nodes, "selections", ends[:1], ends[1:], held)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()
    )


def _filled(head: str, line: Callable[[], str], tail: str, size: float) -> str:
    parts, total = [head], 0
    while total < size:
        parts.append(line())
        total += len(parts[-1])
    return "".join((*parts, tail))


def texts(size: float) -> Iterator[tuple[str, int, int, str]]:
    """``(name, inputs, outputs, text)`` of VNN-LIB files of about ``size`` bytes."""
    random = np.random.default_rng(1)

    def head(n: int, m: int) -> str:
        names = [f"X_{k}" for k in range(n)] + [f"Y_{k}" for k in range(m)]
        return "".join(f"(declare-const {name} Real)\n" for name in names)

    def box(n: int) -> str:
        low = random.uniform(0, 1, n)
        return " ".join(f"(>= X_{k} {v:.10f}) (<= X_{k} {v + 1e-3:.10f})" for k, v in enumerate(low))

    def case(n: int) -> str:
        return f"(and {box(n)} (<= Y_0 {random.uniform(-9, 9):.8f}))\n"

    def inner() -> str:
        return f"(and {box(1)} (or (<= Y_0 {random.uniform(-9, 9):.8f}) (>= Y_0 {random.uniform(9, 19):.8f})))\n"

    def output() -> str:
        return f"(<= Y_{random.integers(5)} {random.uniform(-1, 1):.6f})"

    cases, bound = "(assert (or\n", "(assert (>= X_0 0))(assert (<= X_0 1))\n"
    yield "one-input", 1, 1, _filled(head(1, 1) + cases, lambda: case(1), "))", size)
    yield "inner-or", 1, 1, _filled(head(1, 1) + cases, inner, "))", size)
    yield "11-inputs", 11, 1, _filled(head(11, 1) + cases, lambda: case(11), "))", size)
    yield "outputs", 1, 5, _filled(head(1, 5) + bound, lambda: f"(assert {output()})\n", "", size)
    several = head(1, 5) + bound + cases
    yield "cases", 1, 5, _filled(several, lambda: f"(and {output()} (<= Y_0 Y_1) {output()})\n", "))", size)


def version2(inputs: int, outputs: int, text: str) -> str:
    """A 1.0 text of :func:`texts` in the words of 2.0."""
    body = re.sub(r"\b([XY])_([0-9]+)", r"\1[0,\2]", text[text.index("(assert") :])
    body = re.sub(r"(?<= )([0-9]+)(?=\))", r"\1.0", body)
    declared = f"(declare-input X real [1,{inputs}]) (declare-output Y real [1,{outputs}])"
    return f"(vnnlib-version <2.0>)\n(declare-network f {declared})\n{body}"


def matrix(inputs: int, outputs: int) -> bytes:
    """A model of one dense layer, on a batch of one."""
    weight = numpy_helper.from_array(np.eye(inputs, outputs, dtype=np.float32), "W")
    sizes = (("x", [1, inputs]), ("y", [1, outputs]))
    ends = [helper.make_tensor_value_info(name, 1, shape) for name, shape in sizes]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "W"], ["y"])], "matrix", ends[:1], ends[1:], [weight])
    opsets = [helper.make_opsetid("", 13)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def main(size: float) -> None:
    """Print a line for each step."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "selections.onnx"
        path.write_bytes(selections(64))
        subprocess.run([sys.executable, "-c", _MEASURE + _MODEL, path], check=True)
        for name, inputs, outputs, text in texts(size * 1e6):
            model = Path(folder) / "matrix.onnx"
            model.write_bytes(matrix(inputs, outputs))
            for version, words in (("1.0", text), ("2.0", version2(inputs, outputs, text))):
                path = Path(folder) / f"{name}-{version}.vnnlib"
                path.write_text(words, encoding="utf-8")
                subprocess.run([sys.executable, "-c", _MEASURE + _TEXT, path, model], check=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
