"""Optimised backward bounds: projected Adam over what a pass may choose, a :class:`Dual`.

The lower bound of a row is a function of the free slopes ``alpha`` of open hinges (Xu et al., Fast and Complete, 2021)
and of multipliers ``beta >= 0`` of fixed phases and ``lambda >= 0`` of linear preconditions (Wang et al., Beta-CROWN,
2021):

    row(x)  >=  row(x) - sum_j beta_j s_j z_j(x) + sum_k lambda_k g_k(x)      where s_j z_j >= 0 and g_k <= 0 hold.

Every choice is sound, so the ascent itself runs without rounding charges, and the best choice found for each row is
evaluated once more with all of them, in float64 whatever the format of the ascent. Layers are optimised parents first,
each row for itself: tighter bounds of a layer never loosen what is optimal above it, so no gradient has to pass from
one layer's bounds to another's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.backward.descent import Dual, Seed, descend
from nnsym.bounds.engine.backward.state import State
from nnsym.ir.formula import Atoms, InBox, always, reduce_formula
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline, OutOfTime

if TYPE_CHECKING:
    from nnsym.bounds.engine.backward.linear import Backward

_RATE = 0.45  # first step of a slope, of the distance between the slopes of its two lines
_PRICE = 0.05  # first step of a multiplier, of what would move the row by its own width
_DECAY = 0.98
_STILL = 1e-12  # gradients of this size are noise and move nothing
_COPIES = 12  # tensors as large as a layer's coefficients that a gradient keeps alive


@final
@dataclass(frozen=True, kw_only=True)
class Ascent:
    """How to optimise: steps, whether hidden layers too, and whether all rows of a layer ``shared`` their slopes.

    Shared slopes of the rows maximise the margin of the property, those of a hidden layer the sum of its bounds. Every
    row keeps the best that it had on the way. Layers too large for the memory limit share slopes within a chunk. Fewer
    steps are made where a deadline comes first.
    """

    iterations: int = 20
    hidden: bool = True
    shared: bool = False

    def least(
        self, engine: Backward, node: Node, index: Tensor, sign: Tensor, wanted: Tensor, deadline: Deadline
    ) -> Tensor:
        """Optimised lower bounds of ``sign`` times the elements ``index`` of a node, ``(batch, rows)``, sound.

        ``wanted`` says which rows a domain of the batch is after: the others have no say in shared slopes.
        """
        found, state = [], engine.state_for(len(index))
        pieces = engine.pieces(len(index), _COPIES * max(1, len(engine.state.relaxed)))
        for number, piece in enumerate(pieces):
            if deadline.passed:
                found.append(engine.missed(len(piece)))
                continue
            seed = Seed.of(state, node, index[piece], sign[piece])
            end = deadline.share(1 / (len(pieces) - number))
            dual = self._climb(engine, state, index[piece], seed, wanted[:, piece], end)
            final = seed if state is engine.precise else Seed.of(engine.precise, node, index[piece], sign[piece])
            every = torch.arange(len(piece), device=piece.device)
            choices = dual.rows(every, engine.precise.maps.dtype).admitted(engine.precise)
            try:
                found.append(descend(engine.precise, final, choices, deadline=engine.deadline))
            except OutOfTime:
                found.append(engine.missed(len(piece)))
        return engine.joined(found)

    def _climb(
        self, engine: Backward, state: State, index: Tensor, seed: Seed, wanted: Tensor, deadline: Deadline
    ) -> Dual:
        """The best choices met on the way, for each row; a step that would not end in time is not begun."""
        node = seed.start
        variables = _variables(engine, state, node, index, shared=self.shared)
        if not variables:
            return Dual()
        best = torch.full_like(seed.centre, -torch.inf)
        steps = []
        kept = [v.value for v in variables]
        slowest = 0.0
        for step in range(self.iterations + 1):
            last = step == self.iterations
            begin = time.perf_counter()
            if deadline.left <= slowest:
                engine.late = True
                break
            try:
                bound, gradients = self._slope(engine, state, seed, variables, wanted, deadline, last=last)
            except OutOfTime:
                engine.late = True
                break
            slowest = max(slowest, time.perf_counter() - begin)
            better = bound > best
            best = torch.where(better, bound, best)
            steps.append(best)
            kept = [torch.where(better[..., None], v.value, k) for v, k in zip(variables, kept, strict=True)]
            for variable, gradient in zip(variables, gradients, strict=False):
                variable.move(gradient, step)
        if node is engine.query.spec[0]:
            engine.climbed.append(torch.stack(steps or [best]))
        return _dual(variables, kept)

    def _slope(
        self,
        engine: Backward,
        state: State,
        seed: Seed,
        variables: list[_Variable],
        wanted: Tensor,
        deadline: Deadline,
        *,
        last: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The rows' bounds at the present choices, and which way they grow (not asked after the last step)."""
        with torch.enable_grad():
            values = [v.value.detach().requires_grad_(not last) for v in variables]
            bound = descend(state, seed, _dual(variables, values), charge=False, deadline=deadline)
            whole = self.shared and seed.start is engine.query.spec[0]
            goal = _margins(engine.query, bound) if whole else torch.where(wanted, bound, 0.0)
            gradients = () if last else torch.autograd.grad(goal.sum(), values)
        return bound.detach(), gradients


