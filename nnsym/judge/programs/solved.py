"""A program with what its lane said of it: who reads one part of that needs the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.encode.walk import closes
from nnsym.encoding import Exactness, Form
from nnsym.ir.array import Array
from nnsym.ir.names import node_names
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.verdict import Facts, facts_about
from nnsym.program import Kind, Program
from nnsym.results.result import Sizes
from nnsym.solvers.base import Answer, Status
from nnsym.solvers.lane import resolved
from nnsym.solvers.outer import GAP


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Solved:
    """The ``program`` of a query under a method's encoding, on ``bounds``, and the lane's ``answer``.

    ``lower`` is the certified lower bound of the margin that the bounds gave, -inf where nobody asked for it.
    """

    query: Query
    method: EncodedMethod
    bounds: Bounds
    program: Program
    answer: Answer
    lower: float = -np.inf

    @property
    def minimises(self) -> bool:
        """True if the program minimises the margin, so that bounds of its optimum are bounds of the margin."""
        return self.method.encoding.form is Form.MARGIN

    @property
    def facts(self) -> Facts:
        """What the answer says, before anything of it is checked."""
        answer, method = self.answer, self.method
        claims = answer.bound > -np.inf or answer.status is Status.INFEASIBLE  # else nothing rests on its numbers
        return replace(
            facts_about(self.query),
            exactness=Exactness.EXACT if method.exact and answer.outside <= GAP else Exactness.OUTER,
            status=answer.status,
            certified=max(self.lower, answer.certified) if self.minimises else self.lower,
            exact_bound=answer.certified_exact if self.minimises else None,
            bound=answer.bound if self.minimises else -np.inf,
            tau=answer.tau,
            exact_solver=answer.exact,
            resolved=answer.exact or not claims or resolved(self.program),
            conclusive_empty=answer.conclusive_empty,
            closed=closes(method.encoding, self.query),
            message=answer.message,
        )

    @property
    def candidate(self) -> dict[Input, Array] | None:
        """The solver's point as inputs, exact where the solver was; None where it has none."""
        answer = self.answer
        if answer.point is None:
            return None
        names = node_names(self.query.nodes)
        values: Array = np.array(answer.exact_point, dtype=object) if answer.exact_point else np.asarray(answer.point)
        point: dict[Input, Array] = {}
        for x in self.query.inputs:
            block = next(b for b in self.program.blocks if b.node == names[x])
            point[x] = values[block.start : block.start + x.size]
        return point

    def sizes(self, unstable: int = 0) -> Sizes:
        """Sizes of the program, beside the neurons that bounds left open."""
        return Sizes(
            columns=self.program.n_columns,
            binary=int((self.program.kind == Kind.BINARY).sum()),
            rows=self.program.n_rows,
            nonzeros=self.program.nnz,
            unstable=unstable,
        )
