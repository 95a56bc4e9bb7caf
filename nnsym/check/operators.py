"""Operators of ONNX as the graph's three kinds of nodes; what only moves elements is one choice of indices.

Every operator takes the call (its arguments, attributes and the graph) and returns its outputs. Constants are folded
exactly. Axes and shapes count as in ONNX, tensors are flat in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import isqrt, prod
from typing import Any

from .errors import need
from .functions import Function, Sigmoid, Square, clip, leaky, relu, sign
from .graph import Graph, Map, Value, exact
from .model import Const

Tensor = Any  # Value or Const


@dataclass
class Call:
    """One use of an operator."""

    graph: Graph
    name: tuple[int, str]  # the network and the first output
    arguments: list[Tensor | None]
    attributes: dict[str, Any]
    outputs: int = 1

    def get(self, place: int, name: str = "", default: Any = None) -> Any:
        """An argument that older versions give as an attribute: a constant's values as a list."""
        if len(self.arguments) > place and self.arguments[place] is not None:
            found = self.arguments[place]
            need(isinstance(found, Const), f"argument {place + 1} depends on inputs")
            return list(found.values)
        return self.attributes.get(name, default)

    def axis(self, rank: int, default: int = 0) -> int:
        axis = self.attributes.get("axis", default)
        need(-rank <= axis < max(rank, 1), f"axis {axis} of {rank}")
        return int(axis % rank) if rank else 0

    def inner(self, mark: str, value: Value) -> Value:
        """Name a tensor that the file has no name for."""
        self.graph.tensors[self.name[0], self.name[1] + mark] = value
        return value


def strides(shape: Sequence[int]) -> list[int]:
    return [prod(shape[k + 1 :]) for k in range(len(shape))]


def outer(lists: Sequence[Sequence[int]]) -> list[int]:
    """All sums of one member of each list, the last list fastest."""
    found = [0]
    for members in lists:
        found = [a + b for a in found for b in members]
    return found


def pick(shape: Sequence[int], chosen: Sequence[Sequence[int]]) -> Const:
    """The indices of the elements with the chosen positions along each axis, in their new shape."""
    return Const(tuple(map(len, chosen)), outer([[i * s for i in c] for c, s in zip(chosen, strides(shape))]))  # noqa: B905


def moved(call: Call, value: Tensor, index: Const) -> Tensor:
    """The elements that ``index`` names."""
    if isinstance(value, Const):
        return Const(index.shape, [value.values[i] for i in index.values])
    return call.graph.copy(value, index)


def broadcast(value: Tensor, shape: Sequence[int]) -> Const:
    """The indices that repeat a tensor to a shape."""
    own = (1,) * (len(shape) - len(value.shape)) + tuple(value.shape)
    need(len(own) == len(shape), f"{value.shape} does not fit {tuple(shape)}")
    need(all(a in (1, b) for a, b in zip(own, shape, strict=True)), f"{value.shape} does not fit {tuple(shape)}")
    return pick(own, [range(b) if a == b else [0] * b for a, b in zip(own, shape, strict=True)])


def together(*values: Tensor) -> tuple[int, ...]:
    """The shape to which tensors are repeated when they meet elementwise."""
    rank = max(len(v.shape) for v in values)
    shapes = [(1,) * (rank - len(v.shape)) + tuple(v.shape) for v in values]
    return tuple(next((d for d in ds if d != 1), 1) for ds in zip(*shapes, strict=True))


def spread(call: Call, *values: Tensor) -> list[Tensor]:
    shape = together(*values)
    return [v if tuple(v.shape) == shape else moved(call, v, broadcast(v, shape)) for v in values]


