"""Operators over windows and groups of elements: convolutions, pools, maxima, reductions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from .errors import need
from .functions import relu
from .graph import Map, Value
from .model import Const
from .moves import Call, Tensor, axes, concatenated, outer, pick, reshape, sized, spread, strides


def _axis_windows(call: Call, size: int, kernel: int, k: int, rank: int) -> list[list[tuple[int, int]]]:
    """For each output position of an axis, the pairs (place in the kernel, input position) inside of the input."""
    get = call.attributes.get
    stride, dilation = (get(name, [1] * rank)[k] for name in ("strides", "dilations"))
    pads, reach, automatic = get("pads"), (kernel - 1) * dilation + 1, get("auto_pad", "NOTSET")
    need(automatic in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"), f"auto_pad {automatic}")
    need(automatic == "NOTSET" or not pads, "pads beside auto_pad")
    before, after = (pads[k], pads[k + rank]) if pads else (0, 0)
    need(stride > 0 and dilation > 0 and kernel > 0 and before >= 0 and after >= 0, "a window of no size")
    if automatic.startswith("SAME"):
        need(dilation == 1, "auto_pad SAME with dilations, which runtimes pad differently")
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before = total // 2 if automatic == "SAME_UPPER" else -(-total // 2)
        after = total - before
    room = size + before + after - reach
    count = (room // stride if not get("ceil_mode", 0) else -(-room // stride)) + 1
    if get("ceil_mode", 0) and (count - 1) * stride >= size + before:
        count -= 1
    sized([max(count, 0), kernel])
    places = [[(j, o * stride + j * dilation - before) for j in range(kernel)] for o in range(count)]
    return [[(j, i) for j, i in window if 0 <= i < size] for window in places]


def windows(
    call: Call, spatial: Sequence[int], kernel: Sequence[int]
) -> tuple[tuple[int, ...], list[list[tuple[int, int]]]]:
    """The shape of the output, and for each of its positions the pairs (flat place in the kernel, flat input)."""
    rank = len(spatial)
    need(rank == len(kernel) > 0, "a window of another rank than its input")
    along = [_axis_windows(call, *pair, k, rank) for k, pair in enumerate(zip(spatial, kernel, strict=True))]
    of_kernel, of_input = strides(kernel), strides(spatial)
    found = []
    for window in product(*along):
        places = outer([[j * s for j, _ in w] for w, s in zip(window, of_kernel, strict=True)])
        inputs = outer([[i * s for _, i in w] for w, s in zip(window, of_input, strict=True)])
        found.append(list(zip(places, inputs, strict=True)))
    return tuple(map(len, along)), found


def convolution(call: Call) -> Tensor:
    """Of any rank, group, stride, padding and dilation, as a sparse matrix."""
    x, w = call.arguments[:2]
    need(isinstance(x, Value) and isinstance(w, Const), "a convolution whose kernel depends on inputs")
    group, batch, depth = call.attributes.get("group", 1), x.shape[0], x.shape[1]
    spatial, (made, deep, *kernel) = x.shape[2:], w.shape
    need(list(call.attributes.get("kernel_shape", kernel)) == kernel, "a kernel of another shape than is stated")
    need(deep * group == depth and made % group == 0, f"a kernel {w.shape} on {x.shape}")
    shape, places = windows(call, spatial, kernel)
    area, size = prod(spatial), prod(kernel)
    rows: list[Any] = []
    for n, m in product(range(batch), range(made)):
        call.graph.look()
        first = n * depth + m // (made // group) * deep
        for window in places:
            columns = [(first + c) * area + i for c in range(deep) for _, i in window]
            rows += [(columns, [w.values[(m * deep + c) * size + j] for c in range(deep) for j, _ in window])]
    result = call.graph.affine((batch, made, *shape), [(x.node, Map(x.node.size, rows))])
    if len(call.arguments) < 3 or call.arguments[2] is None:
        return result
    each = [b for b in call.arguments[2].values for _ in places] * batch
    return call.graph.shift(result, each)


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
    """Means of windows, or (``whole``) of all positions."""
    x, shape, inputs = _pooled(call, whole)
    fixed = call.attributes.get("count_include_pad", 0)
    need(not fixed or not call.attributes.get("ceil_mode", 0), "an average over padding with ceil_mode")
    size = prod(call.attributes.get("kernel_shape", [1]))
    rows = [(w, [Fraction(1, size if fixed else len(w))] * len(w)) for w in inputs]
    return call.graph.affine(shape, [(x.node, Map(x.node.size, rows))])


def max_pool(call: Call, whole: bool = False) -> Tensor:
    """Maxima of windows, or (``whole``) of all positions."""
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
        kept: list[Any] = []
        steps: list[Any] = []
        following, at = [], 0
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
    return call.graph.copy(Value(node, (node.size,)), Const(tuple(shape), [m[0] for m in places]))


def maximum(call: Call, sign: int = 1) -> Tensor:
    """The greatest (``sign`` 1) or the least (-1) of tensors, elementwise."""
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


def _groups(call: Call) -> tuple[Value, tuple[int, ...], list[list[int]]]:
    """The tensor, the reduced shape, and which elements go into each of its elements."""
    x = call.arguments[0]
    need(isinstance(x, Value), "a reduction of constants")
    rank = len(x.shape)
    along = axes(call.get(1, "axes") or ([] if call.attributes.get("noop_with_empty_axes") else range(rank)), rank)
    base, over = (
        pick(x.shape, [range(d) if (k in along) == inside else [0] for k, d in enumerate(x.shape)])
        for inside in (False, True)
    )
    shape = base.shape if call.attributes.get("keepdims", 1) else [d for k, d in enumerate(x.shape) if k not in along]
    return x, tuple(shape), [[b + o for o in over.values] for b in base.values]


def reduce_sum(call: Call, mean: bool = False) -> Tensor:
    """Sums, or means, along axes."""
    x, shape, groups = _groups(call)
    rows = [(g, [Fraction(1, len(g)) if mean else 1] * len(g)) for g in groups]
    return call.graph.affine(shape, [(x.node, Map(x.node.size, rows))])


def reduce_max(call: Call, sign: int = 1) -> Tensor:
    """The greatest (``sign`` 1) or the least (-1) along axes."""
    return _extreme(call, *_groups(call), sign)
