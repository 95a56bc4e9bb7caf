"""Makers of operators that only move elements."""

from __future__ import annotations

import numpy as np

from tests.fuzz.graphs import Graph, NotHere, Shape


def require(holds: bool) -> None:
    """Give up here unless it holds."""
    if not holds:
        raise NotHere


def pick_axis(g: Graph, rank: int) -> int:
    """An axis; negative where the operator set has that."""
    require(rank > 0)
    axis = g.draw.whole(0, rank - 1)
    return axis - rank if g.opset >= 11 and g.draw.chance(0.4) else axis


def like(g: Graph, shape: Shape) -> Shape:
    """A shape that broadcasts to ``shape``, at times of fewer axes."""
    found = [1 if g.draw.chance(0.3) else n for n in shape]
    return tuple(found[g.draw.whole(0, len(found)) :]) if g.draw.chance(0.4) else tuple(found)


def reshape(g: Graph, x: str, shape: Shape) -> list[str]:
    size = int(np.prod(shape))
    target = [size]
    for k in (2, 3, 4):
        if target[0] % k == 0 and g.draw.chance(0.5):
            target = [target[0] // k, k, *target[1:]]
    if g.draw.chance(0.4):
        target[g.draw.whole(0, len(target) - 1)] = -1
    if shape and target[0] == shape[0] and g.draw.chance(0.5):
        target[0] = 0
    if g.draw.chance(0.1):
        return g.node("Reshape", [x, g.node("Shape", [x])[0]])
    return g.node("Reshape", [x, g.constant(target, whole=True)])


def flatten(g: Graph, x: str, shape: Shape) -> list[str]:
    options = {"axis": g.draw.whole(-len(shape) if g.opset >= 11 else 0, len(shape))} if g.draw.chance(0.8) else {}
    return g.node("Flatten", [x], **options)


def squeeze(g: Graph, x: str, shape: Shape) -> list[str]:
    ones = [k for k, n in enumerate(shape) if n == 1]
    require(bool(ones))
    axes = sorted(g.draw.some(ones, g.draw.whole(1, len(ones))))
    axes = [a - len(shape) if g.opset >= 11 and g.draw.chance(0.4) else a for a in axes]
    return _with_axes(g, "Squeeze", x, axes if g.draw.chance(0.8) else [])


def unsqueeze(g: Graph, x: str, shape: Shape) -> list[str]:
    count = g.draw.whole(1, 2)
    axes = sorted(g.draw.some(range(len(shape) + count), count))
    axes = [a - len(shape) - count if g.opset >= 11 and g.draw.chance(0.4) else a for a in axes]
    return _with_axes(g, "Unsqueeze", x, axes)


def _with_axes(g: Graph, op: str, x: str, axes: list[int]) -> list[str]:
    if g.opset < 13:
        return g.node(op, [x], **({"axes": axes} if axes else {}))
    return g.node(op, [x, g.constant(axes, whole=True) if axes else ""])


def transpose(g: Graph, x: str, shape: Shape) -> list[str]:
    order = [int(k) for k in g.draw.rng.permutation(len(shape))]
    return g.node("Transpose", [x], **({"perm": order} if g.draw.chance(0.8) else {}))


def slices(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) > 0)
    axes = sorted(g.draw.some(range(len(shape)), g.draw.whole(1, len(shape))))
    back = g.opset >= 10 and g.draw.chance(0.3)
    starts, ends, steps = [], [], []
    for a in axes:
        n = shape[a]
        low, high = g.draw.whole(0, n - 1), g.draw.choice((n, n, 2**31, -1 if n > 1 else n))
        starts.append(g.draw.choice((low, low - n)) if not back else n - 1)
        ends.append(high if not back else g.draw.choice((-n - 1, 0 if n > 1 else -n - 1)))
        steps.append(g.draw.whole(1, 2) * (-1 if back else 1))
    if g.opset < 10:
        return g.node("Slice", [x], starts=starts, ends=ends, axes=axes)
    axes = [a - len(shape) if g.draw.chance(0.3) else a for a in axes]
    given = [g.constant(v, whole=True) for v in (starts, ends, axes)]
    return g.node("Slice", [x, *given, g.constant(steps, whole=True) if back or g.draw.chance(0.5) else ""])


