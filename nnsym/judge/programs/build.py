"""From a query to the program that is solved: encoded, and cut where the encoding asks for cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.encode.walk import Encoded, encode_columns
from nnsym.encoding import Encoding
from nnsym.ir.query import Query
from nnsym.program import Kind, Program, Role
from nnsym.relaxation.rounds import CutJob, Cuts
from nnsym.results.clock import NEVER, Deadline
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.lane import submit
from nnsym.solvers.workers.runner import End

#: The part of the time left that cuts may take.
SHARE = 0.5


def build(
    query: Query,
    bounds: Bounds,
    encoding: Encoding,
    *,
    limits: Limits | None = None,
    goal: Goal | None = None,
    deadline: Deadline = NEVER,
) -> Program:
    """The program of a query under an encoding, with its cuts as rows of tag ``CUT``.

    Cuts are rows of the same columns and need not be there: where separation is cut short by ``limits`` fewer of them
    are, and the program is right without any. ``meta["cuts"]`` says what was found. With a goal that decides, a
    disjunct whose relaxation is positive already gets none. Raises OutOfTime where the program itself is not complete
    by the ``deadline``.
    """
    encoded = encode_columns(query, bounds, encoding, deadline=deadline)
    program = encoded.program
    binaries = network_binaries(program)
    if not encoding.cuts or program.objective is None or 0 < binaries < encoding.rounds.least_binaries:
        return program
    limits = limits if limits is not None else Limits()
    limits = replace(limits, seconds=SHARE * min(limits.seconds, deadline.left))
    return cut(query, encoded, encoding, limits=limits, goal=goal if goal is not None else Goal(decide=False))


def cut(
    query: Query, encoded: Encoded, encoding: Encoding, *, limits: Limits, goal: Goal, aims: Sequence[int] = ()
) -> Program:
    """The program with rows that its relaxation's optimum violates; without an objective those of least and largest
    values of the columns ``aims``.
    """
    program = encoded.program
    job = CutJob(
        query=query,
        bounds=encoded.bounds,
        program=program,
        ids=encoded.ids,
        cuts=encoding.cuts,
        rounds=encoding.rounds,
        goal=goal,
        threads=limits.threads,
        seed=limits.seed,
        aims=tuple(aims),
    )
    outcome = submit("cuts", "nnsym.relaxation.rounds", job, limits, None)
    if outcome.end is not End.DONE:
        return replace(program, meta={**program.meta, "cuts": f"none: {outcome.error or outcome.end.value}"})
    found: Cuts = outcome.value
    said = f"{sum(map(len, found.rows))} rows"
    if found.bounds:
        names = ["relaxation", *(family.text for family in encoding.cuts)]
        values = ", ".join(f"{name} {value:.6g}" for name, value in zip(names, found.bounds, strict=True))
        said += f"; {values}"
    return replace(program.with_rows(found.rows), meta={**program.meta, "cuts": said})


def network_binaries(program: Program) -> int:
    """How many binaries stand for neurons, not for disjuncts of the property."""
    integral = program.kind == Kind.BINARY
    for block in program.blocks:
        if block.role == Role.GUARD:
            integral[block.start : block.start + len(block.index)] = False
    return int(np.count_nonzero(integral))
