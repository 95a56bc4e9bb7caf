"""LipSDP by multipliers that are found without a solver: block elimination, and Adam on their logarithms.

For multipliers ``t`` of the inequalities of :mod:`sectors` the quadratic form

    rho |x|^2 - |output|^2 - sum t (inequality)  =  z' M(rho, t) z

is not negative on all increments ``z`` if ``M`` is positive semidefinite; then ``sqrt rho`` is a Lipschitz constant
2 -> 2. Eliminating the blocks from the last to the first leaves ``rho I - B(t)``, so ``rho = lambda_max(B)`` is best
for ``t`` (the recursion of Xu and Sivaranjani, ECLipsE, 2024, read backwards, on any graph). With ``z`` the vector that
the eliminated blocks give the leading eigenvector, ``d rho / d t = (inequality at z)``: no differentiation is needed.

Nothing here is a proof: :mod:`certificate` checks what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds.lipschitz.merged import Weight
from nnsym.bounds.lipschitz.sectors import Block, Sectors
from nnsym.ir.array import Array
from nnsym.results.clock import NEVER, Deadline, latest

Multipliers = tuple[Array, ...]

_STEPS = 400
_RATE = 0.03
_PATIENCE = 40  # steps in which rho has to fall by _GAIN
_GAIN = 1e-5
_ROOMS = (2.0, 1.2)  # of the first multipliers, over the least that leave a block definite
_EDGE = 1 + 1e-7  # where a sort has its best ones; descent would be stuck there


@final
@dataclass(frozen=True, eq=False)
class FoundMultipliers:
    """Multipliers, one array a block, and what they give before any check."""

    multipliers: Multipliers
    rho: float


def search(
    system: Sectors, *, start: Multipliers | None = None, steps: int = _STEPS, deadline: Deadline = NEVER
) -> FoundMultipliers | None:
    """The best multipliers that were found; None if none were feasible in floats, or none by the deadline."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflowed is not feasible
        return latest(_improved(_Form(_narrowed(system), deadline), start, steps))


def _improved(form: _Form, start: Multipliers | None, steps: int) -> Iterator[FoundMultipliers]:
    """Better and better multipliers: the best of several first ones, then descent from the first of these."""
    first, best = None, None
    for begun in form.first(start):
        first = begun if first is None else first
        if best is None or begun.rho < best.rho:
            best = FoundMultipliers(begun.multipliers, begun.rho)
            yield best
    if first is None or best is None or best.rho <= form.least * (1 + _GAIN) or not first.multipliers:
        return
    here, logs = first, np.log(np.concatenate(first.multipliers))
    mean, square, trend = np.zeros_like(logs), np.zeros_like(logs), [here.rho]
    for step in range(1, steps + 1):
        slope = np.concatenate(here.gradient) * np.exp(logs) / here.rho
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope * slope
        rate = _RATE * 0.5 * (1 + np.cos(np.pi * (step - 1) / steps))
        move = rate * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-12)
        tried = None
        for _ in range(6):  # halve towards the last feasible point
            tried = form.eliminated(form.split(np.exp(logs - move)))
            if tried is not None:
                break
            move = move / 2
        if tried is None:
            return
        logs, here = logs - move, tried
        if here.rho < best.rho:
            best = FoundMultipliers(here.multipliers, here.rho)
            yield best
        trend.append(min(trend[-1], here.rho))
        if len(trend) > _PATIENCE and trend[-1] > trend[-1 - _PATIENCE] * (1 - _GAIN):
            return


def _narrowed(system: Sectors) -> Sectors:
    """The system over an orthonormal basis of what it reads of its inputs, where these are more."""
    reads = [b.argument[0].matrix for b in system.blocks if 0 in b.argument]
    reads += [system.root[0].matrix] if 0 in system.root else []
    height = sum(len(m) for m in reads)
    if not reads or height >= system.width:
        return system
    basis = np.linalg.qr(np.vstack(reads).T)[0]

    def turned(weights: Any) -> dict[int, Weight]:
        return {k: Weight(w.matrix @ basis) if k == 0 else w for k, w in weights.items()}

    blocks = tuple(Block(turned(b.argument), b.size, b.low, b.high, b.groups) for b in system.blocks)
    return Sectors(basis.shape[1], blocks, turned(system.root))


@final
@dataclass(frozen=True, eq=False)
class _Eliminated:
    multipliers: Multipliers
    rho: float
    gradient: Multipliers


