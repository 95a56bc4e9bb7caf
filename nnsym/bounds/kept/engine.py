"""The kept engine: made once per query, asked many times for bounds of batches of subproblems.

    engine = Engine(query, dtype="float32")   # once: the graph is prepared, and bounded on the query's own domain
    found = engine.bound(engine.root())       # as often as one likes: a batch of subproblems at once

A subproblem D is the query's domain under further limits ``l <= v <= u`` on its nodes. For every row ``s_i`` of the
specification that is asked for, a backward pass finds a linear form of the inputs below it, whose least value is the
bound:

    s_i(x)  >=  C_i x + d_i    for all x in D,        lower_i = min over D's boxes and balls of C_i x + d_i.

The pass substitutes layer by layer, as ``crown`` does (:mod:`nnsym.bounds.engine.backward.linear`), on arrays of NumPy
instead of tensors, with the charges of docs/rounding.md. Slopes of open hinges and multipliers of limits, preconditions
and cuts are chosen by gradient ascent (:mod:`nnsym.bounds.kept.passes.ascent`; alpha- and beta-CROWN: Xu et al., 2021,
Wang et al., 2021); whatever is chosen, the bound is sound. What is known of the query's own domain is kept: a
subproblem starts from those ranges, and elements that are 0 there are left out of all that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.kept.cuts import Cuts
from nnsym.bounds.kept.passes.ascent import beginning, climb
from nnsym.bounds.kept.passes.collect import Collector, Options, warm
from nnsym.bounds.kept.passes.descent import Choice, Descent, Seed, descend
from nnsym.bounds.kept.passes.inputs import least
from nnsym.bounds.kept.passes.minimum import values
from nnsym.bounds.kept.passes.refresh import Climb, Refresh, pieces, plain
from nnsym.bounds.kept.passes.relaxations import is_relu
from nnsym.bounds.kept.passes.state import State
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.rounding import FLOAT64, precision, product
from nnsym.bounds.kept.types import BatchBounds, Domains, Dual, Limit, Sums
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline


@final
@dataclass(frozen=True, eq=False)
class Target:
    """Rows ``sign node[index]`` in place of the specification's: ``index`` and ``sign`` are ``(batch, rows)``."""

    node: Node
    index: Array
    sign: Array


