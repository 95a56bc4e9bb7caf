"""A program with its answer, and how the kit of lanes writes such programs down."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.builder import ProgramBuilder
from nnsym.ir.array import Array
from nnsym.program import Kind, Program, Role, RowBlock, Tag
from nnsym.testing.least import attained, least


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A program and its answer: the optimum, None where nothing is feasible, -inf where it is unbounded.

    ``satisfiable`` is what an exact lane must say: whether a point meets all rows, strict ones strictly, with an
    objective of at most 0. ``exact_only`` programs differ from their float64 reading by less than a tolerance.
    """

    name: str
    program: Program
    optimum: Fraction | float | None
    satisfiable: bool
    exact_only: bool = False

    @staticmethod
    def of(name: str, program: Program, *, exact_only: bool = False) -> Problem:
        """With the answer looked up by enumeration."""
        return Problem(
            name=name,
            program=program,
            optimum=least(program),
            satisfiable=attained(program),
            exact_only=exact_only,
        )


def columns(b: ProgramBuilder, node: str, role: str, low: Any, high: Any, n: int, kind: Kind = Kind.REAL) -> Array:
    """``n`` columns between bounds."""
    return b.columns(node, Role(role), np.arange(n), np.broadcast_to(low, n), np.broadcast_to(high, n), kind=kind)


def row(
    b: ProgramBuilder, ids: Array, data: Any, low: float = -np.inf, high: float = np.inf, origin: str = "row"
) -> None:
    """One linear row."""
    numbers, (lower, upper) = np.asarray(data, dtype=float), np.array([[low], [high]], dtype=float)
    b.rows(RowBlock(numbers, np.asarray(ids, dtype=int), np.array([0, len(ids)]), lower, upper, Tag.NETWORK, origin))