def split(g: Graph, x: str, shape: Shape) -> list[str]:
    axis = pick_axis(g, len(shape))
    n = shape[axis]
    require(n >= 2)
    cut = g.draw.whole(1, n - 1)
    if n % 2 == 0 and g.opset < 18 and g.draw.chance(0.4):
        return g.node("Split", [x], 2, axis=axis)
    if g.opset >= 18 and g.draw.chance(0.4):
        return g.node("Split", [x], 2, axis=axis, num_outputs=2)
    if g.opset < 13:
        return g.node("Split", [x], 2, axis=axis, split=[cut, n - cut])
    return g.node("Split", [x, g.constant([cut, n - cut], whole=True)], 2, axis=axis)


def concat(g: Graph, x: str, shape: Shape) -> list[str]:
    axis = pick_axis(g, len(shape))
    extra = list(shape)
    extra[axis] = g.draw.whole(1, 2)
    parts = [x, g.constant(g.numbers(*extra))]
    if g.draw.chance(0.5):
        parts = [x, g.draw.choice([n for n, s in g.shapes.items() if s == shape])]
    return g.node("Concat", parts if g.draw.chance(0.7) else parts[::-1], axis=axis)


def gather(g: Graph, x: str, shape: Shape) -> list[str]:
    axis = pick_axis(g, len(shape))
    n = shape[axis]
    index = g.draw.rng.integers(-n if g.opset >= 11 else 0, n, g.draw.choice(((), (2,), (1, 3))))
    return g.node("Gather", [x, g.constant(index, whole=True)], axis=axis)


def gather_elements(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 11)
    axis = pick_axis(g, len(shape))
    index = g.draw.rng.integers(-shape[axis], shape[axis], shape)
    return g.node("GatherElements", [x, g.constant(index, whole=True)], axis=axis)


def gather_nd(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 11 and len(shape) >= 2)
    depth = g.draw.whole(1, len(shape))
    index = np.stack([g.draw.rng.integers(0, n, 3) for n in shape[:depth]], axis=-1)
    return g.node("GatherND", [x, g.constant(index, whole=True)])


def tile(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) > 0)
    return g.node("Tile", [x, g.constant([g.draw.whole(1, 2) for _ in shape], whole=True)])


def expand(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 8)
    target = [n if n > 1 else g.draw.whole(1, 3) for n in shape]
    return g.node("Expand", [x, g.constant([2, *target] if g.draw.chance(0.3) else target, whole=True)])


def pad(g: Graph, x: str, shape: Shape) -> list[str]:
    modes = ["constant", "constant", "reflect", "edge", *(["wrap"] if g.opset >= 19 else [])]
    mode = g.draw.choice(modes)
    least = min(shape, default=0)
    require(least > 0)
    most = 2 if mode == "constant" else max(least - 1, 0)
    axes = list(range(len(shape)))
    if g.opset >= 18 and g.draw.chance(0.4):
        axes = sorted(g.draw.some(axes, g.draw.whole(1, len(axes))))
    pads = [g.draw.whole(-1 if mode == "constant" and least > 2 else 0, most) for _ in range(2 * len(axes))]
    value = g.draw.choice((0.0, 0.5, -1.0))
    options = {"mode": mode} if mode != "constant" or g.draw.chance(0.5) else {}
    if g.opset < 11:
        return g.node("Pad", [x], pads=pads, **options, **({"value": value} if value else {}))
    filler = g.constant(value) if mode == "constant" and g.draw.chance(0.6) else ""
    named = (
        g.constant([a - len(shape) if g.draw.chance(0.3) else a for a in axes], whole=True)
        if len(axes) < len(shape)
        else ""
    )
    return g.node("Pad", [x, g.constant(pads, whole=True), filler, named], **options)


def where(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 9)
    other = g.constant(g.numbers(*like(g, shape))) if g.draw.chance(0.6) else g.other(shape)
    both = [x, other] if g.draw.chance(0.5) else [other, x]
    return g.node("Where", [g.flags(g.draw.rng.random(shape) < 0.5), *both])


def depth_to_space(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) == 4 and shape[1] % 4 == 0)
    options = {"mode": g.draw.choice(("DCR", "CRD"))} if g.opset >= 11 and g.draw.chance(0.7) else {}
    return g.node("DepthToSpace", [x], blocksize=2, **options)


def space_to_depth(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) == 4 and shape[2] % 2 == 0 and shape[3] % 2 == 0)
    return g.node("SpaceToDepth", [x], blocksize=2)
