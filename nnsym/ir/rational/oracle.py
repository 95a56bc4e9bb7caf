"""The exact oracle: the least margin of a small query, by going through its activation patterns in Fractions.

Under one pattern every node is an affine form of the inputs, and the inputs of a pattern are a polytope; the
margin there is an exact linear program. Nothing here comes from bounds, encodings or solvers: it judges them.
Strict inequalities are closed: the answer is the infimum, which a strict precondition may keep from being attained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, RowFormula, reduce_formula
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.ir.rational.regions import (
    Domain,
    Region,
    Side,
    Vector,
    constant_form,
    count_unstable,
    regions,
    solve,
    with_variable,
)
from nnsym.ir.rows import Rows

_ZERO = Fraction(0)


@final
@dataclass(frozen=True, eq=False)
class OracleAnswer:
    """The least margin, ``inf`` if no input satisfies the precondition, and an input where it is attained.

    ``margin`` is ``-inf`` where the violation has no soft atom and holds somewhere. At a jump it may be a
    limit that the point does not have.
    """

    margin: Fraction | float
    point: Mapping[Input, Array] | None


def minimum_margin(query: Query, *, max_unstable: int = 12, closed: bool = False) -> OracleAnswer:
    """``min over the domain of margin(x)``, exactly; ``closed`` takes both limits at a jump for values.

    Raises :class:`UnsupportedError` for smooth activations, products, integer inputs and networks with more
    than ``max_unstable`` undecided neurons and maxima (by interval arithmetic), and
    :class:`MissingBoundsError` for an open box.
    """
    domain = Domain.of(query)
    if domain.empty:
        return OracleAnswer(float("inf"), None)
    nodes = tuple(node for node in query.nodes if not isinstance(node, Input))
    unstable = count_unstable(nodes, domain)
    if unstable > max_unstable:
        raise UnsupportedError(
            f"{unstable} undecided neurons are too many for the exact oracle (at most {max_unstable})",
            where=query.name,
            remedy="Ask for a smaller network or box, or raise max_unstable",
        )
    best: Fraction | float = float("inf")
    point: Vector | None = None
    disjuncts = _disjuncts(query.formula)
    for region in regions(nodes, domain, Region(domain.forms, (), domain.centre), closed=closed):
        s = _row_forms(query.rows, region.forms, domain.size)
        for disjunct in disjuncts:
            found = _least(disjunct, s, region, domain, best)
            if found is not None:
                best, point = found
    if point is None:
        return OracleAnswer(best, None)
    return OracleAnswer(best, domain.split(point))


def _row_forms(rows: Rows, forms: Mapping[Node, Array], size: int) -> Array:
    total = to_fractions(np.zeros((len(rows), size + 1)))
    total[:, -1] = to_fractions(rows.constant)
    for node, part in rows.parts.items():
        for row, column, factor in zip(part.row, part.column, to_fractions(part.coefficient), strict=True):
            total[row] = total[row] + factor * forms[node][:, column]
    return np.asarray(total)


@final
@dataclass(frozen=True, eq=False)
class _Disjunct:
    """A conjunction of rows and boxes."""

    soft: tuple[int, ...] = ()
    hard: tuple[int, ...] = ()
    boxes: tuple[InBox, ...] = ()

    def and_(self, other: _Disjunct) -> _Disjunct:
        return _Disjunct(self.soft + other.soft, self.hard + other.hard, self.boxes + other.boxes)


def _disjuncts(formula: RowFormula) -> list[_Disjunct]:
    """The disjunctive normal form."""

    def leaf(node: Atoms | InBox) -> list[_Disjunct]:
        if isinstance(node, InBox):
            return [_Disjunct(boxes=(node,))]
        rows = tuple(int(k) for k in node.rows)
        groups = [rows] if node.every else [(k,) for k in rows]
        return [_Disjunct(soft=g) if node.soft else _Disjunct(hard=g) for g in groups]

    def product(parts: list[list[_Disjunct]]) -> list[_Disjunct]:
        total = [_Disjunct()]
        for part in parts:
            total = [a.and_(b) for a in total for b in part]
        return total

    return reduce_formula(formula, leaf, product, lambda parts: [d for part in parts for d in part])


def _conditions(disjunct: _Disjunct, s: Array, domain: Domain) -> list[Array]:
    """The hard rows and boxes of a disjunct as affine forms that are at most 0."""
    rows = [s[k] for k in disjunct.hard]
    for box in disjunct.boxes:
        one = constant_form(domain.size + 1)
        for k, x in enumerate(domain.forms[box.input].T):
            rows += [x - Fraction(box.upper[k]) * one, Fraction(box.lower[k]) * one - x]
    return rows


def _least(
    disjunct: _Disjunct, s: Array, region: Region, domain: Domain, best: Fraction | float
) -> tuple[Fraction | float, Vector] | None:
    """The least margin of one disjunct in one region, if it is below ``best``: ``min t, s_i <= t`` for soft ``i``."""
    if region.strict and region.meet([Side(row) for row in _conditions(disjunct, s, domain)], domain) is None:
        return None  # the conditions touch the region where it is open
    lower, upper = list(domain.lower), list(domain.upper)
    for box in disjunct.boxes:
        start = domain.starts[box.input]
        for k in range(box.input.size):
            if box.lower[k] > lower[start + k]:
                lower[start + k] = Fraction(box.lower[k])
            if box.upper[k] < upper[start + k]:
                upper[start + k] = Fraction(box.upper[k])
    rows = [*region.rows, *(s[k] for k in disjunct.hard)]
    if not disjunct.soft:
        found = solve([_ZERO] * domain.size, rows, lower, upper)
        return None if found is None else (-float("inf"), found.point)
    soft = [s[k] for k in disjunct.soft]
    ranges = [domain.range(row) for row in soft]
    floor = max(low for low, _ in ranges)
    if floor >= best:
        return None
    one = Fraction(1)
    rows = [with_variable(row, _ZERO) for row in rows] + [with_variable(row, -one) for row in soft]
    ceiling = max(high for _, high in ranges)
    found = solve([*([_ZERO] * domain.size), one], rows, (*lower, floor), (*upper, ceiling))
    if found is None or found.value >= best:
        return None
    return found.value, found.point[:-1]
