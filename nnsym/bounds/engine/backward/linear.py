"""CROWN: linear bounds by substitution from a layer back to the inputs, for every layer that needs them.

A row ``w`` over a node is bounded below by walking the graph backwards with the coefficients of the claim
``w v >= w c + sum_n C_n (v_n - c_n) + constant - error`` with centres c (:mod:`nnsym.bounds.engine.backward.state`): an
affine node is substituted exactly, a nonlinear one by its lower line where ``C`` is positive and its upper line where
it is negative (Zhang et al., Efficient Neural Network Robustness Certification with General Activation Functions, 2018,
theorem 3.2; on general graphs Xu et al., Automatic Perturbation Analysis, 2020). The upper bound is the lower bound of
``-w``. Each step charges what rounding may have moved to ``error`` at once, against how far the node may be from its
centre (docs/rounding.md).
Ranges, lines and centres are float64; only the rows are in the format of the maps.

Under a deadline hidden layers take the first part of the time, and what is left is the rows'. A layer whose passes are
cut short keeps intervals for the elements that were not reached, which is sound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.base import TIMEOUT, Bounds
from nnsym.bounds.engine.backward.descent import Dual, Seed, descend
from nnsym.bounds.engine.backward.shares import below_shares
from nnsym.bounds.engine.backward.slopes import Ascent, preconditions, trace
from nnsym.bounds.engine.backward.state import State
from nnsym.bounds.engine.backward.uses import Use
from nnsym.bounds.engine.forward.interval import Forward, additions, finish, meetings, row_slack, widen_rows
from nnsym.bounds.engine.heap import release
from nnsym.bounds.engine.inputs import Range, device_balls, domain
from nnsym.bounds.engine.maps.contraction import contractions
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.maps.torch_maps import ScaleMap, SelectMap
from nnsym.bounds.engine.relaxations import relax
from nnsym.bounds.engine.rounding import FLOAT64, settle
from nnsym.bounds.sources import FloatBoxes, LowerSlope
from nnsym.ir.array import Array
from nnsym.ir.linear import Select
from nnsym.ir.node import Affine, Input, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.summed import sums_of_products
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline, OutOfTime

_CACHE = 2**22  # bytes of coefficients up to which a processor's caches serve them
_SHORT = 3 * 2**20  # bytes of float64 coefficients up to which a pass costs little more than in float32
_STEP = 2**32  # products of one step of a pass on a processor: about a second, during which nobody looks at the clock
_TRIMMED = 4  # pieces between two times that freed memory is handed back
_HIDDEN = 0.8  # the part of the time that passes from hidden layers may take; the rest is for the rows


def crown(
    query: Query,
    boxes: FloatBoxes | None = None,
    *,
    lower: LowerSlope = "adaptive",
    hidden: bool = True,
    intermediate: Bounds | None = None,
    phases: Mapping[Node, Array] | None = None,
    ascent: Ascent | None = None,
    name: str = "crown",
    maps: Maps | None = None,
    deadline: Deadline = NEVER,
) -> Bounds:
    """Linear bounds of every layer that feeds a nonlinear node and of the rows, intersected with intervals.

    Rows of a layer that intervals already decide (stable neurons) get no backward pass. ``boxes`` is as in
    :func:`nnsym.bounds.engine.forward.interval.ibp`. ``lower`` is the free slope of open hinges, see
    :func:`nnsym.bounds.engine.relaxations.relax`. Without ``hidden`` only the rows are bounded backwards, on intervals.
    ``intermediate`` gives sound bounds of the nodes to start from: then too only the rows are bounded anew. ``phases``
    fixes signs of pre-activations: for a pointwise node an array of -1, 0, +1, ``(size,)`` or ``(batch, size)``; the
    bounds then hold where those signs do. ``ascent`` optimises what a pass may choose
    (:mod:`nnsym.bounds.engine.backward.slopes`). ``maps`` say device, format and memory limit; given again on the same
    networks, no weight is copied twice. Past the ``deadline`` no further pass is made: what it did not get to keeps
    intervals.
    """
    start = time.perf_counter()
    with torch.inference_mode() if ascent is None else torch.no_grad():
        maps = maps if maps is not None else Maps()
        ranges, batched = domain(query, boxes, maps.wide)
        signs = fixed(phases, maps.wide)
        engine = Backward(query, ranges, maps, fixed=signs, lower=lower, ascent=ascent, deadline=deadline)
        engine.run(intermediate, hidden=hidden)
        rows = widen_rows(engine.rows(query.spec[0]), query, engine.ranges, maps.wide)
        found = finish(
            name,
            query,
            engine.ranges,
            rows,
            sources=engine.sources,
            batched=batched,
            start=start,
            device=maps.device,
        )
        climbed = trace(query, engine.climbed) if engine.climbed else ()
        return replace(found, trace=climbed, ended=TIMEOUT if engine.late else "")


def fixed(phases: Mapping[Node, Array] | None, maps: Maps) -> dict[Node, Tensor]:
    """The signs of pre-activations on a device, by the node that is the argument."""
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
        ascent: Ascent | None = None,
        deadline: Deadline = NEVER,
    ) -> None:
        self.query, self.maps, self.fixed, self.lower, self.ascent = query, maps, fixed, lower, ascent
        self.deadline, self.soon = deadline, deadline.share(_HIDDEN)
        self.late = False  # some pass was cut short
        self.blind = False  # some node has no lines, so that no pass can go through it
        self.nodes = topological((*query.nodes, query.spec[0]))
        balls, added = device_balls(query, maps.wide), additions(self.nodes)
        self.forward = Forward(maps.wide, balls, count=added, deadline=deadline.grace)
        # examples made by hand keep the intervals that one finds by hand
        linear = (m for n in self.nodes if isinstance(n, Affine) for m in n.maps)
        fine = all(not self.soon.passed and maps.wide[m].fine for m in linear)
        self.plain = self.forward.run(self.nodes, inputs) if fine else {}
        # constants of float32 rows are added up in float64, which the spare of their own charges covers
        shorter = added if maps.wide is maps else meetings(self.nodes)
        self.state = State(maps, balls, shorter, contractions(self.nodes), dict(inputs))
        self.precise = self.state if maps.wide is maps else replace(self.state, maps=maps.wide, count=added)
        self.ranges, self.relaxed = self.state.ranges, self.state.relaxed
        self.summed = frozenset[Node](sums_of_products(self.nodes).values())
        for node in inputs:
            self.state.add_input(node)
        self.cuts: Node | None = None
        self.climbed: list[Tensor] = []  # the rows' bounds after each step of an ascent
        self.sources = dict.fromkeys(self.nodes, "ibp")
        self.passed: dict[Node, Tensor] = {}  # elements whose range says all that a pass would, parents' first
        self.consumers: dict[Node, list[Use]] = {}
        for node in self.nodes:
            if not isinstance(node, Affine):
                for parent in node.parents:
                    use = Use.of(node, parent)
                    self.consumers.setdefault(use.source, []).append(use)

    def run(self, intermediate: Bounds | None, *, hidden: bool = True) -> None:
        """Bound every node of the query, parents first; without ``hidden`` by intervals alone."""
        left = sum(node in self.consumers for node in self.query.nodes)
        for node in self.query.nodes:
            if not isinstance(node, Input):
                self.prepare(node)
                self._inherit(node)
            if intermediate is not None and node in intermediate.nodes:
                self._meet(node, self._given(intermediate, node), intermediate[node].source)
            elif not hidden or isinstance(node, Input) or self._straight(node):
                pass  # the forward step is as good
            else:
                left -= node in self.consumers
                self._tighten(node, left)
            if node in self.fixed:
                self._fix(node)

    def prepare(self, node: Node) -> None:
        """Range, lines and rounding charges of a node whose parents are final; after the deadline less of it."""
        parents = tuple(self.ranges[p] for p in node.parents)
        if self.blind or self.deadline.passed:
            self.late = self.blind = True
            step = self.forward.unknown if self.forward.over() else self.forward.step
            self._keep(node, step(node, parents))
            return
        if isinstance(node, Affine):
            self._prepare_affine(node, parents)
            return
        self._keep(node, self.forward.step(node, parents))
        summed = node in self.summed
        lines = relax(node, parents, self.ranges[node], self.maps.wide, self.lower, summed=summed)
        self.state.add_lines(node, below_shares(node, lines, self.ranges))

    def _prepare_affine(self, node: Affine, parents: tuple[Range, ...], moved: Tensor | None = None) -> None:
        found, image = self.forward.affine(node, parents, self.state.probes(node))
        self._keep(node, found)
        self.state.add_affine(node, image, moved)

    def _keep(self, node: Node, found: Range) -> None:
        """The interval of a node, by its parents' final ranges, and by their own intervals where those are exact."""
        self.ranges[node] = found.intersect(self.plain[node]) if node in self.plain else found

    def rows(self, spec: Node) -> Range:
        """The range of the specification layer, by intervals and backwards."""
        self.prepare(spec)
        every = torch.arange(spec.size, device=self.maps.device)
        if self.blind:
            return self.ranges[spec]
        self._meet(spec, self.backward(spec, every), "crown")
        if self.ascent is not None and not self.deadline.passed:
            self._add_cuts()
            wanted = torch.ones_like(self.ranges[spec].lower, dtype=torch.bool)
            signs = self._signs(spec.size)[: spec.size]
            lower = self.ascent.least(self, spec, every, signs, wanted, self.deadline)
            self._meet(spec, self._settled(lower, torch.full_like(lower, torch.inf)), "alpha")
        return self.ranges[spec]

    def _given(self, bounds: Bounds, node: Node) -> Range:
        given = bounds[node]
        sides = ((given.lower, -torch.inf), (given.upper, torch.inf))
        return Range(*(self.maps.wide.outward(np.atleast_2d(values), side) for values, side in sides))

    def _settled(self, lower: Tensor, upper: Tensor) -> Range:
        """What a pass found, without NaN or what its format cannot vouch for."""
        return Range(*settle(lower, upper, self.maps.precision))

    def _meet(self, node: Node, found: Range, source: str) -> None:
        old = self.ranges[node]
        self.ranges[node] = found.intersect(old)
        if bool((self.ranges[node].lower > old.lower).any() or (self.ranges[node].upper < old.upper).any()):
            self.sources[node] = source

    def _tighten(self, node: Node, left: int) -> None:
        """A backward pass for the elements whose range is open to some nonlinear consumer, then an optimised one.

        An ascent takes its share of the time with the ``left`` layers after this one, and the rows.
        """
        if node not in self.consumers or self.blind:
            return
        self._spread(node, lambda index, wanted: self.backward(node, index, deadline=self.soon), "crown")
        if self.ascent is not None and self.ascent.hidden:
            share = self.soon.share(1 / (left + 2))
            self._spread(node, lambda index, wanted: self._climb(node, index, wanted, share), "alpha")

    def _open(self, node: Node) -> Tensor:
        found = [use.undecided(self.ranges[node], self.maps.wide) for use in self.consumers[node]]
        return torch.stack(found).any(0)

    def _spread(self, node: Node, bound: Callable[[Tensor, Tensor], Range], source: str) -> None:
        """Bound the open elements of a node; a batch gives each domain what it would get alone."""
        needed = self._open(node)
        if source == "crown":
            known = self.passed.get(node, torch.zeros_like(needed))
            self.passed[node] = known | needed
            needed = needed & ~known
        index = torch.nonzero(needed.any(0)).ravel()
        if not len(index):
            return
        old, chosen = self.ranges[node], needed[:, index]
        found = bound(index, chosen)
        low, high = torch.full_like(old.lower, -torch.inf), torch.full_like(old.upper, torch.inf)
        low[:, index] = torch.where(chosen, found.lower, -torch.inf)
        high[:, index] = torch.where(chosen, found.upper, torch.inf)
        self._meet(node, Range(low, high), source)

    def _inherit(self, node: Node) -> None:
        """Lines of one variable say no more than its range: a function of one element that had a pass needs none."""
        if self._straight(node):
            self.passed[node] = torch.ones_like(self.ranges[node].lower, dtype=torch.bool)
            return
        above = self.passed.get(node.parents[0]) if len(node.parents) == 1 else None
        if above is None:
            return
        if isinstance(node, Pointwise):
            self.passed[node] = above
        elif isinstance(node, Affine) and len(node.maps) == 1:
            kind = self.maps.wide[node.maps[0]]
            if isinstance(kind, (SelectMap, ScaleMap)):
                self.passed[node] = kind.apply(above.to(kind.dtype)) != 0

    def _straight(self, node: Node) -> bool:
        """One affine map of inputs, or of elements of one box in another order: intervals are already exact."""
        if not isinstance(node, Affine):
            return False
        (first, *more) = node.parents or (None,)
        if not more and isinstance(first, Affine) and first.parents and first.parents[0] not in self.state.balls:
            return isinstance(first.parents[0], Input) and _moved_once(first)
        return all(isinstance(p, Input) for p in node.parents)

    def _climb(self, node: Node, index: Tensor, wanted: Tensor, deadline: Deadline) -> Range:
        assert self.ascent is not None
        signs = self._signs(len(index))
        lower = self.ascent.least(self, node, index.repeat(2), signs, wanted.repeat(1, 2), deadline)
        return self._settled(lower[:, : len(index)], -lower[:, len(index) :])

    def _signs(self, count: int) -> Tensor:
        signs = torch.ones(2 * count, dtype=self.maps.dtype, device=self.maps.device)
        signs[count:] = -1.0
        return signs

    def _fix(self, node: Node) -> None:
        sign, old = self.fixed[node], self.ranges[node]
        zero = torch.zeros_like(old.lower)
        low = torch.where(sign > 0, torch.maximum(old.lower, zero), old.lower)
        self.ranges[node] = Range(low, torch.where(sign < 0, torch.minimum(old.upper, zero), old.upper))
        self.sources[node] = "phase"

    def backward(
        self, node: Node, index: Tensor, dual: Dual | None = None, *, deadline: Deadline | None = None
    ) -> Range:
        """Bare linear bounds of elements ``index`` of a node, not intersected with intervals.

        The rows of ``dual`` are the elements, then their negatives. Those that the ``deadline`` cuts off, the engine's
        own if none is given, are unbounded.
        """
        end = self.deadline if deadline is None else deadline
        lower = self.least(node, index.repeat(2), self._signs(len(index)), dual, deadline=end)
        return self._settled(lower[:, : len(index)], -lower[:, len(index) :])

    def least(
        self, node: Node, index: Tensor, sign: Tensor, dual: Dual | None = None, *, deadline: Deadline = NEVER
    ) -> Tensor:
        """Lower bounds of ``sign`` times the elements ``index`` of a node, ``(batch, rows)``."""
        parts, state = [], self.state_for(len(index))
        for number, piece in enumerate(self.pieces(len(index)), start=1):
            if number % _TRIMMED == 0 and self.maps.device == "cpu":
                release()
            try:
                deadline.check()
                seed = Seed.of(state, node, index[piece], sign[piece])
                choices = dual.rows(piece, state.maps.dtype) if dual is not None else Dual()
                parts.append(descend(state, seed, choices, deadline=deadline))
            except OutOfTime:
                parts.append(self.missed(len(piece)))
        return self.joined(parts)

    def missed(self, rows: int) -> Tensor:
        """Lower bounds of rows that there was no time for."""
        self.late = True
        return torch.full((1, rows), -torch.inf, dtype=torch.float64, device=self.maps.device)

    def joined(self, parts: list[Tensor]) -> Tensor:
        """Bounds of rows side by side, where those that were missed know no batch."""
        batch = max((len(part) for part in parts), default=1)
        return torch.cat([part.expand(batch, -1) for part in parts], 1)

    def state_for(self, rows: int) -> State:
        """In which format ``rows`` are bounded: in float64 where they are so few that float32 would gain nothing."""
        return self.precise if rows * self._widest * FLOAT64.dtype.itemsize <= _SHORT else self.state

    @cached_property
    def _widest(self) -> int:
        """The most coefficients that a row can have, over all domains of a batch."""
        unseen = {n for found in self.state.contractions.values() for n in found.hidden}
        return max((len(self.ranges[x].lower) for x in self.query.inputs), default=1) * max(
            n.size for n in self.nodes if n not in unseen
        )

    @cached_property
    def _heaviest(self) -> int:
        """The most products that one step of a row can take, over all domains of a batch."""
        batch = max((len(self.ranges[x].lower) for x in self.query.inputs), default=1)
        work = (self.maps.wide[m].work for n in self.nodes if isinstance(n, Affine) for m in n.maps)
        return batch * max(work, default=1)

    def pieces(self, rows: int, copies: int = 1) -> tuple[Tensor, ...]:
        """Row numbers in chunks whose coefficients, ``copies`` of them, keep to the memory limit."""
        each = self._widest * self.maps.dtype.itemsize
        chunk = self.maps.memory // (each * copies)
        if self.maps.device == "cpu":
            chunk = min(chunk, _CACHE * copies // each, _STEP // self._heaviest)
        return torch.split(torch.arange(rows, device=self.maps.device), max(1, chunk))

    def constraints(self, node: Node) -> dict[Node, Tensor]:
        """Nodes and signs ``(1 or batch, size)``: sign times element is at most 0 on the domain; sign 0 says nothing.

        Those that a pass from ``node`` may use: fixed phases of what it depends on, and for the rows the preconditions.
        """
        below = self.state.order(node)[1:]
        found = {z: -sign for z, sign in self.fixed.items() if z in below}
        if self.cuts is not None and node is self.query.spec[0]:
            found[self.cuts] = self.ranges[self.cuts].lower.new_ones(1, self.cuts.size)
        return found

    def _add_cuts(self) -> None:
        """The linear preconditions as a node; what rounding its numbers may have moved is charged like any error."""
        held = preconditions(self.query)
        if not len(held):
            return
        self.cuts, slack, weight = self.query.rows.take(held).node()
        assert isinstance(self.cuts, Affine)
        parents = tuple(self.ranges[p] for p in self.cuts.parents)
        moved = row_slack(self.cuts, slack, weight, self.ranges, self.maps.wide)
        self._prepare_affine(self.cuts, parents, moved)


def _moved_once(node: Affine) -> bool:
    """True for elements of one parent in another order, each at most once."""
    (linear, *more) = node.maps
    if more or not isinstance(linear, Select):
        return False
    read = linear.index[linear.index >= 0]
    return len(np.unique(read)) == len(read)
