"""Better choices for the rows of a pass, by gradients that are one pass forward.

The bound of a row is a function of the slopes of its open hinges and of its multipliers of limits. It is the minimum
over the inputs of the row with every nonlinear node replaced by its chosen line; so by the envelope theorem its
gradient is the derivative at the minimiser alone. With the values z of all nodes there (:mod:`.minimum`),

    d bound / d slope_j = C_j z_j   on the free side,       d bound / d m_j = lower_j - z_j   (or upper_j - z_j),

where m is the signed multiplier of a limit; that of a cut is ``y - M p - offset`` (Xu et al., Fast and Complete, 2021;
Wang et al., Beta-CROWN, 2021; the same gradients, there by automatic differentiation). Every pass is charged, so each
step's bound is sound as it stands. Rows whose bound exceeds the goal leave the batch.

The bound is concave: a step of Adam whose gain by the gradient exceeds what is missing to the goal is too long, and is
cut down to that (Polyak, 1969: steps towards a value that is known). So a row that begins near its goal, with the
choices of the subproblem that it is a part of, is not thrown off them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.passes.collect import Options
from nnsym.bounds.kept.passes.descent import Choice, Descent, Seed, descend
from nnsym.bounds.kept.passes.minimum import values
from nnsym.bounds.kept.passes.state import State
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Node

Bound = Callable[[Seed, Descent], Array]
Floor = Callable[[Seed], Array]

_RATE = 0.25  # first step of a slope, of the distance between the slopes of its two lines
_PRICE = 0.3  # first step of a multiplier, of the mean coefficient that the row has beside it
_SHARE = 0.2  # first step of a cut's multiplier, of what the row takes off the element that it bounds
_DECAY = 0.97
_BEYOND = 1.125  # the gain that a step may aim at, of what is missing to the goal
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

    def way(self, gradient: Array, step: int) -> Array:
        """One step of ascent, as far as the limits let it go."""
        mean, square = 1.0 / (1.0 - 0.9 ** (step + 1)), 1.0 / (1.0 - 0.999 ** (step + 1))
        moved = gradient - self.first
        moved *= 0.1
        self.first += moved
        size = gradient * gradient
        size -= self.second
        size *= 0.001
        self.second += size
        np.sqrt(np.multiply(self.second, square, out=size), out=size)
        size += _STILL
        np.multiply(self.first, _DECAY**step * mean, out=moved)
        moved /= size
        moved *= self.rate
        moved += self.value
        np.minimum(np.maximum(moved, self.least, out=moved), self.most, out=moved)
        moved -= self.value
        return moved

    def move(self, way: Array, part: Array) -> None:
        """Go a part of the way, ``(sets, rows, 1)``; its place is used up."""
        way *= part
        way += self.value
        self.value = np.minimum(np.maximum(way, self.least, out=way), self.most, out=way)

    def choose(self, rows: Array) -> None:
        """Some rows alone, as one set."""
        for name in ("value", "least", "most", "rate", "first", "second"):
            old = getattr(self, name)
            setattr(self, name, old.reshape(1, len(rows), old.shape[-1])[:, rows])


@final
@dataclass(frozen=True, eq=False)
class _Variables:
    """All blocks of choices of some rows."""

    slopes: Mapping[Node, _Variable]
    multipliers: Mapping[Node, _Variable]
    cuts: Mapping[Node, _Variable]

    @staticmethod
    def of(state: State, seed: Seed, start: Choice) -> _Variables:
        """Those of a start, cut down to their limits."""
        return _Variables(
            {n: _slope(state, seed, n, v) for n, v in start.slopes.items()},
            {n: _multiplier(state, seed, n, v) for n, v in start.multipliers.items()},
            {n: _cut(state, seed, n, v) for n, v in start.cuts.items()},
        )

    @property
    def parts(self) -> tuple[Mapping[Node, _Variable], ...]:
        return self.slopes, self.multipliers, self.cuts

    @property
    def every(self) -> list[_Variable]:
        return [v for part in self.parts for v in part.values()]

    @property
    def choice(self) -> Choice:
        """Their values as they stand."""
        return Choice(*({n: v.value for n, v in part.items()} for part in self.parts))

    def scale(self, state: State, seed: Seed, done: Descent, missing: Array) -> None:
        """First steps of multipliers, from the coefficients that rows have beside them, or from what is missing.

        A row without coefficients has a bound all the same where no point meets its subproblem's limits.
        """
        for node, v in self.multipliers.items():
            v.rate *= np.maximum(_price(state, node, done), _ransom(state, seed, node, missing))
        for node, v in self.cuts.items():
            v.rate = _SHARE * np.maximum(-done.kept[node][..., state.plan.cuts[node].index], 0)

    def move(self, state: State, seed: Seed, done: Descent, choice: Choice, step: int, missing: Array) -> None:
        """One step of all, of rows ``(sets, rows)`` whose bounds are short of the goal by what is ``missing``."""
        gain, ways = np.zeros(missing.shape), list[tuple[_Variable, Array]]()
        for variable, gradient in self._gradients(state, seed, done, choice):
            ways.append((variable, variable.way(gradient, step)))
            gain += np.einsum("kij,kij->ki", gradient, ways[-1][1])
        part = np.where(gain > _BEYOND * missing, _BEYOND * missing / gain, 1.0)[..., None]
        part = part.astype(state.plan.by.dtype)
        for variable, way in ways:
            variable.move(way, part)

    def _gradients(self, state: State, seed: Seed, done: Descent, choice: Choice) -> Iterator[tuple[_Variable, Array]]:
        """The gradients of the rows' bounds by the blocks that a pass met."""
        at = values(state, seed, done, choice)
        for node, variable in self.slopes.items():
            steered, c = state.steered(node), done.kept.get(node)
            if steered is None or c is None:
                continue
            parent = node.parents[0]
            place = state.plan.place(node, parent)
            z = at[parent] if place is None else at[parent][..., place]
            rise = np.minimum(c, 0) if steered.turned else np.maximum(c, 0)
            rise *= z
            rise *= seed.gather(steered.free)
            yield variable, rise
        for node, variable in self.multipliers.items():
            yield variable, _violation(variable.value, at[node], seed.gather(state.held(node)))
        for node, variable in self.cuts.items():
            yield variable, _excess(state, seed, node, at)


