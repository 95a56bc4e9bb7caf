"""The registry of bounds, and what bounds say: unstable neurons, widths of layers, the margin of the property."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.assumed import meet
from nnsym.bounds.base import Bounds
from nnsym.bounds.builtin import Alpha, ForwardLinear, Ibp, Linear, Zonotope
from nnsym.bounds.lipschitz.sources import BallAndBox, Lipschitz
from nnsym.bounds.pairs.differential import both
from nnsym.bounds.sources import Dtype, FloatBoxes, Met, Source, Told
from nnsym.errors import InputError, did_you_mean
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, InBox, margin_lower
from nnsym.ir.functions.pieces import cells
from nnsym.ir.names import node_names
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.words import kind_of

_CROWN = "Zhang et al. 2018"

#: Our own sources of bounds, by name, the weak ones first. A new one is one entry here.
SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Ibp(),
        Lipschitz(),
        BallAndBox(),
        Linear(
            name="ibp-merged",
            summary="ibp with the last affine layer merged into the rows",
            paper="Gowal et al. 2018",
            lower="interval",
            hidden=False,
        ),
        ForwardLinear(),
        Zonotope(),
        Linear(
            name="crown-zero",
            summary="backward linear bounds, open neurons bounded below by the flattest line",
            paper=_CROWN,
            lower="zero",
        ),
        Linear(
            name="fastlin",
            summary="backward linear bounds, open neurons between parallel lines",
            paper="Weng et al. 2018",
            lower="parallel",
        ),
        Linear(
            name="crown-ibp",
            summary="backward linear bounds of the rows, hidden neurons by ibp",
            paper="Zhang et al. 2020",
            hidden=False,
        ),
        Linear(name="crown", summary="backward linear bounds, intersected with ibp", paper=_CROWN),
        Alpha(),
    )
}
METHODS = tuple(SOURCES)


def find_source(source: str | Source, known: Mapping[str, Source] = SOURCES) -> Source:
    """The source that a text names (``crown``, ``alpha:20``), among the known ones; a source is itself.

    ``crown+lipschitz`` is both, met.
    """
    if isinstance(source, Told):
        return source.source
    if isinstance(source, Source):
        return source
    if not isinstance(source, str):
        remedy = "Give a name, or an nnsym.bounds.sources.Source"
        raise InputError(f"no source of bounds but {kind_of(source)}", where=repr(source), remedy=remedy)
    found = []
    for text in summands(source, known):
        name, colon, parameters = text.partition(":")
        if name not in known:
            remedy = f"{did_you_mean(name, known)}Choose one of: {', '.join(known)}"
            raise InputError(f"there are no bounds '{text}'", remedy=remedy)
        found.append(known[name].parse(parameters) if colon else known[name])
    return found[0] if len(found) == 1 else Met.of(tuple(found))


def summands(text: str, known: Mapping[str, Source] = SOURCES) -> list[str]:
    """The texts of the sources in ``crown+lipschitz:sdp``; a ``+`` before no name of a source belongs to a text."""
    found: list[str] = []
    for part in text.split("+"):
        if found and part.partition(":")[0] not in known:
            found[-1] += f"+{part}"
        else:
            found.append(part)
    return found


@np.errstate(over="ignore", invalid="ignore")  # what overflows is open, and says so
def compute(
    query: Query,
    source: str | Source,
    *,
    boxes: FloatBoxes | None = None,
    device: str = "cpu",
    dtype: Dtype = "float64",
) -> Bounds:
    """Bounds of every node and row of a query by a source or its text.

    ``boxes`` are those of :func:`nnsym.bounds.engine.forward.interval.ibp`; without them the query's own are taken.
    ``device`` is a name of torch's or ``auto``; float32 (``dtype``) is faster on large networks and GPUs, as sound, and
    a little looser. Two runs that a query compares are bounded together
    (:mod:`nnsym.bounds.pairs.differential`). Intervals that the query assumes are met with what was computed; they are
    named ``assumed`` where they are tighter.
    """
    found = both(query, find_source(source), boxes, device=device, dtype=dtype)
    if not query.assumed:
        return found
    return meet(query, found, boxes, device=device, deadline=find_source(source).deadline)


def open_elements(bounds: Bounds, node: Node) -> Array:
    """Which elements of a node the bounds leave open, ``(size,)`` of bool.

    For an activation of two lines those with ``l < 0 < u`` of its argument, for one of several those with more than one
    cell (:mod:`nnsym.ir.functions.pieces`); for a maximum the groups that more than one member may win. Smooth
    functions and products have no cases.
    """
    match node:
        case Pointwise(fn=Hinge() as fn):
            interval = bounds[node.parents[0]]
            left, right = fn.slopes(node.size)
            return np.asarray((interval.lower < 0) & (interval.upper > 0) & (left != right))
        case Pointwise(fn=Piecewise() as fn):
            interval = bounds[node.parents[0]]
            return cells(fn, interval.lower, interval.upper).count > 1
        case Max():
            interval = bounds[node.parents[0]]
            real = node.groups >= 0
            low = np.where(real, interval.lower[..., node.groups], -np.inf)
            high = np.where(real, interval.upper[..., node.groups], -np.inf)
            best = low.argmax(axis=-1)[..., None]
            rivals = high > low.max(axis=-1, keepdims=True)
            np.put_along_axis(rivals, best, False, axis=-1)
            return np.asarray(rivals.any(axis=-1))
    return np.zeros(node.size, dtype=bool)


@final
@dataclass(frozen=True, kw_only=True)
class Layer:
    """One activation layer: its name, elements, open elements, and the mean width of its argument's bounds."""

    name: str
    size: int
    unstable: int
    mean_width: float


@np.errstate(over="ignore", invalid="ignore")  # the width of a layer may be beyond floats
def layers(query: Query, bounds: Bounds) -> tuple[Layer, ...]:
    """The activation layers of a query in topological order (bounds of a single domain)."""
    found = []
    for node, name in node_names(query.nodes).items():
        if isinstance(node, (Pointwise, Max, Product)):
            width = np.mean([np.mean(bounds[p].upper - bounds[p].lower) for p in node.parents])
            count = int(open_elements(bounds, node).sum())
            found.append(Layer(name=name, size=node.size, unstable=count, mean_width=float(width)))
    return tuple(found)


def margin(query: Query, bounds: Bounds) -> float:
    """A sound lower bound of the property's margin over the boxes that were bounded.

    +inf where the bounds show that no input is left. Hard atoms and boxes count as possible unless refuted.
    """
    if any((bounds[node].lower > bounds[node].upper).any() for node in query.nodes):
        return np.inf
    rows = bounds.rows.lower

    def atom(leaf: Atoms | InBox) -> Array:
        if isinstance(leaf, InBox):
            box = bounds[leaf.input]
            apart = ((leaf.lower > box.upper) | (leaf.upper < box.lower)).any()
            return np.array([np.inf if apart else -np.inf])
        if leaf.soft:
            return np.asarray(rows[leaf.rows])
        refuted = rows[leaf.rows] >= 0 if leaf.strict else rows[leaf.rows] > 0
        return np.where(refuted, np.inf, -np.inf)

    return margin_lower(query.formula, atom)
