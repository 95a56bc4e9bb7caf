"""Bounds for people and for programs: one line a layer, and the specification's intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.layers import open_elements
from nnsym.ir.array import Array
from nnsym.ir.names import node_names
from nnsym.ir.node import Input, Node, Pointwise
from nnsym.ir.query import Query, Reading
from nnsym.ir.titles import node_titles
from nnsym.report.grid import Column, Grid
from nnsym.results.plain import number
from nnsym.results.result import NoTruthValue


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class LayerBounds:
    """Bounds of one layer: an affine node with its activation's open neurons, a maximum, or a product.

    ``title`` is what the stored model calls it, with the application where there are several.
    """

    name: str
    unstable: int
    lower: Array
    upper: Array
    title: str = ""

    @property
    def size(self) -> int:
        return len(self.lower)

    @property
    def mean_width(self) -> float:
        return float(np.mean(self.upper - self.lower)) if self.size else 0.0


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SourceBounds(NoTruthValue):
    """What a source says of a query: bounds of every node; ``lower`` is the certified margin over the whole domain."""

    query: Query
    source: str
    found: Bounds
    lower: float

    @property
    def layers(self) -> tuple[LayerBounds, ...]:
        """One entry for each affine layer, maximum and product: size, open neurons, intervals, mean width."""
        return tuple(layer_bounds(self.query, self.found))

    @property
    def trace(self) -> tuple[float, ...]:
        """The margin's lower bound after each step of an optimisation; empty for a method that does not optimise."""
        return self.found.trace


def layer_bounds(query: Query, bounds: Bounds) -> list[LayerBounds]:
    """Every node but inputs and activations; an activation's unstable neurons are counted where its argument is."""
    names, titles = node_names(query.nodes), node_titles(query)
    counts: dict[Node, int] = {}
    for node in query.nodes:
        argument = node.parents[0] if isinstance(node, Pointwise) else node
        counts[argument] = counts.get(argument, 0) + int(open_elements(bounds, node).sum())
    return [
        LayerBounds(
            name=name,
            unstable=counts[node],
            lower=bounds[node].lower,
            upper=bounds[node].upper,
            title=titles.get(node, ""),
        )
        for node, name in names.items()
        if not isinstance(node, Pointwise) and (not isinstance(node, Input) or counts[node])
    ]


def bounds_json(query: Query, bounds: Bounds, lower: float, seconds: float) -> dict[str, Any]:
    """Layers (name, size, unstable, mean width), the specification's intervals, and the certified margin.

    ``lower`` is the certified side; of ``exists`` that is ``upper``.
    """
    exists = query.reading is Reading.EXISTS
    certified = {"upper": number(0.0 - lower)} if exists else {"lower": number(lower)}
    return {
        "layers": [
            {"name": layer.name, "size": layer.size, "unstable": layer.unstable, "mean_width": number(layer.mean_width)}
            for layer in layer_bounds(query, bounds)
        ],
        "spec": {
            "lower": [number(v) for v in bounds.rows.lower],
            "upper": [number(v) for v in bounds.rows.upper],
        },
        **certified,
        "seconds": seconds,
    }


def bounds_table(query: Query, bounds: Bounds, lower: float) -> Any:
    """The layers, the intervals of small ones, the specification's rows, and the margin."""
    from rich.console import Group
    from rich.text import Text

    columns = (
        Column("layer"),
        Column("size", rank=1, right=True),
        Column("open", rank=2, right=True),
        Column("mean width", rank=3, right=True),
        Column("intervals", rank=5, wraps=True),
        Column("in the model", rank=4 if len(query.applications) > 1 else 6),
    )
    lines = [
        (x.name, str(x.size), str(x.unstable), f"{x.mean_width:.6g}", _intervals(x.lower, x.upper), x.title)
        for x in layer_bounds(query, bounds)
    ]
    rows = bounds.rows
    width = f"{float(np.mean(rows.upper - rows.lower)):.6g}" if len(rows.lower) else ""
    lines.append(("spec", str(len(rows.lower)), "", width, _intervals(rows.lower, rows.upper), ""))
    out = Grid(columns, tuple(lines))
    exists = query.reading is Reading.EXISTS
    said = f"margin <= {0.0 - lower:.6g}" if exists else f"margin >= {lower:.6g}"
    return Group(out, Text(f"{said}  ({bounds.method})"))


def _intervals(lower: Array, upper: Array, limit: int = 4) -> str:
    if len(lower) > limit:
        return ""
    return "  ".join(f"[{low:.6g},\N{NO-BREAK SPACE}{high:.6g}]" for low, high in zip(lower, upper, strict=True))
