"""``lipschitz``: a certified Lipschitz constant of a network, and two points that show how small none can be.

Upper bounds come from methods of very different price, each by itself; the least counts:

    norms      distances through the graph, layer by layer        sdp      multipliers, certified on the full matrix
    jacobian   intervals of the Jacobian over the domain          crown, alpha ...   linear bounds of the Jacobian
    exact      the largest norm of the Jacobian, by a program or region by region
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.ask.lipschitz.constant import LipschitzConstant, Tried
from nnsym.ask.lipschitz.jacobians import by_bounds, by_program, by_regions
from nnsym.ask.lipschitz.slope import steepest
from nnsym.ask.lipschitz.space import Space
from nnsym.ask.options import require_options
from nnsym.ask.threshold import Threshold, smallest
from nnsym.ask.verify import verify
from nnsym.bounds.lipschitz.certificate import proved_exactly
from nnsym.bounds.lipschitz.constants import certificate
from nnsym.bounds.lipschitz.distance import Distance, propagate
from nnsym.bounds.lipschitz.jacobian import interval_jacobian, jacobian_norm
from nnsym.bounds.lipschitz.norms import Norm, norm_of
from nnsym.bounds.lipschitz.sectors import sectors
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.intervals import Sides
from nnsym.ir.network import Network
from nnsym.ir.node import Node
from nnsym.judge.methods import BoundMethod
from nnsym.judge.programs.methods import ProgramMethod
from nnsym.judge.registry import resolve
from nnsym.lang.property import Property
from nnsym.lang.props import lipschitz as lipschitz_property
from nnsym.results import ranges as options_of
from nnsym.results.clock import Clock, Deadline, OutOfTime
from nnsym.results.result import Trust

#: Methods of this question alone, the quick ones first.
OWN = ("norms", "sdp", "jacobian", "exact")

_EXACT = 40  # inputs and neurons together up to which multipliers are checked in rationals, too
_SLOPES_SHARE = 0.2  # of the time, for the search of steep pairs


def lipschitz(
    f: Network,
    lower: object = None,
    upper: object = None,
    method: Any = None,
    *,
    where: object = None,
    p: object = None,
    q: object = None,
    high: float | None = None,
    low: float = 0.0,
    precision: float = 1e-3,
    gap: object = 0,
    timeout: float = 60.0,
    seed: int = 0,
    clock: Clock | None = None,
    **options: Any,
) -> LipschitzConstant | Threshold:
    """The least L with ``|f(x) - f(y)|_q <= L |x - y|_p`` on a domain: certified above, a slope of two points below.

    Args:
        f: a network of one input and one output.
        lower: with ``upper`` the domain as a box, the same as ``where=(lower, upper)``.
        upper: see ``lower``.
        method: ``norms``, ``sdp``, ``jacobian``, ``exact``, a source of bounds for the Jacobian (``crown``,
            ``alpha:20``), an exact encoding for it (``bigm``), or a list of these, of which the least bound counts.
            With none, all that are quick.
        where: the domain: a pair (lower, upper), or a formula of boxes and balls of one variable; None for all inputs.
        p: the norm of the inputs: 1, 2 or inf; 2 if left out.
        q: the norm of the outputs: 1, 2 or inf; 2 if left out.
        high: with it the constant is bisected in [low, high] as a threshold of the property
            :func:`nnsym.props.lipschitz` of two copies of the network, by any method of ``verify``. p is then inf if
            left out, every output is compared by itself (q = inf), and a ``gap`` allows jumps.
        low: see ``high``.
        precision: see ``high``.
        gap: see ``high``.
        timeout: wall seconds for everything.
        seed: seed of the search for steep pairs.
        clock: a budget that has been running already.
        options: with ``high``, those of ``verify``.

    Raises:
        InputError: an unknown method or norm, a domain that is no box or ball.
        UnsupportedError: the method that was named cannot take the network.
    """
    domain = _domain(lower, upper, where)
    if high is not None:
        require_options("lipschitz", options, verify)
        search = {"low": low, "high": high, "precision": precision, "timeout": timeout, "seed": seed, **options}
        return _bisected(f, domain, method, p, q, gap, **search)
    if gap != 0 or options:
        name = "gap" if gap != 0 else next(iter(options))
        raise InputError(f"'{name}' is an option of the search along L", remedy="Give high=, or leave it out")
    space, chosen, seed = Space.of(f, domain), _methods(method), options_of.seed(seed)
    if domain is not None:
        import nnsym.bounds.engine.backward.linear  # noqa: F401  # heavy: torch, loaded before the clock runs
    running = clock if clock is not None else Clock(options_of.seconds(timeout))
    asker = _Asker(space, norm_of(2 if p is None else p), norm_of(2 if q is None else q), running)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is infinite, and no bound
        tried = tuple(asker.ask(name, left=len(chosen) - k, named=method is not None) for k, name in enumerate(chosen))
        return _answer(asker, tried, seed)


def _domain(lower: object, upper: object, where: object) -> object:
    """The domain as ``where`` takes it."""
    if (lower is None) is not (upper is None):
        raise InputError("one limit of the box is missing", remedy="Give lower and upper, or where=(lower, upper)")
    if lower is not None and where is not None:
        raise InputError("the domain is given twice", remedy="Give lower and upper, or where=")
    return (lower, upper) if lower is not None else where


def _answer(asker: _Asker, tried: tuple[Tried, ...], seed: int) -> LipschitzConstant:
    """The least of the upper bounds, and the steepest pair of points."""
    clock, best = asker.clock, min(tried, key=lambda t: t.bound)
    with clock.step("slopes") as notes:
        end = clock.deadline(_SLOPES_SHARE)
        found = steepest(asker.space, asker.p, asker.q, seed=seed, deadline=end)
        notes.append("no pair" if found is None else f"{found.value:.9g}, {found.replayed_by}")
    return LipschitzConstant(
        p=asker.p,
        q=asker.q,
        where=asker.space.text(),
        certified=best.bound,
        falsified=found.value if found is not None else 0.0,
        trust=best.trust,
        method=best.method if np.isfinite(best.bound) else "",
        witness=found,
        tried=tried,
        seconds={**clock.seconds, "total": clock.elapsed},
        trail=tuple(clock.trail),
    )


def _methods(method: Any) -> tuple[Any, ...]:
    """The methods that were asked for; the quick ones where none was."""
    match method:
        case None:
            chosen: tuple[Any, ...] = ("norms", "sdp", "jacobian")
        case list() | tuple():
            chosen = tuple(method)
        case _:
            chosen = (method,)
    if not chosen:
        raise InputError("no method", remedy="Name one, or leave method= out")
    for name in chosen:
        if not (isinstance(name, str) and name in OWN) and not _proves(name):
            raise InputError(
                f"'{name}' bounds no Jacobian",
                remedy=f"Use {', '.join(OWN)}, bounds such as crown, or an encoding such as bigm (nnsym methods)",
            )
    return chosen


def _proves(name: Any) -> bool:
    """True for a source of bounds, or an encoding with its solver."""
    try:
        return isinstance(resolve(name), (BoundMethod, ProgramMethod))
    except InputError:
        return False


@final
@dataclass(eq=False)
class _Asker:
    """Asks methods about one network, domain and pair of norms; the nodes' ranges are bounded once."""

    space: Space
    p: Norm
    q: Norm
    clock: Clock
    _ranges: Mapping[Node, Sides] | None = None

    def ask(self, method: Any, *, left: int, named: bool) -> Tried:
        """One method's bound, in its share of the time; what it cannot take raises only where it was named."""
        name = method if isinstance(method, str) else resolve(method).name
        before, note, bound, trust = self.clock.elapsed, "", np.inf, Trust.CERTIFIED
        with self.clock.step(name) as notes:
            try:
                bound, trust = self._own().get(method, self._other)(method, self.clock.deadline(1 / (left + 1)))
            except OutOfTime:
                note = "no time"
            except UnsupportedError as error:
                if named:
                    raise
                note = str(error)
            notes.append(note or f"{bound:.9g}")
        reached = np.isfinite(bound)
        note = note or ("" if reached else "no bound")
        return Tried(
            method=name, bound=bound, trust=trust if reached else None, seconds=self.clock.elapsed - before, note=note
        )

    def _own(self) -> dict[Any, Callable[[Any, Deadline], tuple[float, Trust]]]:
        return {"norms": self._norms, "sdp": self._sdp, "jacobian": self._jacobian, "exact": self._exact}

    def ranges(self, deadline: Deadline) -> Mapping[Node, Sides]:
        """The nodes' ranges on the domain; a later call takes what the first one found by its deadline."""
        if self._ranges is None:
            self._ranges = self.space.ranges("crown", deadline)
        return self._ranges

    def _norms(self, _: Any, deadline: Deadline) -> tuple[float, Trust]:
        n = self.space.x.size
        sizes = {1: (1.0, 1.0, 1.0), 2: (np.inf, 1.0, 1.0), "inf": (np.inf, np.inf, 1.0)}[self.p]
        start = Distance.of(np.ones(n), *sizes)
        ranges = self.ranges(deadline.share(0.5))
        moved = propagate(self.space.nodes, {self.space.x: start}, ranges, deadline=deadline)
        return moved[self.space.root][self.q], Trust.CERTIFIED

    def _sdp(self, _: Any, deadline: Deadline) -> tuple[float, Trust]:
        """Of the norms 2 -> 2, with ``|x|_2 <= sqrt n |x|_inf`` at both ends; q = inf output by output."""
        space = self.space
        nodes = tuple(n for n in space.nodes if n is not space.x)
        system = sectors(space.root, (space.x,), self.ranges(deadline.share(0.5)), nodes, deadline=deadline)
        if system is None:
            raise UnsupportedError(
                "no sectors of this graph: too many neurons, a product, or slopes without bounds",
                remedy="Use norms, jacobian, or a domain",
            )
        proof = certificate(system, deadline=deadline.share(0.7))
        found = proof.constant
        if self.q == "inf" and system.outputs > 1:
            start, rows = None, []
            for i in range(system.outputs):
                one = certificate(system.row(i), start=start, deadline=deadline)
                start = one.multipliers or start
                rows.append(one.constant)
            found = min(found, max(rows))
        if (self.p, self.q) == (2, 2) and space.query is None and sum(system.sizes) <= _EXACT:
            exact = proved_exactly(system, proof.multipliers, found)
            return found, Trust.EXACT if exact else Trust.CERTIFIED
        wide = len(space.open_axes) if self.p == "inf" else 1
        tall = space.root.size if self.q == 1 else 1
        return found * float(np.sqrt(wide) * np.sqrt(tall)) * (1 + 2.0**-50), Trust.CERTIFIED

    def _jacobian(self, _: Any, deadline: Deadline) -> tuple[float, Trust]:
        ranges = self.ranges(deadline.share(0.5))
        ends = interval_jacobian(self.space.root, self.space.x, ranges, deadline=deadline)
        if ends is None:
            raise UnsupportedError("the graph has a node without slopes", remedy="Use norms")
        axes = self.space.open_axes
        return jacobian_norm((ends[0][:, axes], ends[1][:, axes]), self.p, self.q), Trust.CERTIFIED

    def _exact(self, _: Any, deadline: Deadline) -> tuple[float, Trust]:
        if self.p == 2 or (self.q == 2 and self.space.root.size > 1):
            return by_regions(self.space, self.p, self.q, deadline)
        return by_program(self.space, "bigm", self.p, self.q, deadline)

    def _other(self, method: Any, deadline: Deadline) -> tuple[float, Trust]:
        """A source of bounds, or an encoding, of the Jacobian as terms."""
        found = resolve(method)
        if isinstance(found, BoundMethod):
            return by_bounds(self.space, found.source, self.p, self.q, deadline)
        return by_program(self.space, found, self.p, self.q, deadline)


def _bisected(f: Network, domain: Any, method: Any, p: object, q: object, gap: object, **options: Any) -> Threshold:
    """The smallest L whose property of two copies holds, by any method of ``verify``."""
    if not isinstance(domain, tuple):
        raise InputError("a search along L needs a box", remedy="Give lower and upper")
    if q is not None and norm_of(q) != "inf":
        raise InputError(f"a search along L compares every output by itself, not in the norm {q}", remedy="Use q=inf")
    near, (lower, upper) = np.inf if p is None else p, domain

    def bounded_by(constant: float) -> Property:
        return lipschitz_property(f, lower, upper, constant, p=near, gap=gap)

    return smallest(bounded_by, method, **options)