@final
class _Variable:
    """One block of choices on the elements ``place`` of a node, with the moments of Adam (Kingma and Ba, 2015)."""

    def __init__(self, node: Node, value: Tensor, least: Tensor, most: Tensor | None, rate: Tensor | float) -> None:
        self.node, self.value, self.least, self.most, self.rate = node, value, least, most, rate
        self.first = self.second = torch.zeros_like(value)
        self.sign: Tensor | None = None  # of a multiplier

    def move(self, gradient: Tensor, step: int) -> None:
        """One step of ascent, then back into the limits."""
        gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient * gradient
        mean, square = self.first / (1 - 0.9 ** (step + 1)), self.second / (1 - 0.999 ** (step + 1))
        moved = self.value + _DECAY**step * self.rate * mean / (square.sqrt() + _STILL)
        self.value = moved.clamp(self.least, self.most)


def _variables(engine: Backward, state: State, node: Node, index: Tensor, *, shared: bool) -> list[_Variable]:
    """Everything a pass from ``node`` may choose."""
    found = []
    rows = 1 if shared else len(index)
    for below in state.order(node):
        free = state.free.get(below) if below is not node else None
        if free is None or not len(free):
            continue
        lines = state.relaxed[below]
        sides, tap = lines.free, lines.taps[0]
        assert sides is not None
        least, most = state.maps.between(sides.least[free], sides.most[free])
        start = torch.where(sides.above, tap.high, tap.low)[:, free].to(least.dtype).clamp(least, most)
        value = start[:, None].expand(-1, rows, -1).contiguous()
        found.append(_Variable(below, value, least, most, _RATE * (most - least)))
    for constraint, sign in engine.constraints(node).items():
        found.append(_multiplier(state, node, index, constraint, sign, shared=shared))
    return found


def _multiplier(state: State, node: Node, index: Tensor, constraint: Node, sign: Tensor, *, shared: bool) -> _Variable:
    """Multipliers of the elements of a node whose product with ``sign`` is never positive; 0 where it may be."""
    own, other = state.ranges[node], state.ranges[constraint]
    width = (own.upper - own.lower)[:, index, None]
    width = width.amax(1, keepdim=True) if shared else width
    rate = _PRICE * width / (other.upper - other.lower)[:, None].clamp(min=1e-30)
    rate = (torch.nan_to_num(rate, nan=0.0, posinf=0.0) * (sign != 0)[:, None]).to(state.maps.dtype)
    variable = _Variable(constraint, torch.zeros_like(rate), torch.zeros_like(rate[:1, :1, :1]), None, rate)
    variable.sign = sign[:, None].to(state.maps.dtype)
    return variable


def _dual(variables: list[_Variable], values: list[Tensor]) -> Dual:
    pairs = list(zip(variables, values, strict=True))
    return Dual(
        {v.node: value for v, value in pairs if v.sign is None},
        {v.node: v.sign * value for v, value in pairs if v.sign is not None},
    )


def trace(query: Query, climbed: list[Tensor]) -> tuple[float, ...]:
    """The margin after each step, from the best bounds of the rows so far, ``(steps, 1, rows)`` in pieces.

    Empty for a batch of domains, and where there was nothing to choose. Rounding is not charged on the way.
    """
    if not climbed or climbed[0].shape[1] != 1:
        return ()
    most = max(len(steps) for steps in climbed)  # pieces that ran out of time stay where they were
    full = [torch.cat((steps, steps[-1:].expand(most - len(steps), -1, -1))) for steps in climbed]
    return tuple(_margins(query, torch.cat(full, 2)[:, 0])[:, 0].tolist())


def _margins(query: Query, rows: Tensor) -> Tensor:
    """The margin of the property from lower bounds of its rows ``(batch, rows)``: ``(batch, 1)``, differentiable."""
    some, every = rows.new_full((len(rows), 1), -torch.inf), rows.new_full((len(rows), 1), torch.inf)

    def leaf(node: Atoms | InBox) -> Tensor:
        if isinstance(node, InBox) or not node.soft:
            return some
        chosen = rows[:, torch.as_tensor(node.rows, device=rows.device)]
        return chosen.amax(1, keepdim=True) if node.every else chosen.amin(1, keepdim=True)

    return reduce_formula(
        query.formula,
        leaf,
        lambda parts: torch.cat((some, *parts), 1).amax(1, keepdim=True),
        lambda parts: torch.cat((every, *parts), 1).amin(1, keepdim=True),
    )


def preconditions(query: Query) -> np.ndarray:
    """Numbers of the rows that are at most 0 wherever the formula holds and that are linear in the inputs."""
    linear = np.ones(len(query.rows), dtype=bool)
    for node, part in query.rows.parts.items():
        if not isinstance(node, Input):
            linear[part.row] = False
    held = always(query.formula)
    return held[linear[held]]
