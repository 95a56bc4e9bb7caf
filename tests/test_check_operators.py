"""Operators with arguments drawn at random: the checker's reading of them is that of ONNX Runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_check_readers import forward

from nnsym.check.errors import Refused
from tests.depth import drawn

Rng = np.random.Generator
Arguments = tuple[list[Any], dict[str, Any]]  # "x", "r" = relu(x), or constants (None: left out); attributes


def grid(rng: Rng, *shape: int) -> np.ndarray:
    """float32 of which small models make exact sums."""
    return (rng.integers(-8, 9, shape) / 8).astype(np.float32)


def shape_of(rng: Rng, rank: int) -> tuple[int, ...]:
    return tuple(int(d) for d in rng.integers(1, 5, rank))


def some_axes(rng: Rng, rank: int) -> list[int]:
    """Different axes, some counted from the end."""
    found = rng.permutation(rank)[: rng.integers(1, rank + 1)]
    return [int(a) - rank * int(rng.integers(2)) for a in found]


def windows(rng: Rng, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = {"strides": rng.integers(1, 4, rank).tolist()}
    kind = rng.integers(5)
    if kind < 3:
        found |= {"pads": rng.integers(0, 3, 2 * rank).tolist(), "dilations": rng.integers(1, 3, rank).tolist()}
    else:
        found["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    return found


def convolution(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    rank, group = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    deep, made = int(rng.integers(1, 3)), group * int(rng.integers(1, 3))
    kernel = rng.integers(1, 4, rank).tolist()
    shape = (int(rng.integers(1, 3)), group * deep, *rng.integers(3, 7, rank).tolist())
    bias = [grid(rng, made)] if rng.integers(2) else []
    return shape, (["x", grid(rng, made, deep, *kernel), *bias], {"group": group, **windows(rng, rank)})


def pool(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    rank = int(rng.integers(1, 3))
    shape = (int(rng.integers(1, 3)), 2, *rng.integers(3, 7, rank).tolist())
    kernel = rng.integers(1, 4, rank).tolist()
    more = {"kernel_shape": kernel, "ceil_mode": int(rng.integers(2)), **windows(rng, rank)}
    if "pads" in more:  # runtimes want them to be smaller than the kernel
        more["pads"] = [p % k for p, k in zip(more["pads"], 2 * kernel, strict=True)]
    return shape, (["x"], more)


def average(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    shape, (reads, more) = pool(rng, _)
    more.pop("dilations", None)
    return shape, (reads, {**more, "count_include_pad": int(rng.integers(2))})


def whole(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    return (*shape_of(rng, int(rng.integers(3, 6))),), (["x"], {})


def slices(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    along = some_axes(rng, len(shape))
    starts, ends = (rng.integers(-6, 7, len(along)) for _ in range(2))
    steps = [np.int64(rng.choice([-2, -1, 1, 2, 3], len(along)))] if rng.integers(2) else []
    return ["x", np.int64(starts), np.int64(ends), np.int64(along), *steps], {}


def gather(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    axis = int(rng.integers(-len(shape), len(shape)))
    index = rng.integers(-shape[axis], shape[axis], shape_of(rng, int(rng.integers(0, 3))))
    return ["x", np.int64(index)], {"axis": axis}


def split(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    axis = int(rng.integers(-len(shape), len(shape)))
    first = int(rng.integers(1, shape[axis] + 1))
    lengths = [n for n in (first, shape[axis] - first) if n]
    return ["x", np.int64(lengths)], {"axis": axis, "outputs": len(lengths)}


def concat(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    axis = int(rng.integers(-len(shape), len(shape)))
    other = list(shape)
    other[axis] = int(rng.integers(1, 4))
    return rng.permutation(np.array(["x", grid(rng, *other), "r"], dtype=object)).tolist(), {"axis": axis}


def pad(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    return ["x", np.int64(rng.integers(0, 3, 2 * len(shape))), *([np.float32(1.5)] if rng.integers(2) else [])], {}


def transpose(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    return ["x"], {"perm": rng.permutation(len(shape)).tolist()} if rng.integers(3) else {}


def repeated(rng: Rng, shape: tuple[int, ...]) -> list[int]:
    """A shape that meets another one elementwise."""
    met = [d if rng.integers(2) else 1 for d in shape][int(rng.integers(0, len(shape))) :]
    return [int(rng.integers(1, 3)), *shape] if rng.integers(4) == 0 else met


def expand(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    return ["x", np.int64(repeated(rng, shape))], {}


def reshape(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    kept = int(rng.integers(0, len(shape)))
    rest = int(np.prod(shape[kept:]))
    factor = int(rng.choice([d for d in range(1, rest + 1) if rest % d == 0]))
    wanted = [*([0] * kept if rng.integers(2) else shape[:kept]), factor, rest // factor]
    wanted[int(rng.integers(kept, len(wanted)))] = -1
    return ["x", np.int64(wanted)], {}


def squeeze(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    along = [k - len(shape) * int(rng.integers(2)) for k, d in enumerate(shape) if d == 1]
    return ["x", *([np.int64(along)] if along and rng.integers(2) else [])], {}


def unsqueeze(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    added = int(rng.integers(1, 3))
    places = rng.permutation(len(shape) + added)[:added]
    return ["x", np.int64([p - (len(shape) + added) * rng.integers(2) for p in places])], {}


def extreme(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    """Axes are an attribute in this operator set."""
    return ["x"], {"axes": some_axes(rng, len(shape)), "keepdims": int(rng.integers(2))}


def reduction(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    along = [np.int64(some_axes(rng, len(shape)))] if rng.integers(4) else []
    more = {"noop_with_empty_axes": int(rng.integers(2))} if not along else {}
    return ["x", *along], {"keepdims": int(rng.integers(2)), **more}


def pair(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    """Of two tensors that depend on inputs, or of one and a constant, in either order."""
    other = "r" if rng.integers(2) else grid(rng, *repeated(rng, shape))
    return (["x", other] if rng.integers(2) else [other, "x"]), {}


def several(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    return rng.permutation(np.array(["x", "r", grid(rng, *shape), grid(rng, 1)], dtype=object)).tolist(), {}


def gemm(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    m, n, k = rng.integers(1, 5, 3).tolist()
    turned, flipped, first = (int(v) for v in rng.integers(0, 2, 3))
    left, right = ((k, m) if turned else (m, k)), ((n, k) if flipped else (k, n))
    reads: list[Any] = ["x", grid(rng, *right)] if first else [grid(rng, *left), "x"]
    c = [(), [grid(rng, n)], [grid(rng, m, 1)], [grid(rng, m, n)], [grid(rng, 1)]][rng.integers(5)]
    scales = {"alpha": float(rng.choice([1, 0.5, -2])), "beta": float(rng.choice([1, 0.25, -1]))}
    return (left if first else right), ([*reads, *c], {"transA": turned, "transB": flipped, **scales})


def matmul(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    stack, (m, k, n) = shape_of(rng, int(rng.integers(0, 3))), rng.integers(1, 5, 3).tolist()
    if rng.integers(2):
        return ((*stack, m, k) if rng.integers(4) else (k,)), (
            ["x", grid(rng, k, n) if rng.integers(3) else grid(rng, k)],
            {},
        )
    return ((*stack, k, n) if rng.integers(4) else (k,)), (
        [grid(rng, m, k) if rng.integers(3) else grid(rng, k), "x"],
        {},
    )


def slopes(rng: Rng, shape: tuple[int, ...]) -> Arguments:
    kept = int(rng.integers(0, len(shape)))
    met = [d if rng.integers(2) else 1 for d in shape][kept:]
    return ["x", grid(rng, *met)], {}


def limits(rng: Rng, _: tuple[int, ...]) -> Arguments:
    low = float(rng.integers(-4, 2)) / 4
    ends = [np.float32(low), np.float32(low + rng.integers(1, 5) / 4)]
    return ["x", *(end if rng.integers(3) else None for end in ends)], {}


def normalization(rng: Rng, _: tuple[int, ...]) -> tuple[tuple[int, ...], Arguments]:
    shape = (2, 3, *shape_of(rng, int(rng.integers(0, 3))))
    epsilon = {"epsilon": 0.5} if rng.integers(2) else {}
    return shape, (["x", *(grid(rng, 3) for _ in range(3)), np.abs(grid(rng, 3)) + np.float32(0.5)], epsilon)


KINDS: dict[str, Callable[[Rng, tuple[int, ...]], Any]] = {
    "Conv": convolution, "MaxPool": pool, "AveragePool": average, "Slice": slices, "Gather": gather, "Split": split,
    "Concat": concat, "Pad": pad, "Transpose": transpose, "Expand": expand, "Reshape": reshape, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "ReduceSum": reduction, "ReduceMean": extreme,
    "ReduceMax": extreme, "ReduceMin": extreme, "Add": pair, "Sub": pair, "Mul": pair, "Max": several,
    "Min": several, "Sum": several, "Gemm": gemm, "MatMul": matmul, "PRelu": slopes, "Clip": limits,
    "BatchNormalization": normalization,
    "GlobalAveragePool": whole, "GlobalMaxPool": whole,
    "Flatten": lambda rng, shape: (["x"], {"axis": int(rng.integers(-len(shape), len(shape) + 1))}),
}  # fmt: skip


#: What the checker does not read, because runtimes differ in it.
REFUSED = ("an average over padding with ceil_mode", "backwards beyond its axis", "SAME with dilations")


def network(kind: str, shape: tuple[int, ...], reads: list[Any], more: dict[str, Any]) -> bytes:
    """The operator on x, on relu(x) and on constants; its outputs are y0, y1 ..."""
    stored = {f"c{k}": np.asarray(c) for k, c in enumerate(reads) if not isinstance(c, str) and c is not None}
    names = [c if isinstance(c, str) else "" if c is None else f"c{k}" for k, c in enumerate(reads)]
    outputs = [f"y{k}" for k in range(more.pop("outputs", 1))]
    nodes = [helper.make_node(kind, names, outputs, **more)]
    nodes = [helper.make_node("Relu", ["x"], ["r"]), *nodes] if "r" in names else nodes
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", ends, results, [numpy_helper.from_array(v, n) for n, v in stored.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("kind", [*KINDS])
def test_operators_of_any_arguments_are_those_of_onnx_runtime(kind: str) -> None:
    rng, said = np.random.default_rng(len(kind)), Counter[str]()
    for _ in range(drawn(48, 12)):
        shape = shape_of(rng, int(rng.integers(1, 4)))
        drew = KINDS[kind](rng, shape)
        shape, (reads, more) = drew if isinstance(drew[0], tuple) else (shape, drew)
        data = network(kind, shape, reads, more)
        x = grid(rng, *shape)
        try:
            runs = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})
        except Exception:
            said["no run"] += 1
            continue
        try:
            found = forward(data, x)
        except Refused as refused:
            said[next((reason for reason in REFUSED if reason in str(refused)), str(refused))] += 1
            continue
        for (values, width), run in zip(found, runs, strict=True):
            assert width < 2**-60
            np.testing.assert_allclose(values, run.ravel(), rtol=3e-6, atol=3e-6, err_msg=f"{shape} {reads} {more}")
        said["the same"] += 1
    assert said.keys() <= {"the same", "no run", *REFUSED}
    assert said["the same"] >= 3, said
