"""The picture of one neuron: what linear relaxations of encodings allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import TRUE
from nnsym.ir.functions.activations import activations
from nnsym.ir.functions.pieces import cells, lower_edges, profile
from nnsym.ir.node import new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Piecewise, Univariate, absolute, clip, leaky_relu, relu, sign
from nnsym.judge.programs.methods import ProgramMethod
from nnsym.report.pictures.region import directions, support
from nnsym.report.pictures.sets import SIZE, fill, finish, mark_cut_off, window_round
from nnsym.report.pictures.style import picture

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

_SECONDS = 60.0  # for one neuron's programs, which take hundredths


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
        A matplotlib figure that notebooks show (:class:`nnsym.report.pictures.picture.Picture`). The legend has the
        area of each region: the smaller, the tighter. An encoding whose region does not contain the graph is wrong, and
        a cross marks the point of the graph that is farthest outside.
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
    regions = [(e.name, support(query, (h, y), _relaxed(e), d, _SECONDS)[0]) for e in chosen]
    window = window_round([*zip(graph.tolist(), curve.tolist(), strict=True)], margin=0.35)
    figure = picture(*SIZE)
    axes = figure.subplots()
    fill(axes, regions, d, window)
    for k, stroke in enumerate(_strokes(fn, graph, curve)):
        marker = "o" if len(stroke) == 1 else None
        axes.plot(*stroke.T, color="black", linewidth=2.2, marker=marker, label=None if k else f"{fn.name}(h)")
    mark_cut_off(axes, regions, d, np.stack((graph, curve), axis=1))
    ticks = {l: f"l = {l:.3g}", u: f"u = {u:.3g}"} | ({0: "0"} if 0.1 < l / (l - u) < 0.9 else {})
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlabel("pre-activation h")
    axes.set_ylabel("y")
    return finish(figure, axes, f"linear relaxations of {fn.name} on [{l:g}, {u:g}]", path)


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
