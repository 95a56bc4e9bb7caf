"""Pictures: what encodings make of one neuron, and what methods say a network reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding
from nnsym.errors import InputError
from nnsym.ir.activations import activations
from nnsym.ir.formula import TRUE
from nnsym.ir.linear import Select
from nnsym.ir.node import Node, affine, new_input, pointwise
from nnsym.ir.pieces import cells, lower_edges, profile
from nnsym.ir.query import Box, Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Piecewise, Sigmoid, Tanh, Univariate, absolute, clip, leaky_relu, relu, sign
from nnsym.judge.method import Method
from nnsym.judge.methods import ProgramMethod
from nnsym.judge.registry import MethodChoice, resolve
from nnsym.report.region import area, directions, polygon, support
from nnsym.report.style import dashes, finished, ink, picture, plain_axes

if TYPE_CHECKING:
    from nnsym.ir.network import Network

Array = NDArray[Any]

#: Labels, and limits ``b_k`` of ``d_k . p >= b_k`` (:func:`nnsym.report.region.support`).
Regions = list[tuple[str, Array]]

_SIZE = (6.4, 5.0)

#: Functions that can be drawn, by name.
OPS: dict[str, Callable[[], Univariate]] = {
    "relu": relu,
    "leaky_relu": lambda: leaky_relu(0.1),
    "abs": absolute,
    "clip": lambda: clip(0.0, 1.0),
    "sign": sign,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
}


def draw(
    encodings: str | Encoding | Iterable[str | Encoding] = "triangle",
    *,
    op: str | Univariate = "relu",
    l: float = -1.0,  # noqa: E741
    u: float = 2.0,
    path: str | Path | None = None,
) -> Any:
    """The set of ``(h, y)`` that each encoding's linear relaxation allows for ``y = op(h)``, ``l <= h <= u``.

    Args:
        encodings: one or several, by name or as objects; of a mixed-integer one integrality is dropped.
        op: ``relu``, ``leaky_relu``, ``abs``, ``clip`` (to [0, 1]), ``sign``, ``sigmoid``, ``tanh``, or a univariate
            function.
        l: lower bound of the pre-activation.
        u: upper bound of the pre-activation.
        path: where to save it, ``.svg``, ``.png`` or ``.pdf``.

    Returns:
        A matplotlib figure that notebooks show (:class:`nnsym.report.picture.Picture`). The legend has the area of each
        region: the smaller, the tighter. An encoding whose region does not contain the graph is wrong, and a cross
        marks the point of the graph that is farthest outside.
    """
    if not l < u:
        raise InputError(f"the bounds [{l:g}, {u:g}] leave no interval", remedy="Give l < u")
    several = encodings if isinstance(encodings, Iterable) and not isinstance(encodings, str) else (encodings,)
    chosen = [find_encoding(e) for e in several]
    fn = op if isinstance(op, Univariate) else _known(op)
    h = new_input("h", 1)
    y = pointwise(fn, h)
    query = Query("neuron", {h: Box(np.array([float(l)]), np.array([float(u)]))}, Rows.of(y), TRUE)
    graph = np.linspace(l, u, 401)
    curve = fn.value(graph[:, None])[:, 0]
    d = np.concatenate((directions(64), _normals(fn, graph, curve)))
    regions = [(e.name, support(query, (h, y), _relaxed(e), d)) for e in chosen]
    window = _window([*zip(graph.tolist(), curve.tolist(), strict=True)], margin=0.35)
    figure = picture(*_SIZE)
    axes = figure.subplots()
    _fill(axes, regions, d, window)
    for k, stroke in enumerate(_strokes(fn, graph, curve)):
        marker = "o" if len(stroke) == 1 else None
        axes.plot(*stroke.T, color="black", linewidth=2.2, marker=marker, label=None if k else f"{fn.name}(h)")
    _mark_cut_off(axes, regions, d, np.stack((graph, curve), axis=1))
    ticks = {l: f"l = {l:.3g}", u: f"u = {u:.3g}"} | ({0: "0"} if 0.1 < l / (l - u) < 0.9 else {})
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlabel("pre-activation h")
    axes.set_ylabel("y")
    return _finish(figure, axes, f"linear relaxations of {fn.name} on [{l:g}, {u:g}]", path)


def draw_reach(
    f: Network,
    domain: tuple[object, object],
    *,
    axes: tuple[int, int] = (0, 1),
    methods: Iterable[MethodChoice] = ("ibp", "crown", "triangle", "bigm"),
    samples: int = 2000,
    path: str | Path | None = None,
) -> Any:
    """What methods say of two outputs of a network together, over a box, in 64 directions.

    Args:
        f: a network with one input and one output.
        domain: lower and upper corner of the box, numbers or arrays of the input's shape.
        axes: which two elements of the output.
        methods: sources of bounds and encodings; of an exact one the outline is the convex hull of what is reached.
        samples: random inputs whose outputs are dotted in.
        path: where to save it, ``.svg``, ``.png`` or ``.pdf``.
    """
    if len(f.inputs) != 1 or len(f.outputs) != 1:
        raise InputError(f"{len(f.inputs)} inputs and {len(f.outputs)} outputs, one of each is drawn", where=f.name)
    x = new_input("x", next(iter(f.inputs.values())).node.size)
    y = f.apply((x,)).output(next(iter(f.outputs)))
    if not all(0 <= k < y.size for k in axes):
        raise InputError(f"axes {axes} of an output of {y.size} elements", where=f.name)
    lower, upper = (np.broadcast_to(np.asarray(v, dtype=np.float64).ravel(), (x.size,)) for v in domain)
    box = Box(lower, upper)
    if box.empty:
        raise InputError("the domain is empty: a lower corner lies above the upper one", where=f.name)
    query = Query(f.name, {x: box}, Rows.of(y), TRUE)
    d = directions(64)
    plane = (_element(y, axes[0]), _element(y, axes[1]))
    chosen = [resolve(m) for m in methods]
    regions = list(zip(_labels(chosen), (support(query, plane, m, d) for m in chosen), strict=True))
    rng = np.random.default_rng(0)
    weight = rng.random((samples, x.size)) if samples else np.zeros((0, x.size))
    points = query.values({x: lower + weight * (upper - lower)})[y][:, list(axes)]
    corners = [p for _, b in regions for p in polygon(d, b, (-1e9, 1e9, -1e9, 1e9)).tolist()]
    figure = picture(*_SIZE)
    canvas = figure.subplots()
    _fill(canvas, regions, d, _window([*corners, *points.tolist()], margin=0.05))
    canvas.plot(points[:, 0], points[:, 1], ".", color="black", markersize=2.5, alpha=0.6, label="samples")
    output = next(iter(f.outputs))
    canvas.set_xlabel(f"{output}[{axes[0]}]")
    canvas.set_ylabel(f"{output}[{axes[1]}]")
    return _finish(figure, canvas, f"what two outputs of {f.name} reach", path)


def _strokes(fn: Univariate, graph: Array, curve: Array) -> list[Array]:
    """The graph as lines of points ``(h, y)``: one, or those of a function that jumps, and its points apart."""
    if not (isinstance(fn, Piecewise) and fn.jumps):
        return [np.stack((graph, curve), axis=1)]
    c = cells(fn, graph[:1], graph[-1:])
    left = np.flatnonzero(c.alive[0])
    ends = [np.unique([c.low[0, k], c.high[0, k]]) for k in left]
    return [np.stack((h, c.slope[0, k] * h + c.offset[0, k]), axis=1) for k, h in zip(left, ends, strict=True)]


def _normals(fn: Univariate, graph: Array, curve: Array) -> Array:
    """Both normals of the graph's chord, its slopes at the ends and its hull's edges: the sides that regions have."""
    ends = ((0, -1), (0, 1), (-2, -1))
    slopes = [(curve[j] - curve[i]) / (graph[j] - graph[i]) for i, j in ends]
    if isinstance(fn, Piecewise):
        points = profile(fn, graph[:1], graph[-1:])
        for sign_, y in ((1.0, points.low), (-1.0, -points.high)):
            slopes += [sign_ * edge.slope[0] for edge in lower_edges(points.x, y) if edge.there[0]]
    rise = np.array(slopes)
    normal = np.stack((-rise, np.ones(len(rise))), axis=1) / np.hypot(rise, 1.0)[:, None]
    return np.concatenate((normal, -normal))


def _known(op: str) -> Univariate:
    if op in OPS:
        return OPS[op]()
    known = activations()[0]
    if op not in known:
        names = ", ".join(dict.fromkeys((*OPS, *known)))
        raise InputError(f"unknown op '{op}'", remedy=f"Known: {names}, or a univariate function")
    return known[op]


def _relaxed(encoding: Encoding) -> ProgramMethod:
    """Its linear relaxation, which needs no more than an LP solver."""
    return ProgramMethod(encoding=encoding.relax(), solver="highs", bounds="ibp", optimise=True)


def _element(node: Node, k: int) -> Node:
    return affine(((Select(np.array([k]), node.size), node),))


def _window(points: list[Any], *, margin: float) -> tuple[float, float, float, float]:
    """The smallest window round the points, and a margin of its size."""
    (left, bottom), (right, top) = np.min(points, axis=0), np.max(points, axis=0)
    wide, high = max(right - left, 1e-9) * margin, max(top - bottom, 1e-9) * margin
    return left - wide, right + wide, bottom - high, top + high


def _labels(methods: list[Method]) -> list[str]:
    """Encodings and bounds by name; with the bounds, then the lane beside it where several would share one."""
    names = [m.encoded or m.name for m in methods]
    names = [f"{n} on {m.bounds}" if names.count(n) > 1 else n for n, m in zip(names, methods, strict=True)]
    return [f"{n} by {m.lane}" if m.lane and names.count(n) > 1 else n for n, m in zip(names, methods, strict=True)]


#: Regions whose limits differ by less than this part of the picture's numbers are the same set.
_SAME = 1e-6
_SHARED = "border of several sets"


def _fill(axes: Any, regions: Regions, d: Array, window: tuple[float, float, float, float]) -> None:
    """The regions, the largest first, so that none hides another; their lines do not step outside of them.

    Regions that are the same set share its border: their dashes take turns, and the legend says that they are equal.
    """
    scale = max(map(abs, window))
    corners = [polygon(d, b, window) for _, b in regions]
    size = [area(some) if len(some) else 0.0 for some in corners]
    size = [some if some > _SAME * scale**2 else 0.0 for some in size]
    groups = _coincident(regions, _SAME * scale)
    apart = dashes([name for name, _ in regions])
    for k in sorted(range(len(regions)), key=lambda k: -size[k]):
        name, colour = regions[k][0], ink(regions[k][0])
        same = next(g for g in groups if k in g)
        border = corners[k] if size[k] else _flat(d, regions[k][1], window, scale)
        if not len(border):
            axes.plot([], [], color=colour, label=f"{name}  (no point)")
            continue
        (patch,) = axes.fill(*border.T, facecolor=colour, alpha=0.16 / len(same), edgecolor="none")
        closed = np.concatenate((border, border[:1]))
        dash = (6 * same.index(k), (6, 6 * (len(same) - 1))) if len(same) > 1 else apart[k]
        (line,) = axes.plot(
            *closed.T, color=colour, linestyle=dash, linewidth=3.6, label=f"{name}  (area {size[k]:.3g})"
        )
        line.set_dash_capstyle("butt")
        line.set_gid(_SHARED if len(same) > 1 else None)
        if size[k]:  # a set without inside has its line only
            line.set_clip_path(patch)
    for group in groups:
        if len(group) > 1:
            axes.plot([], [], linestyle="none", label=f"the same set: {', '.join(regions[k][0] for k in group)}")


def _flat(d: Array, b: Array, window: tuple[float, float, float, float], scale: float) -> Array:
    """The corners of a region without inside (a stable neuron's), which is found within a solver's tolerance."""
    return polygon(d, b - _SAME * scale, window)


def _coincident(regions: Regions, apart: float) -> list[list[int]]:
    """Places of the regions that are the same set."""
    groups: list[list[int]] = []
    for k, (_, b) in enumerate(regions):
        home = next((g for g in groups if np.allclose(regions[g[0]][1], b, rtol=0, atol=apart)), None)
        if home is None:
            groups.append([k])
        else:
            home.append(k)
    return groups


def _mark_cut_off(axes: Any, regions: Regions, d: Array, points: Array) -> None:
    """A cross at the point that is farthest outside of each region that does not contain all of them."""
    scale = np.abs(points).max()
    for name, limit in regions:
        outside = (limit - points @ d.T).max(axis=1)
        worst = int(np.argmax(outside))
        if _SEEN * scale < outside[worst] < np.inf:
            x, y = points[worst] + 0.0  # no -0
            look = {"color": ink(name), "markeredgecolor": "black", "markersize": 11, "linestyle": "none"}
            axes.plot(x, y, marker="X", zorder=5, label=f"{name} cuts off ({x:.3g}, {y:.3g})", **look)


#: Outside by less than this part of the picture's numbers is a solver's tolerance.
_SEEN = 1e-6


def _finish(figure: Any, axes: Any, title: str, path: str | Path | None) -> Any:
    plain_axes(axes)
    axes.set_title(title, fontsize=11, parse_math=False)
    lines, names = axes.get_legend_handles_labels()
    keys = [copy(line) for line in lines]
    for key in keys:
        if key.get_gid() == _SHARED:
            key.set_linestyle("solid")  # its dashes may begin with a gap
        key.set_linewidth(min(2.2, key.get_linewidth()))
    figure.legend(keys, names, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return finished(figure, path)