def reshape(call: Call, value: Tensor, shape: Sequence[int]) -> Tensor:
    size = len(value.values) if isinstance(value, Const) else value.node.size
    known = prod(d for d in shape if d != -1)
    need(list(shape).count(-1) < 2 and (-1 not in shape or known), f"a shape {shape}")
    full = tuple(int(d) if d != -1 else size // known for d in shape)
    need(prod(full) == size, f"{size} elements in the shape {full}")
    return Const(full, value.values) if isinstance(value, Const) else Value(value.node, full)


# Arithmetic


def add(call: Call) -> Tensor:
    total = call.arguments[0]
    for other in call.arguments[1:]:
        total = _plus(call, total, other, 1)
    return total


def _plus(call: Call, first: Tensor, second: Tensor, factor: int) -> Tensor:
    a, b = spread(call, first, second)
    if isinstance(b, Const):
        bias = [factor * exact(v) for v in b.values]
        if isinstance(a, Const):
            return Const(a.shape, [exact(v) + w for v, w in zip(a.values, bias, strict=True)])
        return call.graph.shift(a, bias)
    if isinstance(a, Const):
        return call.graph.shift(call.graph.scale(b, [factor] * b.node.size) if factor != 1 else b, a.values)
    rows = [[((i,), (f,)) for i in range(a.node.size)] for f in (1, factor)]
    maps = [Map(a.node.size, r) for r in rows]
    return call.graph.affine(a.shape, [(a.node, maps[0]), (b.node, maps[1])])


def subtract(call: Call) -> Tensor:
    return _plus(call, call.arguments[0], call.arguments[1], -1)


def negate(call: Call) -> Tensor:
    a = call.arguments[0]
    if isinstance(a, Const):
        return Const(a.shape, [-v for v in a.values])
    return call.graph.scale(a, [-1] * a.node.size)


def multiply(call: Call) -> Tensor:
    a, b = spread(call, *call.arguments)
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(a, Const):
        return Const(a.shape, [exact(v) * exact(w) for v, w in zip(a.values, b.values, strict=True)])
    if isinstance(b, Const):
        return call.graph.scale(a, b.values)
    return call.graph.curve(Square(), a) if a.node is b.node else call.graph.curve(None, a, b)


def divide(call: Call) -> Tensor:
    a, b = spread(call, *call.arguments)
    need(isinstance(b, Const) and all(b.values), "a divisor that depends on inputs, or is 0")
    if isinstance(a, Const):
        pairs = list(zip(a.values, b.values, strict=True))
        whole = all(isinstance(v, int) for pair in pairs for v in pair)
        return Const(a.shape, [abs(v) // abs(w) * (1 if v * w >= 0 else -1) if whole else exact(v) / exact(w) for v, w in pairs])
    return call.graph.scale(a, [1 / exact(v) for v in b.values])


def power(call: Call) -> Tensor:
    need(call.get(1) == [2], "a power other than 2")
    return call.graph.curve(Square(), call.arguments[0])


def matmul(call: Call) -> Tensor:
    a, b = call.arguments
    x, w = (b, a) if isinstance(a, Const) else (a, b)
    need(isinstance(w, Const) and isinstance(x, Value), "a product of matrices that both depend on inputs, or neither")
    left = x is a
    need(left or len(w.shape) == 2, "a stack of constant matrices on the left")
    xs = ((1, *x.shape) if left else (*x.shape, 1)) if len(x.shape) == 1 else x.shape
    ws = (*w.shape, 1) if len(w.shape) == 1 else w.shape
    need(len(ws) == 2, "a stack of constant matrices")
    lead, (m, n) = prod(xs[:-2]), xs[-2:]
    rows: list[Any] = []
    if left:
        need(n == ws[0], f"matrices of the shapes {a.shape} and {b.shape}")
        columns = [w.values[j :: ws[1]] for j in range(ws[1])]
        rows = [(range(r * n, r * n + n), c) for r in range(lead * m) for c in columns]
        shape = [*xs[:-1], ws[1]]
    else:
        need(m == ws[1], f"matrices of the shapes {a.shape} and {b.shape}")
        lines = [w.values[i * m : i * m + m] for i in range(ws[0])]
        rows = [(range(k * m * n + j, (k + 1) * m * n, n), line) for k in range(lead) for line in lines for j in range(n)]
        shape = [*xs[:-2], ws[0], n]
    if len(a.shape) == 1:
        shape.pop(-2)
    if len(b.shape) == 1:
        shape.pop()
    dense = [(None, weights) if len(weights) == x.node.size else (columns, weights) for columns, weights in rows]
    return call.graph.affine(shape, [(x.node, Map(x.node.size, dense))])


def gemm(call: Call) -> Tensor:
    a, b = call.arguments[:2]
    get = call.attributes.get
    a = moved(call, a, _turned(a)) if get("transA", 0) else a
    b = moved(call, b, _turned(b)) if get("transB", 0) else b
    made = matmul(Call(call.graph, call.name, [a, b], {}))
    if get("alpha", 1.0) != 1:
        made = call.graph.scale(made, [exact(get("alpha"))] * made.node.size)
    if len(call.arguments) < 3 or call.arguments[2] is None:
        return made
    c = call.arguments[2]
    if get("beta", 1.0) != 1:
        c = multiply(Call(call.graph, call.name, [c, Const((), [get("beta")])], {}))
    return _plus(call, made, c, 1)


def _turned(value: Tensor) -> Const:
    need(len(value.shape) == 2, "Gemm of tensors that are no matrices")
    return transposed(value.shape, (1, 0))


def batch_normalization(call: Call) -> Tensor:
    """``(x - mean) scale / sqrt(var + epsilon) + B``, the root to 100 binary places."""
    x, scale, shift, mean, variance = call.arguments[:5]
    need(isinstance(x, Value) and len(x.shape) >= 2, "BatchNormalization of a constant, or of a vector")
    epsilon = exact(call.attributes.get("epsilon", 1e-5))
    each = broadcast(Const((x.shape[1],) + (1,) * (len(x.shape) - 2), range(x.shape[1])), x.shape).values
    factors = []
    for s, v in zip(scale.values, variance.values, strict=True):
        need(exact(v) + epsilon > 0, "BatchNormalization of no positive variance")
        root = isqrt((2**200 / (exact(v) + epsilon)).__floor__())
        factors.append(exact(s) * Fraction(root, 2**100))
        need(abs(exact(s)) < 2**27, "BatchNormalization of a scale beyond 2^27")
    centred = call.graph.shift(x, [-exact(mean.values[c]) for c in each])
    return call.graph.scale(centred, [factors[c] for c in each], [shift.values[c] for c in each], inexact=True)


# Windows: convolutions and pools


def _axis_windows(call: Call, size: int, kernel: int, k: int, rank: int) -> list[list[tuple[int, int]]]:
    """For each output position of an axis, the pairs (place in the kernel, input position) inside of the input."""
    get = call.attributes.get
    stride, dilation = (get(name, [1] * rank)[k] for name in ("strides", "dilations"))
    pads, reach = get("pads", [0] * 2 * rank), (kernel - 1) * dilation + 1
    before, after = pads[k], pads[k + rank]
    need(stride > 0 and dilation > 0 and kernel > 0 and before >= 0 and after >= 0, "a window of no size")
    if get("auto_pad", "NOTSET").startswith("SAME"):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before = total // 2 if get("auto_pad") == "SAME_UPPER" else -(-total // 2)
        after = total - before
    room = size + before + after - reach
    count = (room // stride if not get("ceil_mode", 0) else -(-room // stride)) + 1
    if get("ceil_mode", 0) and (count - 1) * stride >= size + before:
        count -= 1
    places = [[(j, o * stride + j * dilation - before) for j in range(kernel)] for o in range(count)]
    return [[(j, i) for j, i in window if 0 <= i < size] for window in places]


def windows(call: Call, spatial: Sequence[int], kernel: Sequence[int]) -> tuple[tuple[int, ...], list[list[tuple[int, int]]]]:
    """The shape of the output, and for each of its positions the pairs (flat place in the kernel, flat input)."""
    rank = len(spatial)
    need(rank == len(kernel) > 0, "a window of another rank than its input")
    axes = [_axis_windows(call, *pair, k, rank) for k, pair in enumerate(zip(spatial, kernel, strict=True))]
    of_kernel, of_input = strides(kernel), strides(spatial)
    found = []
    for window in product(*axes):
        places = outer([[j * s for j, _ in w] for w, s in zip(window, of_kernel, strict=True)])
        inputs = outer([[i * s for _, i in w] for w, s in zip(window, of_input, strict=True)])
        found.append(list(zip(places, inputs, strict=True)))
    return tuple(map(len, axes)), found


def convolution(call: Call) -> Tensor:
    x, w = call.arguments[:2]
    need(isinstance(x, Value) and isinstance(w, Const), "a convolution whose kernel depends on inputs")
    group, batch, depth = call.attributes.get("group", 1), x.shape[0], x.shape[1]
    spatial, (made, deep, *kernel) = x.shape[2:], w.shape
    need(deep * group == depth and made % group == 0, f"a kernel {w.shape} on {x.shape}")
    shape, places = windows(call, spatial, kernel)
    area, size = prod(spatial), prod(kernel)
    rows: list[Any] = []
    for n, m in product(range(batch), range(made)):
        first = n * depth + m // (made // group) * deep
        for window in places:
            rows.append((
                [(first + c) * area + i for c in range(deep) for _, i in window],
                [w.values[(m * deep + c) * size + j] for c in range(deep) for j, _ in window],
            ))  # fmt: skip
    result = call.graph.affine((batch, made, *shape), [(x.node, Map(x.node.size, rows))])
    if len(call.arguments) < 3 or call.arguments[2] is None:
        return result
    bias = call.arguments[2]
    return _plus(call, result, Const((made,) + (1,) * len(shape), bias.values), 1)


def _pooled(call: Call, whole: bool) -> tuple[Value, tuple[int, ...], list[list[int]]]:
    x = call.arguments[0]
    need(isinstance(x, Value), "a pool of constants")
    kernel = list(x.shape[2:]) if whole else call.attributes["kernel_shape"]
    shape, places = windows(call, x.shape[2:], kernel)
    area = prod(x.shape[2:])
    inputs = [[k * area + i for _, i in w] for k in range(prod(x.shape[:2])) for w in places]
    need(all(inputs), "a window that lies in the padding")
    return x, (*x.shape[:2], *shape), inputs


def average_pool(call: Call, whole: bool = False) -> Tensor:
    x, shape, inputs = _pooled(call, whole)
    fixed = call.attributes.get("count_include_pad", 0)
    need(not fixed or not call.attributes.get("ceil_mode", 0), "an average over padding with ceil_mode")
    size = prod(call.attributes.get("kernel_shape", [1]))
    rows = [(w, [Fraction(1, size if fixed else len(w))] * len(w)) for w in inputs]
    return call.graph.affine(shape, [(x.node, Map(x.node.size, rows))])


def max_pool(call: Call, whole: bool = False) -> Tensor:
    x, shape, inputs = _pooled(call, whole)
    return _maximum(call, x, shape, inputs)


def _maximum(call: Call, x: Value, shape: Sequence[int], members: Sequence[Sequence[int]]) -> Value:
    """The greatest of each list of elements: ``max(a, b) = a + relu(b - a)`` in pairs, level by level."""
    places, node, level = [list(m) for m in members], x.node, 0
    while max(map(len, places)) > 1:
        pairs = [(m[k], m[k + 1]) for m in places for k in range(0, len(m) - 1, 2)]
        rows: list[Any] = [((a, b), (-1, 1)) for a, b in pairs]
        gap = call.graph.affine((len(pairs),), [(node, Map(node.size, rows))], rounds=False)
        gain = call.inner(f"#{level}", call.graph.curve(relu(), call.inner(f"#{level}-", gap)))
        kept, steps, at, following = [], [], 0, []
        for m in places:
            row = []
            for k in range(0, len(m), 2):
                row.append(len(kept))
                kept.append(((m[k],), (1,)))
                paired = k + 1 < len(m)
                steps.append(((at,), (1,)) if paired else ((), ()))
                at += paired
            following.append(row)
        parts = [(node, Map(node.size, kept)), (gain.node, Map(gain.node.size, steps))]
        node = call.inner(f"#{level}+", call.graph.affine((len(kept),), parts, rounds=False)).node
        places, level = following, level + 1
    return call.graph.copy(Value(node, (node.size,)), Const(tuple(shape), [m[0] for m in places])) if level else (
        call.graph.copy(x, Const(tuple(shape), [m[0] for m in places])))


def maximum(call: Call, sign: int = 1) -> Tensor:
    values = spread(call, *call.arguments)
    variable = next((v for v in values if isinstance(v, Value)), None)
    need(variable is not None, "a maximum of constants")
    joined = concatenated(call, [reshape(call, v, (1, *v.shape)) for v in values], 0)
    size = prod(joined.shape[1:])
    members = [range(i, size * len(values), size) for i in range(size)]
    return _extreme(call, joined, joined.shape[1:], members, sign)


def _extreme(call: Call, x: Value, shape: Sequence[int], members: Any, sign: int) -> Value:
    flipped = x if sign > 0 else call.graph.scale(x, [-1] * x.node.size)
    made = _maximum(call, flipped, shape, members)
    return made if sign > 0 else call.graph.scale(made, [-1] * made.node.size)


def minimum(call: Call) -> Tensor:
    return maximum(call, -1)


# Reductions


def _groups(call: Call) -> tuple[Value, tuple[int, ...], list[list[int]]]:
    """The tensor, the reduced shape, and which elements go into each of its elements."""
    x = call.arguments[0]
    need(isinstance(x, Value), "a reduction of constants")
    rank = len(x.shape)
    axes = call.get(1, "axes") or ([] if call.attributes.get("noop_with_empty_axes") else list(range(rank)))
    axes = {int(a) % rank for a in axes}
    keep = [range(d) if k not in axes else [0] for k, d in enumerate(x.shape)]
    over = pick(x.shape, [range(d) if k in axes else [0] for k, d in enumerate(x.shape)]).values
    base = pick(x.shape, keep)
    shape = base.shape if call.attributes.get("keepdims", 1) else [d for k, d in enumerate(base.shape) if k not in axes]
    return x, tuple(shape), [[b + o for o in over] for b in base.values]


def reduce_sum(call: Call, mean: bool = False) -> Tensor:
    x, shape, groups = _groups(call)
    rows = [(g, [Fraction(1, len(g)) if mean else 1] * len(g)) for g in groups]
    return call.graph.affine(shape, [(x.node, Map(x.node.size, rows))])


def reduce_max(call: Call, sign: int = 1) -> Tensor:
    return _extreme(call, *_groups(call), sign)


# Elements that move


def transposed(shape: Sequence[int], order: Sequence[int]) -> Const:
    steps = strides(shape)
    return Const(tuple(shape[k] for k in order), outer([[i * steps[k] for i in range(shape[k])] for k in order]))


def transpose(call: Call) -> Tensor:
    x = call.arguments[0]
    order = call.attributes.get("perm", list(range(len(x.shape)))[::-1])
    need(sorted(order) == list(range(len(x.shape))), f"an order of axes {order}")
    return moved(call, x, transposed(x.shape, order))


def slices(call: Call) -> Tensor:
    x = call.arguments[0]
    starts, ends = call.get(1, "starts"), call.get(2, "ends")
    axes, steps = call.get(3, "axes", range(len(starts))), call.get(4, "", [1] * len(starts))
    chosen: list[Any] = [range(d) for d in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        need(step, "a slice of step 0")
        chosen[axis] = range(x.shape[axis])[slice(start, end if step > 0 or end >= -x.shape[axis] else None, step)]
    return moved(call, x, pick(x.shape, chosen))


def gather(call: Call) -> Tensor:
    x, index = call.arguments
    axis = call.axis(len(x.shape))
    size = x.shape[axis]
    need(isinstance(index, Const) and all(-size <= i < size for i in index.values), "indices that are not fixed, or outside")
    chosen = [[int(i) % size for i in index.values] if k == axis else range(d) for k, d in enumerate(x.shape)]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return moved(call, x, Const(shape, pick(x.shape, chosen).values))


def split(call: Call) -> list[Tensor]:
    x = call.arguments[0]
    axis = call.axis(len(x.shape))
    size = x.shape[axis]
    each = -(-size // call.outputs)
    lengths = call.get(1, "split") or [min(each, size - k * each) for k in range(call.outputs)]
    need(sum(lengths) == size and min(lengths) >= 0, f"a split of {size} into {lengths}")
    starts = [sum(lengths[:k]) for k in range(len(lengths))]
    parts = [range(a, a + n) for a, n in zip(starts, lengths, strict=True)]
    return [moved(call, x, pick(x.shape, [p if k == axis else range(d) for k, d in enumerate(x.shape)])) for p in parts]


def concat(call: Call) -> Tensor:
    return concatenated(call, call.arguments, call.axis(len(call.arguments[0].shape)))


def concatenated(call: Call, values: Sequence[Tensor], axis: int) -> Tensor:
    need(len({(*v.shape[:axis], *v.shape[axis + 1 :]) for v in values}) == 1, "parts of different shapes")
    lengths = [v.shape[axis] for v in values]
    shape = (*values[0].shape[:axis], sum(lengths), *values[0].shape[axis + 1 :])
    blocks = [prod(v.shape[axis:]) for v in values]
    order = [(k, r * b + i) for r in range(prod(shape[:axis])) for k, b in enumerate(blocks) for i in range(b)]
    if all(isinstance(v, Const) for v in values):
        return Const(shape, [values[k].values[i] for k, i in order])
    parts = []
    for k, v in enumerate(values):
        if isinstance(v, Value):
            parts.append((v.node, Map(v.node.size, [((i,), (1,)) if k == at else ((), ()) for at, i in order])))
    bias = [values[k].values[i] if isinstance(values[k], Const) else 0 for k, i in order]
    return call.graph.affine(shape, parts, bias if any(bias) else None, rounds=False)


def pad(call: Call) -> Tensor:
    x, rank = call.arguments[0], len(call.arguments[0].shape)
    pads, fill = call.get(1, "pads"), call.get(2, "value", [0])
    need(call.attributes.get("mode", "constant") == "constant" and len(pads) == 2 * rank, "padding other than by a constant")
    need(min(pads) >= 0 and (len(call.arguments) < 4 or call.arguments[3] is None), "negative padding, or along some axes")
    fill = fill[0] if isinstance(fill, list) else fill
    for axis in range(rank):
        for before in (True, False):
            shape = list(x.shape)
            shape[axis] = pads[axis if before else axis + rank]
            border = Const(tuple(shape), [fill] * prod(shape))
            x = concatenated(call, [border, x] if before else [x, border], axis) if border.values else x
    return x


def expand(call: Call) -> Tensor:
    x, shape = call.arguments[0], tuple(call.get(1))
    full = together(x, Const(shape, range(prod(shape))))
    return moved(call, x, broadcast(x, full))


def reshaped(call: Call) -> Tensor:
    x = call.arguments[0]
    shape = call.get(1, "shape")
    return reshape(call, x, [x.shape[k] if d == 0 and not call.attributes.get("allowzero") else d for k, d in enumerate(shape)])


def flatten(call: Call) -> Tensor:
    x = call.arguments[0]
    axis = call.attributes.get("axis", 1)
    axis = axis + len(x.shape) if axis < 0 else axis
    return reshape(call, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def squeeze(call: Call) -> Tensor:
    x = call.arguments[0]
    axes = call.get(1, "axes") or [k for k, d in enumerate(x.shape) if d == 1]
    axes = {a % len(x.shape) for a in axes}
    need(all(x.shape[a] == 1 for a in axes), "an axis of more than one element")
    return reshape(call, x, [d for k, d in enumerate(x.shape) if k not in axes])


def unsqueeze(call: Call) -> Tensor:
    x, axes = call.arguments[0], call.get(1, "axes")
    rank = len(x.shape) + len(axes)
    axes = {a % rank for a in axes}
    rest = iter(x.shape)
    return reshape(call, x, [1 if k in axes else next(rest) for k in range(rank)])


def same(call: Call) -> Tensor:
    return call.arguments[0]


def cast(call: Call) -> Tensor:
    x, kind = call.arguments[0], call.attributes["to"]
    if isinstance(x, Value):
        need(kind in (1, 11), "a cast of values that depend on inputs, to something other than floats")
        return x
    return Const(x.shape, [int(v) for v in x.values] if kind in (6, 7) else x.values)


def constant(call: Call) -> Tensor:
    for name, value in call.attributes.items():
        if name == "value":
            return value
        if name in ("value_float", "value_int"):
            return Const((), [value])
        if name in ("value_floats", "value_ints"):
            return Const((len(value),), value)
    need(False, "a constant of another kind")
    return None


def filled(call: Call) -> Tensor:
    value = call.attributes.get("value", Const((1,), [0.0]))
    shape = tuple(call.get(0))
    return Const(shape, list(value.values) * prod(shape))


# Functions


def pointwise(make: Callable[[Call], Function]) -> Callable[[Call], Tensor]:
    def apply(call: Call) -> Tensor:
        x = call.arguments[0]
        need(isinstance(x, Value), "a function of constants")
        return call.graph.curve(make(call), x)

    return apply


def _limit(call: Call, place: int, name: str) -> Fraction | None:
    found = call.get(place, name)
    value = found[0] if isinstance(found, list) else found
    return None if value is None else exact(value)


def clipped(call: Call) -> Function:
    low, high = _limit(call, 1, "min"), _limit(call, 2, "max")
    need(low is None or high is None or low < high, "a clip that is constant")
    return clip(low, high)


def parametric(call: Call) -> Tensor:
    """PRelu: ``relu(x) - slope relu(-x)``, with a slope for each element; one slope for all is one function."""
    x, slope = call.arguments
    need(isinstance(slope, Const), "a slope that depends on inputs")
    slopes = moved(call, slope, broadcast(slope, x.shape)).values
    if len(set(slopes)) == 1:
        return call.graph.curve(leaky(exact(slopes[0])), x)
    up = call.inner("#0", call.graph.curve(relu(), x))
    turned = call.graph.scale(x, [-1] * x.node.size)
    down = call.graph.scale(call.inner("#1", call.graph.curve(relu(), turned)), [-exact(s) for s in slopes])
    return _plus(call, up, down, 1)


def hard_sigmoid(call: Call) -> Function:
    alpha, beta = (exact(call.attributes.get(n, d)) for n, d in (("alpha", 0.20000000298023224), ("beta", 0.5)))
    need(alpha > 0, "HardSigmoid of no positive slope")
    return clip(Fraction(0), Fraction(1), alpha, beta)


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "Add": add, "Sum": add, "Sub": subtract, "Neg": negate, "Mul": multiply, "Div": divide, "Pow": power,
    "MatMul": matmul, "Gemm": gemm, "Conv": convolution, "BatchNormalization": batch_normalization,
    "AveragePool": average_pool, "GlobalAveragePool": lambda c: average_pool(c, True),
    "MaxPool": max_pool, "GlobalMaxPool": lambda c: max_pool(c, True), "Max": maximum, "Min": minimum,
    "ReduceSum": reduce_sum, "ReduceMean": lambda c: reduce_sum(c, True), "ReduceMax": reduce_max,
    "ReduceMin": lambda c: reduce_max(c, -1),
    "Transpose": transpose, "Slice": slices, "Gather": gather, "Split": split, "Concat": concat, "Pad": pad,
    "Expand": expand, "Reshape": reshaped, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Identity": same, "Dropout": same, "Cast": cast, "Constant": constant, "ConstantOfShape": filled,
    "Shape": lambda c: Const((len(c.arguments[0].shape),), list(c.arguments[0].shape)),
    "Relu": pointwise(lambda c: relu()), "Abs": pointwise(lambda c: leaky(Fraction(-1))),
    "LeakyRelu": pointwise(lambda c: leaky(exact(c.attributes.get("alpha", 0.009999999776482582)))),
    "PRelu": parametric, "Clip": pointwise(clipped), "HardSigmoid": pointwise(hard_sigmoid),
    "Sign": pointwise(lambda c: sign()), "Sigmoid": pointwise(lambda c: Sigmoid()),
    "Tanh": pointwise(lambda c: Sigmoid(2, 2, -1)),
}  # fmt: skip