@final
class Engine:
    """Bounds of one query on any subproblems of it.

    Args:
        query: its graph, domain and rows.
        dtype: the format of rows, ``float64`` or ``float32``. Ranges and constants are float64 either way.
        ranges: sound bounds of nodes on the query's domain that are known already, ``(1, size)``.
        hidden: steps of ascent that optimise the bounds of hidden nodes on the query's domain.
        inherit: false where a subproblem is to be bounded from its own limits alone, as by someone who knows nothing
            of the whole domain.
        intervals: false where rows are to be bounded by passes alone, and where limits narrow what they are about but
            no hidden range behind that, unless passes do.
        cuts: of ReLU nodes; they take part in every ascent.
        deadline: what it cuts off has intervals.

    Raises:
        OutOfTime: there was no time to lay out the query's matrices.
        UnsupportedError: a node has no lines here.
    """

    def __init__(
        self,
        query: Query,
        *,
        dtype: str = "float64",
        ranges: Mapping[Node, Limit] | None = None,
        hidden: int = 0,
        inherit: bool = True,
        intervals: bool = True,
        cuts: Mapping[Node, Cuts] | None = None,
        deadline: Deadline = NEVER,
    ) -> None:
        self.query, self.precision, self._inherit, self.cuts = query, precision(dtype), inherit, cuts or {}
        self._intervals = intervals
        options = Options(hidden=hidden, deadline=deadline)
        with np.errstate(all="ignore"):
            self._begin(query, ranges or {}, options)

    def _begin(self, query: Query, ranges: Mapping[Node, Limit], options: Options) -> None:
        """Bound everything once, in float64; then prepare the query anew without what is 0."""
        self.plan = Plan(query, FLOAT64, deadline=options.deadline)
        base = {x: Limit(*(side[None] for side in box.outer)) for x, box in query.boxes.items()}
        given = {n: self._cut(n, r) for n, r in ranges.items()}
        first = Refresh(self.plan, 1, base, given, {}, options.deadline, whole=True)
        state = first.run(self._hidden(options), *self.plan.nodes)
        self._empty = bool(first.empty[0])
        nothing = {n: Limit(np.full((1, n.size), -np.inf), np.full((1, n.size), np.inf)) for n in self.plan.nodes}
        self.ranges = {n: self.plan.whole(n, *state.sides(n), nothing[n]) for n in self.plan.nodes}
        zero = {n: ((r.lower == 0) & (r.upper == 0))[0] for n, r in self.ranges.items() if not isinstance(n, Input)}
        end = options.deadline.grace  # else all is lost
        self.plan = Plan(query, self.precision, zero, cuts=self.cuts, deadline=end)
        kept = [n for n in self.plan.nodes if n in self.plan.arguments or isinstance(n, Input) or n is self.plan.hard]
        kept = kept if self._inherit else [n for n in kept if n not in self.plan.arguments or isinstance(n, Input)]
        self._base = {n: self._cut(n, self.ranges[n]) for n in kept}

    def root(self) -> Domains:
        """The query itself as a subproblem."""
        ranges = {n: self.ranges[n] for n in self.plan.arguments}
        return Domains({}, np.ones((1, len(self.query.rows)), dtype=bool), ranges)

    def bound(
        self,
        domains: Domains,
        *,
        target: Target | None = None,
        steps: int = 0,
        goal: float = 0.0,
        hidden: int = 0,
        refresh: bool = True,
        forms: bool = True,
        gaps: bool = True,
        sums: Sums | None = None,
        deadline: Deadline = NEVER,
    ) -> BatchBounds:
        """Bounds of the wanted rows of every subproblem, where the preconditions of the query hold.

        Args:
            domains: the subproblems, and which rows are wanted of each.
            target: rows of a hidden node in place of the specification's.
            steps: of ascent on the slopes and multipliers of rows; ``dual`` has the best ones.
            goal: rows whose bounds exceed it are not optimised any further.
            hidden: steps of ascent on the bounds of hidden nodes, where these are computed again.
            refresh: false where the ranges of hidden nodes are to stay what ``domains`` gives.
            forms: false where nobody looks at the linear forms and the points that minimise them.
            gaps: false where nobody looks at these.
            sums: of rows, which have bounds of their own, as further rows of what is found: the coefficients of a sum
                are those of no row, and may cancel. They have the ascent then, and ``dual`` is theirs; rows alone have
                a plain pass.
            deadline: what it cuts off has intervals, and rows have -inf.
        """
        options = Options(steps, goal, hidden, refresh, forms, gaps, deadline)
        with np.errstate(all="ignore"):
            return self._bound(domains, target, options, sums)

    def with_cuts(self, cuts: Mapping[Node, Cuts], deadline: Deadline = NEVER) -> Engine:
        """An engine that knows as much as this one, with other cuts. Raises OutOfTime."""
        dtype, known = np.dtype(self.precision.dtype).name, self.ranges
        return Engine(self.query, dtype=dtype, ranges=known, inherit=self._inherit, cuts=cuts, deadline=deadline)

    def minimisers(self, steps: int, *, goal: float, deadline: Deadline = NEVER) -> tuple[Array, dict[Node, Array]]:
        """Bounds ``(rows,)`` of the rows on the whole domain, and the values ``(rows, size)`` of nodes at which the
        relaxation attains them, after ``steps`` of ascent of those that do not exceed the ``goal``.
        """
        options, domains = Options(steps, goal, refresh=False, deadline=deadline), self.root()
        with np.errstate(all="ignore"):
            _, state = self._prepared(domains, None, options)
            seed, _ = self._seed(domains.wanted, None)
            start, bounds = beginning(state, seed, Choice()), (self._least(state), self._floor(state))
            lower, choice = climb(state, seed, start, *bounds, options, steps=steps)
            at = values(state, seed, descend(state, seed, choice, keep=True), choice)
        found = {n: np.zeros((lower.size, n.size)) for n in at}
        for n, full in found.items():
            full[:, self.plan.keep[n]] = at[n].reshape(lower.size, -1)
        return lower.ravel(), found

    def _bound(self, domains: Domains, target: Target | None, options: Options, sums: Sums | None) -> BatchBounds:
        run, state = self._prepared(domains, target, options)
        empty = run.empty | self._outside(domains)
        wanted = domains.wanted if target is not None else domains.wanted[:, : len(self.query.rows)]
        filled, plain = Collector(self.plan, wanted, state, options), options
        dual = domains.dual
        if sums is not None:
            dual, plain = None, replace(options, steps=0)
        self._fill(filled, *self._seed(wanted & ~empty[:, None], target), dual, plain)
        found = filled.found(self._ranges(domains, state, options.refresh), empty)
        if sums is None:
            return found
        weights, asked = sums(found)
        more = Collector(self.plan, asked, state, options)
        self._fill(more, *self._weighed(weights, asked & ~empty[:, None]), domains.dual, options)
        return found.beside(more.found(found.ranges, empty))

    def _fill(self, filled: Collector, seed: Seed, row: Array, dual: Dual | None, options: Options) -> None:
        """Bounds of rows ``row`` of a collector, ``(sets, rows)``, piece by piece."""
        state = filled.state
        bound, floor = self._least(state), self._floor(state)
        for rows in pieces(row.shape[1], len(row), self.plan):
            if options.deadline.passed:
                break
            part, choice = seed.rows(rows), Choice()
            if options.steps or dual is not None:
                start = beginning(state, part, warm(self.plan, dual, part, row[:, rows]))
                choice = climb(state, part, start, bound, floor, options, steps=options.steps)[1]
            done = descend(state, part, choice, keep=options.gaps)
            lower = np.maximum(bound(part, done), floor(part))
            filled.add(part, row[:, rows], done, choice, lower, self._slack(state, part))

    def _prepared(self, domains: Domains, target: Target | None, options: Options) -> tuple[Refresh, State]:
        """The ranges of a batch."""
        limits = {n: self._cut(n, s) for n, s in domains.limits.items()}
        given = {n: self._cut(n, s) for n, s in (domains.ranges or {}).items()}
        if self.plan.hard is not None:
            limits[self.plan.hard] = self._preconditions(given)
        deadline, intervals = options.deadline, self._intervals
        run = Refresh(self.plan, len(domains), self._base, given, limits, deadline, intervals=intervals)
        ends = [self.plan.spec if target is None else target.node, *self.query.inputs]
        if self.plan.hard is not None and ends[0] is self.plan.spec:  # hidden bounds hold on all of the boxes
            ends.append(self.plan.hard)
        return run, run.run(self._hidden(options) if options.refresh else None, *ends)

    def _least(self, state: State) -> Callable[[Seed, Descent], Array]:
        """Bounds of rows by a pass."""

        def bound(seed: Seed, done: Descent) -> Array:
            return least(state, seed, done) - self._slack(state, seed)

        return bound

    def _floor(self, state: State) -> Callable[[Seed], Array]:
        """Bounds of rows by intervals."""

        def bound(seed: Seed) -> Array:
            if not self._intervals or seed.start not in state.lower or seed.weights is not None:
                return np.full(seed.index.shape, -np.inf)
            low, high = (seed.pick(side) for side in state.sides(seed.start))
            return np.where(seed.sign > 0, low, -high) - self._slack(state, seed)

        return bound

    def _hidden(self, options: Options) -> Climb:
        """How rows of hidden nodes are bounded."""
        if not options.hidden:
            return plain

        def optimised(state: State, seed: Seed) -> Array:
            goal = 0.0 if all(is_relu(r) for r in self.plan.readers[seed.start]) else np.inf
            start, bounds = beginning(state, seed, Choice()), (self._least(state), self._floor(state))
            return climb(state, seed, start, *bounds, replace(options, goal=goal), steps=options.hidden)[0]

        return optimised

    def _preconditions(self, given: Mapping[Node, Limit]) -> Limit:
        """At most 0, but for what rounding their numbers may have moved."""
        assert self.plan.hard is not None
        slack, weight = self.plan.extra[self.plan.hard]
        known = {**self._base, **given}
        sizes = [np.maximum(np.abs(known[p].lower), np.abs(known[p].upper)).max(axis=1) for p in self.plan.hard.parents]
        most = np.max(np.broadcast_arrays(*sizes), axis=0)[:, None] if sizes else np.zeros((1, 1))
        upper = (slack + product(weight, most)) * (1.0 + 8.0 * self.precision.u)
        return Limit(np.full(upper.shape, -np.inf), upper)

    def _seed(self, wanted: Array, target: Target | None) -> tuple[Seed, Array]:
        """The rows that are asked for, and their numbers ``(sets, rows)``."""
        domain, row = _numbers(wanted)
        if target is None:
            return Seed(self.plan.spec, domain, row, np.ones(row.shape)), row
        where = np.arange(len(wanted)) if domain is None else domain
        index = np.searchsorted(self.plan.keep[target.node], target.index[where, row])
        return Seed(target.node, domain, index, target.sign[where, row].astype(np.float64)), row

    def _weighed(self, weights: Array, asked: Array) -> tuple[Seed, Array]:
        """The sums of rows that are asked for, and their numbers."""
        domain, row = _numbers(asked)
        where = np.arange(len(asked)) if domain is None else domain
        own: Array = weights[where, row].astype(self.precision.dtype)
        return Seed(self.plan.spec, domain, row, np.ones(row.shape), own), row

    def _slack(self, state: State, seed: Seed) -> Array | float:
        """What rounding the exact rows to float64 may have moved (:meth:`nnsym.ir.rows.Rows.node`)."""
        slack, weight = self.plan.extra.get(seed.start, (np.zeros(0), np.zeros(0)))
        if not slack.any() and not weight.any():
            return 0.0
        sizes = [np.maximum(*map(np.abs, state.sides(p))).max(axis=1, initial=0.0) for p in seed.start.parents]
        most = np.max(np.broadcast_arrays(*sizes), axis=0)[:, None]
        total = (slack + product(weight, most)) * (1.0 + 8.0 * self.precision.u)
        if seed.weights is None:
            return seed.pick(total)
        return seed.weigh(seed.weights.astype(np.float64), total) * (1.0 + FLOAT64.gamma(total.shape[1] + 8))

    @property
    def holds(self) -> bool:
        """True if the format of rows has room for the values on the whole domain: else bounds may be infinite."""
        sides = (side for limit in self.ranges.values() for side in (limit.lower, limit.upper))
        most = max((float(np.abs(side[np.isfinite(side)]).max(initial=0.0)) for side in sides), default=0.0)
        return most <= self.precision.huge / 2**8

    def rows(self, node: Node, index: Array, sign: Array) -> Target:
        """Rows ``sign node[index]`` to be bounded in place of the specification's; both ``(batch, rows)``."""
        missing = np.setdiff1d(index, self.plan.keep[node])
        if len(missing):
            raise InputError(f"elements {missing[:5].tolist()} of {node!r} are 0, or nothing depends on them")
        return Target(node, index, sign)

    def _ranges(self, domains: Domains, state: State, refresh: bool) -> Mapping[Node, Limit]:
        """Full arrays of what is known now. Where nothing was refreshed a limit is still to be looked into."""
        found = dict(domains.ranges or {})
        if not refresh:
            return found
        for node in dict.fromkeys((*self.plan.arguments, *domains.limits)):
            if node not in state.lower:
                continue
            lower, upper = (np.broadcast_to(side, (len(domains), side.shape[1])) for side in state.sides(node))
            found[node] = self.plan.whole(node, lower, upper, self.ranges[node])
        return found

    def _cut(self, node: Node, limit: Limit) -> Limit:
        """The elements that matter of full arrays."""
        if node not in self.plan.keep:
            raise InputError(f"{node!r} is no node of the query")
        if limit.lower.shape[1:] != (node.size,) or limit.upper.shape != limit.lower.shape:
            shapes = f"{limit.lower.shape}, {limit.upper.shape}"
            raise InputError(f"limits of shapes {shapes} for {node.size} elements", remedy="Give (batch, size)")
        keep = self.plan.keep[node]
        return limit if len(keep) == node.size else Limit(limit.lower[:, keep], limit.upper[:, keep])

    def _outside(self, domains: Domains) -> Array:
        """Subproblems whose limits miss what is known of the query, also where elements are left out."""
        out = np.full(len(domains), self._empty)
        for node, limit in domains.limits.items():
            known = self.ranges[node]
            out |= ((limit.lower > known.upper) | (limit.upper < known.lower)).any(axis=1)
        return out


def _numbers(wanted: Array) -> tuple[Array | None, Array]:
    """Subproblems of what is wanted, None where all of them want all; and which of their rows, ``(sets, rows)``."""
    if wanted.all():
        return None, np.repeat(np.arange(wanted.shape[1])[:, None], len(wanted), axis=1)
    domain, row = np.nonzero(wanted)
    return domain, row[None]
