"""Programs as methods: an encoding, a solver, and the bounds that feed it.

This file is loaded by whoever asks for one: it brings encoders and lanes, and most verdicts need neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from nnsym.encode.registry import find_encoding
from nnsym.encoding import Encoding, Form
from nnsym.ir.array import Array
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established
from nnsym.judge.least import Least
from nnsym.judge.method import Settings, scouted
from nnsym.judge.methods import BoundsChoice, check_bounds
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.programs.optimise import by_program
from nnsym.judge.programs.recheck import settled
from nnsym.judge.programs.solving import establish_program
from nnsym.judge.programs.support import support_by_programs
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Result
from nnsym.solvers.base import Solver
from nnsym.solvers.registry import Handed, check_fits, fitting


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ProgramMethod(EncodedMethod):
    """Encode on the bounds and solve; a tolerance solver's answer within rounding is asked once more in rationals."""

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        return establish_program(query, self, clock, settings)

    def judge(self, query: Query, clock: Clock, settings: Settings) -> Result:
        return settled(query, super().judge(query, clock, settings), self, clock, settings)

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        return replace(self.narrow(scouted(query, clock, settings), query, clock, settings, precision), by="")

    def narrow(self, found: Least, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        return by_program(query, self, found, clock, settings, precision)

    def support(self, asked: Query, deadline: Deadline) -> tuple[Array, bool]:
        margin = self.exact and self.encoding.form is Form.MARGIN
        lane = default_solver(self.encoding) if margin else self.solver
        return support_by_programs(asked, self.encoding, lane, self.bounds, deadline)


def lp(
    encoding: str | Encoding = "triangle",
    *,
    solver: str | Solver = "highs",
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> ProgramMethod:
    """An outer encoding without network binaries, solved as linear programs: it verifies, or says nothing.

    Args:
        encoding: by name, ``triangle`` with cuts such as ``triangle+krelu3`` too, or an :class:`Encoding`.
        solver: the lane that solves it (``nnsym solvers``).
        bounds: what feeds it, by name or as a source: intervals of every node.
        optimise: ask for the margin itself instead of its sign.

    Raises:
        InputError: nobody has the name.
        UnsupportedError: the lane does not take what the encoding emits.
    """
    return program(encoding, solver=solver, bounds=bounds, optimise=optimise)


def milp(
    encoding: str | Encoding = "bigm",
    *,
    solver: str | Solver = "highs",
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> ProgramMethod:
    """An exact encoding of mixed-integer programs: given time it decides every property whose nodes it has rules for.

    A verdict rests on the solver's own dual bound, beyond its published tolerance (trust ``solver``), unless bounds or
    duals certify it. Arguments and errors are those of :func:`lp`; ``bounds`` are the big-M constants.
    """
    return program(encoding, solver=solver, bounds=bounds, optimise=optimise)


def smt(
    encoding: str | Encoding = "smt", *, solver: str | Solver = "z3", bounds: BoundsChoice = "crown"
) -> ProgramMethod:
    """An exact SMT encoding in rational arithmetic: slow, and its verdicts rest on no tolerance (trust ``exact``).

    Arguments and errors are those of :func:`lp`; ``bounds`` simplify it: a stable neuron has one case.
    """
    return program(encoding, solver=solver, bounds=bounds)


def program(
    encoding: str | Encoding,
    *,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    optimise: bool = False,
) -> ProgramMethod:
    """An encoding by name or as an object, with its default solver where none is given; the pair is checked."""
    found = find_encoding(encoding)
    lane = default_solver(found) if solver is None or solver == "" else Handed.of(solver)
    text = check_bounds(bounds)
    check_fits(found, lane)
    return ProgramMethod(encoding=found, solver=lane, bounds=text, optimise=optimise)


def default_solver(encoding: Encoding) -> str:
    """``z3`` for the Boolean form, else the first lane at hand that takes what the encoding emits."""
    return "z3" if encoding.form is Form.BOOLEAN else next(iter(fitting(encoding.emits)), "highs")
