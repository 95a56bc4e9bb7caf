"""Methods are values: how a property is to be judged, before anything is run.

``ibp()`` and ``crown()`` judge by bounds alone, ``attack()`` looks for a counterexample; ``lp``, ``milp`` and ``smt``
pair an encoding with a solver and the bounds that feed it. ``resolve`` turns names of the command line into methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nnsym.bounds.sources import Alpha, Source, Told
from nnsym.encoding import Encoding, Exactness, Form
from nnsym.errors import InputError
from nnsym.relaxation.sources import find_source, source_providers, sources
from nnsym.solvers.base import Solver


@final
@dataclass(frozen=True, kw_only=True)
class BoundMethod:
    """Judge by the bounds of the specification layer from ``source``, a text such as ``crown`` or ``alpha:20``."""

    source: str

    @property
    def name(self) -> str:
        return self.source

    @property
    def bounds(self) -> str:
        return self.source


@final
@dataclass(frozen=True, kw_only=True)
class AttackMethod:
    """Look for a counterexample by sampling and projected gradient descent; falsifies or says nothing.

    ``restarts`` points descend at once for ``steps`` steps (:func:`nnsym.bounds.points.attack.search`). ``seed``
    overrides the seed of the run. Wherever no counterexample is found the least replayed margin is an upper bound of
    the margin.
    """

    restarts: int = 100
    steps: int = 50
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 0:
            raise InputError(
                f"an attack of {self.restarts} restarts and {self.steps} steps",
                remedy="Give at least one restart, and no negative number of steps",
            )

    @property
    def name(self) -> str:
        return "attack"

    @property
    def bounds(self) -> str:
        return ""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ProgramMethod:
    """Encode with ``encoding`` on ``bounds`` and solve with the lane ``solver``.

    ``optimise`` asks for the margin itself rather than its sign.
    """

    encoding: Encoding
    solver: str
    bounds: str = "crown"
    optimise: bool = False

    @property
    def name(self) -> str:
        return f"{self.encoding.name}+{self.solver}"


@final
@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """A counter-search, then bounds, then an exact encoding on a solver at hand; stops at the first verdict."""

    bounds: str = "crown"

    @property
    def name(self) -> str:
        return "portfolio"


Method = BoundMethod | AttackMethod | ProgramMethod | Portfolio
BoundsChoice = str | Source | BoundMethod
MethodChoice = str | Method | Encoding | Source


def ibp() -> BoundMethod:
    """Interval bound propagation."""
    return BoundMethod(source="ibp")


def crown() -> BoundMethod:
    """Backward linear bounds (Zhang et al. 2018), intersected with intervals."""
    return BoundMethod(source="crown")


def attack(*, restarts: int = 100, steps: int = 50, seed: int | None = None) -> AttackMethod:
    """Projected gradient descent on the margin from many points at once; it never verifies."""
    return AttackMethod(restarts=restarts, steps=steps, seed=seed)


def alpha(iterations: int = 20, *, hidden: bool = True, shared: bool = False) -> BoundMethod:
    """Backward linear bounds with optimised slopes (:class:`nnsym.bounds.sources.Alpha`)."""
    return BoundMethod(source=Alpha(iterations, hidden=hidden, shared=shared).text)


def lp(
    encoding: str | Encoding = "triangle",
    *,
    solver: str | Solver = "highs",
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> ProgramMethod:
    """An outer encoding without network binaries, solved as linear programs."""
    return program(encoding, solver=solver, bounds=bounds, optimise=optimise)


def milp(
    encoding: str | Encoding = "bigm",
    *,
    solver: str | Solver = "highs",
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> ProgramMethod:
    """An exact mixed-integer encoding."""
    return program(encoding, solver=solver, bounds=bounds, optimise=optimise)


def smt(
    encoding: str | Encoding = "smt", *, solver: str | Solver = "z3", bounds: BoundsChoice = "crown"
) -> ProgramMethod:
    """An exact SMT encoding in rational arithmetic."""
    return program(encoding, solver=solver, bounds=bounds)


def program(
    encoding: str | Encoding,
    *,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> ProgramMethod:
    """An encoding by name or as an object, with its default solver where none is given; the pair is checked."""
    from nnsym.encode.registry import find_encoding
    from nnsym.solvers.registry import Handed, check_fits

    found = find_encoding(encoding)
    lane = default_solver(found) if solver is None or solver == "" else Handed.of(solver)
    text = check_bounds(bounds)
    check_fits(found, lane)
    return ProgramMethod(encoding=found, solver=lane, bounds=text, optimise=optimise)


def default_solver(encoding: Encoding) -> str:
    """``z3`` for the Boolean form, else the first lane at hand that takes what the encoding emits."""
    from nnsym.solvers.registry import fitting

    return "z3" if encoding.form is Form.BOOLEAN else next(iter(fitting(encoding.emits)), "highs")


def check_bounds(bounds: BoundsChoice) -> str:
    """The text of a source of bounds, which brings the source; raises for one that nobody computes."""
    return Told.of(find_source(bounds.source if isinstance(bounds, BoundMethod) else bounds))


def is_bounds(name: object) -> bool:
    """True for the text of a source of bounds, whether or not its parameters are well formed."""
    return isinstance(name, Told) or (isinstance(name, str) and name.partition(":")[0] in sources())


def is_exact(method: Method) -> bool:
    """True if the method decides every property it supports, given time."""
    if isinstance(method, ProgramMethod):
        return all(rule.exactness is not Exactness.OUTER for rule in method.encoding.rules)
    return isinstance(method, Portfolio)


def resolve(
    method: MethodChoice | None = None,
    *,
    encoding: str | Encoding | None = None,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> Method:
    """A method from names: a source of bounds or any encoding, as ``verify`` and the command line take them."""
    if isinstance(method, (BoundMethod, AttackMethod, ProgramMethod, Portfolio)):
        return method
    if method is not None and encoding is not None:
        raise InputError("both a method and an encoding were given", remedy="Give one of them")
    chosen = method if method is not None else encoding
    bounds = check_bounds(bounds)
    if isinstance(chosen, Source):
        chosen = check_bounds(chosen)
    if chosen is None or chosen == "portfolio":
        if solver is not None:
            from nnsym.solvers.registry import find

            return program("smt" if find(solver).exact else "bigm", solver=solver, bounds=bounds, optimise=optimise)
        return Portfolio(bounds=bounds)
    if isinstance(chosen, str) and method is not None:
        check_method(chosen)
    if isinstance(chosen, str) and (chosen == "attack" or is_bounds(chosen)):
        if solver is not None:
            raise InputError(f"'{chosen}' judges by itself and takes no solver", remedy="Drop the solver")
        if chosen == "attack":
            return AttackMethod()
        return BoundMethod(source=check_bounds(chosen))
    return program(chosen, solver=solver, bounds=bounds, optimise=optimise)


def check_method(name: str) -> None:
    """Raise for a name that is neither a source of bounds, nor the attack, nor an installed encoding (with cuts)."""
    from nnsym.encode.registry import encoding_providers, encodings, find_encoding, listed

    if is_bounds(name) or name == "attack":
        return
    if name.partition("+")[0] not in encodings():
        known = listed((*sources(), "attack", *encodings()), (*encoding_providers(), *source_providers()))
        raise InputError(f"unknown method '{name}'", remedy=f"Known methods: {known}")
    find_encoding(name)
