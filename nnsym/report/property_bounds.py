"""``bounds``: what a method says of every layer of a property, as an object to look at."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nnsym.bounds.base import Interval
from nnsym.bounds.domains import domain_margin
from nnsym.bounds.sources import Dtype
from nnsym.errors import InputError
from nnsym.ir.names import node_names
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.judge.run import require_bounded
from nnsym.lang.question import HasQuery, query_of
from nnsym.relaxation.sources import find_source
from nnsym.report.bounds import SourceBounds, bounds_table
from nnsym.report.grid import render
from nnsym.report.pictures.bounds import plot_bounds, plot_trace
from nnsym.results import ranges as options
from nnsym.results.html import html_table

if TYPE_CHECKING:
    from nnsym.bounds.engine.backward.forms import LinearBounds


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class PropertyBounds(SourceBounds):
    """Bounds of every node of a property; prints as a table of its layers, in a terminal and in a notebook.

    ``bounds[name]`` is the interval of a node, by its name in the table or as a node; ``spec`` are the property's rows.
    """

    spoken = ("a table of bounds", "Ask for its lower, the certified margin")

    def __getitem__(self, key: str | Node) -> Interval:
        node, _ = self._node(key)
        return self.found.rows if node is self.query.spec[0] else self.found[node]

    def linear(self, key: str | Node) -> LinearBounds:
        """``L, b_L, U, b_U`` with ``L x + b_L <= v <= U x + b_U``: a node between affine functions of the inputs.

        Backward linear bounds (CROWN's lines) over these bounds of the nodes, valid in exact arithmetic.
        """
        from nnsym.bounds.engine.backward.forms import linear_bounds  # heavy: torch

        return linear_bounds(self.query, self.found, *self._node(key))

    def plot(self, path: str | Path | None = None, *others: PropertyBounds) -> Any:
        """Mean widths and open neurons per layer, beside other bounds of the same property (extra ``report``)."""
        return plot_bounds((self, *others), path)

    def plot_trace(self, path: str | Path | None = None) -> Any:
        """The bound against the steps of the optimisation (extra ``report``)."""
        return plot_trace(self, path)

    def _node(self, key: str | Node) -> tuple[Node, str]:
        names = {**node_names(self.query.nodes), self.query.spec[0]: "spec"}
        for node, name in names.items():
            if key is node or key == name:
                return node, name
        raise InputError(f"the property has no node '{key}'", remedy=f"Its nodes: {', '.join(names.values())}")

    def __rich__(self) -> Any:
        return bounds_table(self.query, self.found, self.lower)

    def __repr__(self) -> str:
        return render(self)

    def _repr_html_(self) -> str:
        spec = self.found.rows
        layers = self.layers
        rows = [(x.name, str(x.size), str(x.unstable), f"{x.mean_width:.6g}", x.title) for x in layers]
        width = f"{(spec.upper - spec.lower).mean():.6g}" if len(spec.lower) else ""
        rows.append(("spec", str(len(spec.lower)), "", width, ""))
        shown = 5 if any(x.title for x in layers) else 4
        headings = ("layer", "size", "open", "mean width", "in the model")[:shown]
        table = html_table(headings, (row[:shown] for row in rows))
        note = f"margin &ge; {self.lower:.6g} ({escape(self.source)})"
        return f"<b>{escape(self.query.name)}</b>{table}{note}"


def bounds(
    prop: HasQuery | Query, method: BoundsChoice = "crown", *, device: str = "cpu", dtype: Dtype = "float64"
) -> PropertyBounds:
    """Bounds of every layer and of the specification by one method.

    Args:
        prop: a property or its query.
        method: ``"ibp"``, ``"zonotope"``, ``"crown"``, ``"alpha:20"`` ... (``nnsym methods`` lists them), or a source.
        device: where to compute: ``cpu``, ``cuda``, ``auto``.
        dtype: ``float64``, or ``float32``: faster on large networks and GPUs, as sound, a little looser.

    Raises:
        InputError: an empty input region, or bounds that nobody computes.
        MissingBoundsError: the margin depends on an input without bounds.
    """
    query = query_of(prop, "bounds")
    if query.empty_box:
        raise InputError("the input region is empty: there is nothing to bound", where=query.name)
    text = check_bounds(method)
    options.device(device)
    if dtype not in ("float64", "float32"):
        raise InputError(f"dtype is {dtype!r}", remedy="Give float64 or float32")
    lower, found = domain_margin(query, find_source(text), device=device, dtype=dtype)
    require_bounded(query, lower)
    return PropertyBounds(query=query, source=text, found=found, lower=lower)