class _Form:
    """The quadratic form of a system, eliminated for any multipliers until the deadline."""

    def __init__(self, system: Sectors, deadline: Deadline = NEVER) -> None:
        self.system, self.deadline = system, deadline
        self.base = {
            (i, j): -(system.root[i].matrix.T @ system.root[j].matrix)
            for i in system.root
            for j in system.root
            if i >= j
        }

    @property
    def least(self) -> float:
        """What no multipliers can go below: the inputs' own part of the outputs, where all blocks may stand still."""
        still = all((b.low <= 0).all() and (b.high >= 0).all() for b in self.system.blocks)
        if 0 not in self.system.root or not still:
            return 0.0
        return float(np.linalg.norm(self.system.root[0].matrix, 2) ** 2)

    def first(self, start: Multipliers | None) -> Iterator[_Eliminated]:
        """Where descent may begin, as far as it is feasible: given multipliers, one number a block, the edge."""
        given = [start] if start is not None else []
        tried = [*((m, 0.0) for m in given), *((None, room) for room in _ROOMS)]
        cancelling = self.cancelling()
        tried += [(cancelling, 0.0)] if cancelling is not None else []
        for multipliers, room in (*tried, (None, _EDGE)):
            found = self.eliminated(multipliers, room)
            if found is not None:
                yield found

    def cancelling(self) -> Multipliers | None:
        """Multipliers that cancel the products of a block with the inputs, where one number for each row can.

        Of ``x - 2 W T^-1 relu(W' x)`` these are the ones that show its constant to be 1.
        """
        found = []
        for k, block in enumerate(self.system.blocks, 1):
            slope, own = block.low + block.high, block.argument.get(0)
            if block.groups is not None or own is None or (k, 0) not in self.base or (slope <= 0).any():
                return None
            size = (own.matrix**2).sum(axis=1) * slope
            t = (self.base[k, 0] * own.matrix).sum(axis=1) / np.where(size > 0, size, 1.0)
            if (t <= 0).any():
                return None
            found.append(t)
        return tuple(found) or None

    def split(self, flat: Array) -> Multipliers:
        return tuple(np.split(flat, np.cumsum([b.size for b in self.system.blocks])[:-1]))

    def eliminated(self, multipliers: Multipliers | None, room: float = 2.0) -> _Eliminated | None:
        """``rho`` and its gradient; None where a block is not definite. Out of time it stops between two blocks.

        Without multipliers every block has one number, ``room`` times the least that leaves it definite.
        """
        from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

        parts, count = dict(self.base), len(self.system.blocks)
        chosen: list[Array] = [np.zeros(0)] * count
        solved: list[dict[int, Array]] = [{} for _ in range(count + 1)]
        try:
            for k in range(count, 0, -1):
                self.deadline.check()
                block = self.system.blocks[k - 1]
                t = _least(block, parts.get((k, k)), room) if multipliers is None else multipliers[k - 1]
                chosen[k - 1] = t
                _add(parts, k, block, t)
                factor = cho_factor(parts.pop((k, k)), lower=True, check_finite=False)
                rows = {j: parts.pop((k, j)) for j in range(k) if (k, j) in parts}
                solved[k] = {j: cho_solve(factor, row, check_finite=False) for j, row in rows.items()}
                for i, row in rows.items():
                    for j, column in solved[k].items():
                        if i >= j:
                            _sum(parts, (i, j), -(row.T @ column))
            self.deadline.check()
            top = -parts.get((0, 0), np.zeros((self.system.width,) * 2))
            n = len(top)
            values, vectors = eigh((top + top.T) / 2, subset_by_index=[n - 1, n - 1], check_finite=False)
        except (LinAlgError, ValueError):
            return None
        if not len(values) or not np.isfinite(values[0]):  # no value at all: of numbers that overflowed
            return None
        z = [vectors[:, 0]]
        for k in range(1, count + 1):
            z.append(-sum((x @ z[j] for j, x in solved[k].items()), start=np.zeros(self.system.blocks[k - 1].size)))
        slopes = tuple(_inequality(b, k, z) for k, b in enumerate(self.system.blocks, 1))
        return _Eliminated(tuple(chosen), float(values[0]), slopes)


def _least(block: Block, part: Array | None, room: float) -> Array:
    own = 0.0 if part is None else float(np.linalg.eigvalsh(-(part + part.T) / 2)[-1])
    diagonal = 2.0 if block.groups is None else 1.0  # times t
    return np.full(block.size, max(own, 1e-12) * room / diagonal)


def _sum(parts: dict[tuple[int, int], Array], key: tuple[int, int], value: Array) -> None:
    parts[key] = parts[key] + value if key in parts else value


def _add(parts: dict[tuple[int, int], Array], k: int, block: Block, t: Array) -> None:
    """The multiples of a block's inequalities, into the lower blocks of the form."""
    for key, value in terms(block, k, t):
        _sum(parts, key, value)


def terms(block: Block, k: int, t: Array) -> list[tuple[tuple[int, int], Array]]:
    """What a block's inequalities with multipliers t add to the matrix, as lower blocks ``(i, j)``."""
    if block.groups is not None:
        weight, diagonal, cross = -spread(block, t), np.diag(t), None
    else:
        weight, diagonal, cross = 2 * t * block.low * block.high, np.diag(2 * t), t * (block.low + block.high)
    found = [((k, k), diagonal)]
    if cross is not None:
        found += [((k, j), -cross[:, None] * w.matrix) for j, w in block.argument.items()]
    if weight.any():
        for i, w in block.argument.items():
            found += [((i, j), w.matrix.T @ (weight[:, None] * v.matrix)) for j, v in block.argument.items() if i >= j]
    return found


def spread(block: Block, t: Array) -> Array:
    """For every element of a maximum's argument the multipliers of its groups, added up."""
    assert block.groups is not None
    size = len(next(iter(block.argument.values())).matrix)
    inside = block.groups >= 0
    return np.bincount(block.groups[inside], weights=np.broadcast_to(t[:, None], inside.shape)[inside], minlength=size)


def _inequality(block: Block, k: int, z: list[Array]) -> Array:
    """The block's left-hand sides at ``z``."""
    u = sum((w.matrix @ z[j] for j, w in block.argument.items()), start=np.zeros(1))
    y = z[k]
    if block.groups is not None:
        return np.asarray(np.where(block.groups >= 0, u[block.groups] ** 2, 0.0).sum(axis=1) - y * y)
    return np.asarray(2 * (block.low + block.high) * u * y - 2 * block.low * block.high * u * u - 2 * y * y)
