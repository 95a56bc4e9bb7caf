"""CROWN: linear bounds by substitution from a layer back to the inputs, for every layer that needs them.

A row ``w`` over a node is bounded below by walking the graph backwards with the coefficients of the claim
``w v >= sum_n C_n v_n + constant - error``: an affine node is substituted exactly, a nonlinear one by its lower
line where ``C`` is positive and its upper line where it is negative (Zhang et al., Efficient Neural Network
Robustness Certification with General Activation Functions, 2018, theorem 3.2; on general graphs Xu et al.,
Automatic Perturbation Analysis, 2020). The upper bound is the lower bound of ``-w``. Each step charges what
rounding may have moved to ``error`` at once, against the known magnitude of the node it moved (docs/numerics.md).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.base import Bounds
from nnsym.bounds.interval import FloatBoxes, Forward, Range, domain, finish, widen_rows
from nnsym.bounds.maps import Maps
from nnsym.bounds.relaxations import Relaxation, relax, undecided
from nnsym.bounds.rounding import PAD, TINY, contract, gamma, magnitude, middle, product, settle, weigh
from nnsym.bounds.sources import LowerSlope
from nnsym.ir.node import Affine, Input, Max, Node
from nnsym.ir.query import Query
from nnsym.ir.walk import topological

Array = NDArray[Any]

_ELEMENTS = 2**25  # coefficients of one chunk of rows: about a quarter of a gigabyte


def crown(
    query: Query,
    boxes: FloatBoxes | None = None,
    *,
    lower: LowerSlope = "adaptive",
    hidden: bool = True,
    intermediate: Bounds | None = None,
    phases: Mapping[Node, Array] | None = None,
    name: str = "crown",
    device: str = "cpu",
) -> Bounds:
    """Linear bounds of every layer that feeds a nonlinear node and of the rows, intersected with intervals.

    Rows of a layer that intervals already decide (stable neurons) get no backward pass. ``boxes`` is as in
    :func:`nnsym.bounds.interval.ibp`. ``lower`` is the free slope of open hinges, see
    :func:`nnsym.bounds.relaxations.relax`. Without ``hidden`` only the rows are bounded backwards, on intervals.
    ``intermediate`` gives sound bounds of the nodes to start from: then too only the rows are bounded anew. ``phases``
    fixes signs of pre-activations: for a pointwise node an array of -1, 0, +1, ``(size,)`` or ``(batch, size)``; the
    bounds then hold where those signs do.
    """
    start = time.perf_counter()
    with torch.inference_mode():
        maps = Maps(device)
        ranges, batched = domain(query, boxes, device)
        engine = Backward(query, ranges, maps, fixed=_fixed(phases, maps), lower=lower)
        engine.run(intermediate, hidden=hidden)
        spec = query.spec[0]
        rows = widen_rows(engine.rows(spec), query, engine.ranges, maps)
        return finish(name, query, engine.ranges, rows, engine.sources, batched, start, device)


def _fixed(phases: Mapping[Node, Array] | None, maps: Maps) -> dict[Node, Tensor]:
    return {n.parents[0]: maps.tensor(np.atleast_2d(v)) for n, v in (phases or {}).items()}


@final
class Backward:
    """Ranges of the nodes of a query, built in topological order, and backward passes over what is built."""

    def __init__(
        self,
        query: Query,
        inputs: dict[Node, Range],
        maps: Maps,
        *,
        fixed: Mapping[Node, Tensor],
        lower: LowerSlope = "adaptive",
    ) -> None:
        self.query, self.maps, self.fixed, self.lower = query, maps, fixed, lower
        self.nodes = topological((*query.nodes, query.spec[0]))
        self.forward = Forward(maps)
        # additions that collect a row's constant from all nodes and a node's coefficients from its consumers
        self.count = 2 * len(self.nodes) + max(_consumers(self.nodes).values(), default=0) + 8
        self.plain = self.forward.run(self.nodes, inputs)
        self.ranges = dict(inputs)
        self.sources = dict.fromkeys(self.nodes, "ibp")
        self.slips: dict[Node, Tensor] = {}
        self.relaxed: dict[Node, Relaxation] = {}
        self.consumers: dict[Node, list[Node]] = {}  # the nonlinear ones
        for node in self.nodes:
            if not isinstance(node, Affine):
                for parent in node.parents:
                    self.consumers.setdefault(parent, []).append(node)

    def run(self, intermediate: Bounds | None, *, hidden: bool = True) -> None:
        """Bound every node of the query, parents first; without ``hidden`` by intervals alone."""
        for node in self.query.nodes:
            if not isinstance(node, Input):
                self.prepare(node)
            if intermediate is not None and node in intermediate.nodes:
                self._meet(node, self._given(intermediate, node), intermediate[node].source)
            elif not hidden or isinstance(node, Input) or _straight(node):
                pass  # intervals of inputs are exact
            else:
                self._tighten(node)
            if node in self.fixed:
                self._fix(node)

    def prepare(self, node: Node) -> None:
        """Range, lines and rounding charges of a node whose parents are final."""
        parents = tuple(self.ranges[p] for p in node.parents)
        self.ranges[node] = self.forward.step(node, parents).intersect(self.plain[node])
        if isinstance(node, Affine):
            self.slips[node] = self.forward.slip(node, parents, self.count)
        else:
            self.relaxed[node] = relax(node, parents, self.ranges[node], self.maps, self.lower)
            self.slips[node] = self._charge(node, self.relaxed[node])

    def rows(self, spec: Node) -> Range:
        """The range of the specification layer, by intervals and backwards."""
        self.prepare(spec)
        every = torch.arange(spec.size, device=self.maps.device)
        return self.ranges[spec].intersect(self.backward(spec, every))

    def _given(self, bounds: Bounds, node: Node) -> Range:
        return Range(*(self.maps.tensor(np.atleast_2d(v)) for v in (bounds[node].lower, bounds[node].upper)))

    def _meet(self, node: Node, found: Range, source: str) -> None:
        old = self.ranges[node]
        self.ranges[node] = found.intersect(old)
        if bool((self.ranges[node].lower > old.lower).any() or (self.ranges[node].upper < old.upper).any()):
            self.sources[node] = source

    def _tighten(self, node: Node) -> None:
        """A backward pass for the elements whose range is still open to some nonlinear consumer."""
        needed = None
        for consumer in self.consumers.get(node, []):
            found = undecided(consumer, self.ranges[node], self.maps)
            needed = found if needed is None else needed | found
        if needed is None:
            return
        index = torch.nonzero(needed.any(0)).ravel()
        if len(index):
            found_range = self.backward(node, index)
            old = self.ranges[node]
            low, high = torch.full_like(old.lower, -torch.inf), torch.full_like(old.upper, torch.inf)
            chosen = needed[:, index]  # a batch gives each domain what it would get alone
            low[:, index] = torch.where(chosen, found_range.lower, -torch.inf)
            high[:, index] = torch.where(chosen, found_range.upper, torch.inf)
            self._meet(node, Range(low, high), "crown")

    def _fix(self, node: Node) -> None:
        sign, old = self.fixed[node], self.ranges[node]
        zero = torch.zeros_like(old.lower)
        low = torch.where(sign > 0, torch.maximum(old.lower, zero), old.lower)
        self.ranges[node] = Range(low, torch.where(sign < 0, torch.minimum(old.upper, zero), old.upper))
        self.sources[node] = "phase"

    def _charge(self, node: Node, relaxation: Relaxation) -> Tensor:
        """The rounding of one substitution per unit of coefficient, as :meth:`Forward.slip` for affine nodes."""
        total = torch.zeros_like(relaxation.low)
        for tap in relaxation.taps:
            size = self.ranges[tap.parent].magnitude
            size = size if tap.index is None else size[:, tap.index]
            slope = torch.maximum(tap.low.abs(), tap.high.abs())
            total = total + gamma(self.count) * (product(slope, size) + PAD * (slope > 0))
        offset = magnitude(relaxation.low, relaxation.high)
        return total + gamma(node.size + self.count) * torch.where(torch.isfinite(offset), offset, 0.0)

    def backward(self, node: Node, index: Tensor) -> Range:
        """Bare linear bounds of elements ``index`` of a node, not intersected with intervals."""
        batch = max((len(r.lower) for r in self.ranges.values()), default=1)
        largest = max(n.size for n in self.nodes)
        chunk = max(1, _ELEMENTS // (2 * batch * largest))
        order = topological((node,))[::-1]
        parts = [self._descend(node, piece, order) for piece in torch.split(index, chunk)]
        lower = torch.cat([p[:, : p.shape[1] // 2] for p in parts], 1)
        upper = torch.cat([-p[:, p.shape[1] // 2 :] for p in parts], 1)
        return Range(*settle(lower, upper))

    def _descend(self, start: Node, index: Tensor, order: tuple[Node, ...]) -> Tensor:
        """Lower bounds of the elements and of their negatives, ``(batch, 2 len(index))``."""
        coefficients = self._seed(start, index)
        constant = error = torch.zeros(1, 2 * len(index), dtype=torch.float64, device=self.maps.device)
        if isinstance(start, Affine):
            constant = _signed(self.maps.tensor(start.bias)[index])[None]
            error = self.slips[start][:, index].repeat(1, 2)
            order = order[1:]
        for node in order:
            c = coefficients.pop(node, None)
            if c is None:
                continue
            if isinstance(node, Input):
                centre, radius = middle(self.ranges[node].lower, self.ranges[node].upper)
                constant = constant + contract(c, centre) - weigh(c, radius)
                error = error + gamma(node.size + self.count) * weigh(c, self.ranges[node].magnitude)
                continue
            error = error + weigh(c, self.slips[node])
            if isinstance(node, Affine):
                constant = constant + contract(c, self.maps.tensor(node.bias))
                for linear, parent in zip(node.maps, node.parents, strict=True):
                    _add(coefficients, parent, self.maps[linear].adjoint(c))
            else:
                constant = constant + self._substitute(c, self.relaxed[node], coefficients)
        return constant - error - TINY

    def _seed(self, start: Node, index: Tensor) -> dict[Node, Tensor]:
        """Coefficients of ``+-`` the elements: over the parents of an affine node, else over the node itself."""
        if isinstance(start, Affine):
            rows = {p: self.maps[m].rows(index) for m, p in zip(start.maps, start.parents, strict=True)}
        else:
            rows = {start: functional.one_hot(index, start.size).to(torch.float64)}
        return {p: _signed(r)[None] for p, r in rows.items()}

    def _substitute(self, c: Tensor, lines: Relaxation, coefficients: dict[Node, Tensor]) -> Tensor:
        """Replace a nonlinear node by its lines; returns what the offsets add."""
        positive = c > 0
        for tap in lines.taps:
            term = c * torch.where(positive, tap.low[:, None], tap.high[:, None])
            if tap.index is not None:
                size = self.ranges[tap.parent].lower.shape[1]
                spread = torch.zeros(*term.shape[:-1], size, dtype=term.dtype, device=term.device)
                term = spread.index_add_(-1, tap.index, term)
            _add(coefficients, tap.parent, term)
        constant = torch.zeros(1, 1, dtype=c.dtype, device=c.device)
        if bool(lines.low.any()):
            constant = constant + _offset(c.clamp(min=0), lines.low)
        return constant + _offset(c.clamp(max=0), lines.high) if bool(lines.high.any()) else constant


def _signed(rows: Tensor) -> Tensor:
    return torch.cat((rows, -rows))


def _add(coefficients: dict[Node, Tensor], node: Node, term: Tensor) -> None:
    coefficients[node] = coefficients[node] + term if node in coefficients else term


def _offset(c: Tensor, offset: Tensor) -> Tensor:
    """``c offset``, where an infinite offset (of the bad sign for its side) makes the bound -infinite."""
    finite = torch.isfinite(offset)
    if bool(finite.all()):
        return contract(c, offset)
    total = contract(c, torch.where(finite, offset, 0.0))
    return torch.where(contract(c.abs(), (~finite).to(c.dtype)) > 0, -torch.inf, total)


def _straight(node: Node) -> bool:
    """One affine map of inputs: intervals are already exact."""
    return isinstance(node, Affine) and all(isinstance(p, Input) for p in node.parents)


def _consumers(nodes: tuple[Node, ...]) -> dict[Node, int]:
    """How many terms meet in the coefficients of each node: one per consumer, or per group of a maximum."""
    found: dict[Node, int] = {}
    for node in nodes:
        shared = int(np.bincount(node.groups[node.groups >= 0]).max()) if isinstance(node, Max) else 0
        terms = shared + node.groups.shape[1] if isinstance(node, Max) else 1
        for parent in node.parents:
            found[parent] = found.get(parent, 0) + terms
    return found