def climb(
    state: State,
    seed: Seed,
    start: Choice,
    bound: Bound,
    floor: Floor,
    options: Options,
    *,
    steps: int,
) -> tuple[Array, Choice]:
    """The best bounds of the rows ``(sets, rows)`` within some steps, and the choices that gave them.

    ``start`` is where to begin: slopes of every hinge that is steered, multipliers of every limit and cut that may be
    used. ``bound`` makes sound bounds of a pass, ``floor`` are some that are known without. Ends early where all rows
    exceed the goal.
    """
    variables = _Variables.of(state, seed, start)
    shape, live = seed.index.shape, np.arange(seed.index.size)
    best = np.full(seed.index.size, -np.inf)
    kept = [{n: v.value.copy() for n, v in part.items()} for part in variables.parts]
    for step in range(steps + 1):
        choice = variables.choice
        done = descend(state, seed, choice, keep=True)
        passed = bound(seed, done)
        found = np.maximum(passed, floor(seed)).ravel()
        better = found > best[live]
        best[live[better]] = found[better]
        for into, part in zip(kept, variables.parts, strict=True):
            for node, v in part.items():
                n = v.value.shape[-1]
                into[node].reshape(best.size, n)[live[better]] = v.value.reshape(len(live), n)[better]
        if not step:
            variables.scale(state, seed, done, options.goal - passed)
        left = best[live] <= options.goal
        if step == steps or options.deadline.passed or not left.any():
            break
        variables.move(state, seed, done, choice, step, options.goal - passed)
        if left.mean() < _CROWDED:
            live = live[left]
            seed = seed.flat(left)
            for v in variables.every:
                v.choose(left)
    return best.reshape(shape), Choice(*kept)


def _excess(state: State, seed: Seed, node: Node, at: Mapping[Node, Array]) -> Array:
    """How far a node is above its cuts."""
    cuts = state.plan.cuts[node]
    over = at[node][..., cuts.index] - seed.gather(state.cut(node).offset).astype(at[node].dtype)
    for matrix, parent in cuts.matrices:
        over -= matrix.forward(at[parent])
    return np.where(np.isfinite(over), over, 0.0)


def _violation(value: Array, z: Array, table: Array) -> Array:
    """How far a node is from the limit that a multiplier belongs to; of two at 0 from the one that it violates."""
    below, above = table[:, 2] - z, table[:, 3] - z
    none = value == 0
    below *= (value > 0) | (none & (below > 0))
    above *= (value < 0) | (none & (above < 0))
    below += above
    return below


def _price(state: State, node: Node, done: Descent) -> Array:
    """The first step of a multiplier: a part of the mean coefficient that rows have where it would change them."""
    plan = state.plan
    beside = [done.kept[n] for n in (node, *plan.readers[node]) if n in done.kept]
    beside = beside or list(done.forms.values())
    size = np.sum([np.abs(c).sum(axis=-1, keepdims=True) / max(1, c.shape[-1]) for c in beside], axis=0)
    if isinstance(node, Affine) and node is plan.hard:  # its multiplier changes coefficients of inputs
        parts = plan.matrices[node]
        mean = sum(float(m.size.sum()) for m in parts) / max(1, sum(math.prod(m.shape) for m in parts))
        size = size / max(mean, 2.0**-60)
    return np.asarray(_PRICE * size, dtype=plan.by.dtype)


def _ransom(state: State, seed: Seed, node: Node, missing: Array) -> Array:
    """The multiplier at which limits that are missed by their nodes' radii make up for what is missing."""
    reach = seed.gather(np.where(np.isfinite(state.radius[node]), state.radius[node], 0.0).sum(axis=1)[:, None])
    known = np.isfinite(missing)[..., None] & (reach > 0)
    share = np.where(known, np.maximum(missing, 0.0)[..., None], 0.0) / np.where(reach > 0, reach, 1.0)
    return share.astype(state.plan.by.dtype)


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


def _cut(state: State, seed: Seed, node: Node, value: Array) -> _Variable:
    usable = seed.gather(state.cut(node).usable)
    most = np.broadcast_to(np.where(usable, np.inf, 0.0).astype(value.dtype), value.shape)
    least = np.zeros_like(value)
    value = np.clip(value, least, most)
    return _Variable(value, least, most, np.ones_like(value), np.zeros_like(value), np.zeros_like(value))


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
        if not isinstance(node, Input) and (node in below or node is plan.hard) and np.isfinite(sides).any():
            none = np.zeros((*shape, plan.size(node)), dtype=dtype)
            multipliers[node] = warm.multipliers.get(node, none)
    of_cuts = {n: np.zeros((*shape, len(plan.cuts[n])), dtype=dtype) for n in below if n in plan.cuts}
    cuts = {n: warm.cuts.get(n, none) for n, none in of_cuts.items()}
    return Choice(slopes, multipliers, cuts)
