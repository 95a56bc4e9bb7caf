"""Methods are values: how a property is to be judged, before anything is run.

``ibp()`` and ``crown()`` judge by bounds alone, ``attack()`` looks for a counterexample. Encodings with a solver are
:mod:`nnsym.judge.programs.methods`, of which a verdict by search loads nothing. :mod:`nnsym.judge.registry` turns names
into methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nnsym.bounds.builtin import Alpha
from nnsym.bounds.methods import compute
from nnsym.bounds.sources import FloatBoxes, Source, Told
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import soft_rows
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established, conclude
from nnsym.judge.least import Least, attacked
from nnsym.judge.method import RESTARTS, SHARE, STEPS, Establisher, Settings, scouted
from nnsym.judge.run import by_bounds, establish_attack, establish_bounds, establish_bounds_each
from nnsym.relaxation.sources import find_source
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Result


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class BoundMethod(Establisher):
    """Judge by the bounds of the specification layer from ``source``, a text such as ``crown`` or ``alpha:20``."""

    source: str
    quick = True
    goal = "bounds"

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.source

    @property
    def bounds(self) -> str:  # type: ignore[override]
        return self.source

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        return establish_bounds(query, self.source, clock, settings)

    def establish_each(
        self, query: Query, boxes: FloatBoxes, clock: Clock, settings: Settings
    ) -> Sequence[Established]:
        return establish_bounds_each(query, self.source, boxes, clock, settings)

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        return self.narrow(scouted(query, clock, settings), query, clock, settings, precision)

    def narrow(self, found: Least, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        return found.better(by_bounds(query, self.source, clock, settings))

    def support(self, asked: Query, deadline: Deadline) -> tuple[Array, bool]:
        return compute(asked, find_source(self.source)).rows.lower[soft_rows(asked.formula)], True


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class AttackMethod(Establisher):
    """Look for a counterexample by sampling and projected gradient descent; falsifies or says nothing.

    ``restarts`` points descend at once for ``steps`` steps (:func:`nnsym.bounds.points.attack.search`). ``seed``
    overrides the seed of the run. Wherever no counterexample is found the least replayed margin is an upper bound of
    the margin.
    """

    restarts: int = 100
    steps: int = 50
    seed: int | None = None
    name = "attack"
    quick = True
    proves = False
    goal = "attack"

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 0:
            raise InputError(
                f"an attack of {self.restarts} restarts and {self.steps} steps",
                remedy="Give at least one restart, and no negative number of steps",
            )

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        return establish_attack(query, clock, settings, **self._size(settings))

    def briefly(self, query: Query, clock: Clock, settings: Settings) -> Result:
        """The verdict of a search that takes a tenth of the time left."""
        return conclude(
            query, self, establish_attack(query, clock, settings, **self._size(settings), share=SHARE), clock
        )

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        return attacked(query, clock, **self._size(settings), device=settings.device, share=SHARE)

    def _size(self, settings: Settings) -> dict[str, int]:
        seed = settings.seed if self.seed is None else self.seed
        return {"restarts": self.restarts, "steps": self.steps, "seed": seed}

    def support(self, asked: Query, deadline: Deadline) -> tuple[Array, bool]:
        raise UnsupportedError("'attack' has no region to draw", remedy="Name bounds or an encoding")


BoundsChoice = str | Source | BoundMethod

#: What is tried before anything is bounded.
FIRST = AttackMethod(restarts=RESTARTS, steps=STEPS)


def ibp() -> BoundMethod:
    """Interval bound propagation (Gowal et al. 2018), the cheapest bounds; they verify, or say nothing."""
    return BoundMethod(source="ibp")


def crown() -> BoundMethod:
    """Backward linear bounds (Zhang et al. 2018), intersected with intervals; they verify, or say nothing.

    A row is bounded by a linear form of the inputs, in which every open neuron is replaced by a line below or above it.
    """
    return BoundMethod(source="crown")


def attack(*, restarts: int = 100, steps: int = 50, seed: int | None = None) -> AttackMethod:
    """Projected gradient descent on the margin from many points at once (Madry et al. 2018); it never verifies.

    Args:
        restarts: points that descend, drawn from corners, centres and at random.
        steps: of each.
        seed: of the points, instead of the run's.

    Raises:
        InputError: no restart, or a negative number of steps.
    """
    return AttackMethod(restarts=restarts, steps=steps, seed=seed)


def alpha(iterations: int = 20, *, hidden: bool = True, shared: bool = False) -> BoundMethod:
    """Backward linear bounds whose slopes are optimised (alpha-CROWN, Xu et al. 2021).

    Args:
        iterations: steps of the ascent, at least 1.
        hidden: optimise the bounds of hidden layers too, not only those of the rows.
        shared: one slope for each neuron, for all rows of a layer.

    Raises:
        InputError: no iteration.
    """
    return BoundMethod(source=Alpha(iterations, hidden=hidden, shared=shared).text)


def check_bounds(bounds: BoundsChoice) -> str:
    """The text of a source of bounds, which brings the source; raises for one that nobody computes."""
    return Told.of(find_source(bounds.source if isinstance(bounds, BoundMethod) else bounds))
