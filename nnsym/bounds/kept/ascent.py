"""Better choices for the rows of a pass, by gradients that are one pass forward.

The bound of a row is a function of the slopes of its open hinges and of its multipliers of limits. It is the minimum
over the inputs of the row with every nonlinear node replaced by its chosen line; so by the envelope theorem its
gradient is the derivative at the minimiser alone. With the values z of all nodes there (:mod:`.minimum`),

    d bound / d slope_j = C_j z_j   on the free side,       d bound / d m_j = lower_j - z_j   (or upper_j - z_j),

where m is the signed multiplier of a limit (Xu et al., Fast and Complete, 2021; Wang et al., Beta-CROWN, 2021; the same
gradients, there by automatic differentiation). Every pass is charged, so each step's bound is sound as it stands. Rows
whose bound exceeds the goal leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.collect import Options
from nnsym.bounds.kept.descent import Choice, Descent, Seed, descend
from nnsym.bounds.kept.minimum import values
from nnsym.bounds.kept.state import State
from nnsym.ir.node import Affine, Input, Node

Array = NDArray[Any]
Bound = Callable[[Seed, Descent], Array]

_RATE = 0.25  # first step of a slope, of the distance between the slopes of its two lines
_PRICE = 0.3  # first step of a multiplier, of the mean coefficient that the row has beside it
_DECAY = 0.97
_STILL = 1e-12  # gradients of this size are noise and move nothing
_CROWDED = 0.75  # the part of the rows that has to be open for the others to be carried along


@final
@dataclass(eq=False)
class _Variable:
    """One block of choices ``(sets, rows, n)``, with the moments of Adam (Kingma and Ba, 2015)."""

    value: Array
    least: Array
    most: Array
    rate: Array
    first: Array
    second: Array

    def move(self, gradient: Array, step: int) -> None:
        """One step of ascent, then back into the limits."""
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.001 * (gradient * gradient - self.second)
        mean, square = 1.0 / (1.0 - 0.9 ** (step + 1)), 1.0 / (1.0 - 0.999 ** (step + 1))
        moved = self.first * (_DECAY**step * mean) / (np.sqrt(self.second * square) + _STILL)
        moved *= self.rate
        moved += self.value
        self.value = np.minimum(np.maximum(moved, self.least, out=moved), self.most, out=moved)

    def choose(self, rows: Array) -> None:
        """Some rows alone, as one set."""
        for name in ("value", "least", "most", "rate", "first", "second"):
            old = getattr(self, name)
            setattr(self, name, old.reshape(1, len(rows), old.shape[-1])[:, rows])


def climb(
    state: State,
    seed: Seed,
    start: Choice,
    bound: Bound,
    options: Options,
    *,
    steps: int,
) -> tuple[Array, Choice]:
    """The best bounds of the rows ``(sets, rows)`` within some steps, and the choices that gave them.

    ``start`` is where to begin: slopes of every hinge that is steered, multipliers of every limit that may be used.
    ``bound`` makes sound bounds of a pass. Ends early where all rows exceed the goal.
    """
    slopes = {n: _slope(state, seed, n, v) for n, v in start.slopes.items()}
    multipliers = {n: _multiplier(state, seed, n, v) for n, v in start.multipliers.items()}
    shape, live = seed.index.shape, np.arange(seed.index.size)
    best = np.full(seed.index.size, -np.inf)
    kept = [{n: v.value.copy() for n, v in part.items()} for part in (slopes, multipliers)]
    for step in range(steps + 1):
        choice = Choice({n: v.value for n, v in slopes.items()}, {n: v.value for n, v in multipliers.items()})
        done = descend(state, seed, choice, keep=True)
        found = bound(seed, done).ravel()
        better = found > best[live]
        best[live[better]] = found[better]
        for part, variables in zip(kept, (slopes, multipliers), strict=True):
            for node, v in variables.items():
                n = v.value.shape[-1]
                part[node].reshape(best.size, n)[live[better]] = v.value.reshape(len(live), n)[better]
        if not step:
            for node, v in multipliers.items():
                v.rate *= _price(state, node, done)
        left = best[live] <= options.goal
        if step == steps or options.deadline.passed or not left.any():
            break
        _move(state, seed, done, choice, slopes, multipliers, step)
        if left.mean() < _CROWDED:
            live = live[left]
            seed = seed.flat(left)
            for v in (*slopes.values(), *multipliers.values()):
                v.choose(left)
    return best.reshape(shape), Choice(*kept)


def _move(
    state: State,
    seed: Seed,
    done: Descent,
    choice: Choice,
    slopes: Mapping[Node, _Variable],
    multipliers: Mapping[Node, _Variable],
    step: int,
) -> None:
    """One step of all choices."""
    at = values(state, seed, done, choice)
    for node, variable in slopes.items():
        steered, c = state.steered(node), done.kept.get(node)
        if steered is None or c is None:
            continue
        parent = node.parents[0]
        place = state.plan.place(node, parent)
        z = at[parent] if place is None else at[parent][..., place]
        side = np.minimum(c, 0) if steered.turned else np.maximum(c, 0)
        variable.move(side * z * seed.gather(steered.free), step)
    for node, variable in multipliers.items():
        variable.move(_violation(variable.value, at[node], seed.gather(state.held(node))), step)


def _violation(value: Array, z: Array, table: Array) -> Array:
    """How far a node is from the limit that a multiplier belongs to; of two at 0 from the one that it violates."""
    below, above = table[:, 2] - z, table[:, 3] - z
    rising: Array = (value > 0) | ((value == 0) & (below > 0))
    falling: Array = (value < 0) | ((value == 0) & (above < 0))
    return np.asarray(rising * below + falling * above)


def _price(state: State, node: Node, done: Descent) -> Array:
    """The first step of a multiplier: a part of the mean coefficient that rows have where it would change them."""
    plan = state.plan
    beside = [done.kept[n] for n in (node, *plan.readers[node]) if n in done.kept]
    beside = beside or list(done.forms.values())
    size = np.sum([np.abs(c).mean(axis=-1, keepdims=True) for c in beside], axis=0)
    if isinstance(node, Affine) and node is plan.cuts:  # its multiplier changes coefficients of inputs
        size = size / max(float(np.mean([m.size.mean() for m in plan.matrices[node]])), 2.0**-60)
    return np.asarray(_PRICE * size, dtype=plan.by.dtype)


def _slope(state: State, seed: Seed, node: Node, value: Array) -> _Variable:
    steered = state.steered(node)
    assert steered is not None
    least, most = (np.broadcast_to(seed.gather(side), value.shape) for side in (steered.least, steered.most))
    value = np.clip(value, least, most)
    return _Variable(value, least, most, _RATE * (most - least), np.zeros_like(value), np.zeros_like(value))


def _multiplier(state: State, seed: Seed, node: Node, value: Array) -> _Variable:
    lower, upper = (seed.gather(np.isfinite(side)) for side in state.limits[node])
    least = np.broadcast_to(np.where(upper, -np.inf, 0.0).astype(value.dtype), value.shape)
    most = np.broadcast_to(np.where(lower, np.inf, 0.0).astype(value.dtype), value.shape)
    value = np.clip(value, least, most)
    rate = np.ones((*value.shape[:-1], 1), dtype=value.dtype)
    return _Variable(value, least, most, rate, np.zeros_like(value), np.zeros_like(value))


def beginning(state: State, seed: Seed, warm: Choice) -> Choice:
    """Where an ascent of the rows begins: what is known of them, else the slopes of a plain pass and no multipliers."""
    plan = state.plan
    below = plan.order(seed.start)[1:]
    shape, dtype = seed.index.shape, plan.by.dtype
    slopes, multipliers = {}, {}
    for node in below:
        steered = None if isinstance(node, Input) else state.steered(node)
        if steered is not None:
            own = seed.gather(steered.step.table[:, 3 if steered.turned else 2])
            slopes[node] = np.array(np.broadcast_to(warm.slopes.get(node, own), (*shape, own.shape[-1])))
    for node, sides in state.limits.items():
        if not isinstance(node, Input) and (node in below or node is plan.cuts) and np.isfinite(sides).any():
            none = np.zeros((*shape, plan.size(node)), dtype=dtype)
            multipliers[node] = warm.multipliers.get(node, none)
    return Choice(slopes, multipliers)
