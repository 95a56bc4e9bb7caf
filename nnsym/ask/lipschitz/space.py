"""What a Lipschitz constant is asked of: a network's graph, over all inputs or over a box or ball of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from nnsym.bounds.methods import compute
from nnsym.bounds.points.steep import Neighbourhood
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.exact import nearest, to_fractions
from nnsym.ir.formula import Atoms, InBox, leaves
from nnsym.ir.intervals import Sides, interval_run
from nnsym.ir.network import Network
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.walk import substitute, topological
from nnsym.lang.algebra.terms import Term
from nnsym.lang.props import variable_of
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.statements.objective import objective
from nnsym.lang.statements.sets import box
from nnsym.lang.statements.statement import as_statement, mentioned
from nnsym.lang.writing.text import leaf
from nnsym.relaxation.sources import find_source
from nnsym.results.clock import Deadline

_FAR = 2.0  # powers of ten, both ways, over which pairs are looked for in all of the space


@final
@dataclass(frozen=True, eq=False)
class Space:
    """The real function ``root`` of ``x``; ``query`` holds the domain's box and balls, None where it is all of R^n.

    ``where`` is the domain as a formula.
    """

    x: Input
    root: Node
    where: Formula | None = None
    query: Query | None = None

    @staticmethod
    def of(f: Network, where: object) -> Space:
        """``where`` is None, a pair of limits as :func:`nnsym.box` takes them, or boxes and balls of one variable.

        Raises :class:`InputError` for a domain of another kind, or of a variable of another size.
        """
        own = variable_of(f, "lipschitz")
        if where is None:
            return Space(own.input, _image(f, own.input))
        limits = _pair(where)
        formula = as_statement(where, "where") if limits is None else box(own, *limits)
        found = mentioned(formula) if limits is None else (own.input,)
        if len(found) != 1 or found[0].size != own.size:
            said = ", ".join(f"'{x.name}' of {x.size}" for x in found) or "none"
            raise InputError(
                f"the domain is about {said}, the network reads {own.size} elements",
                where=f.name,
                remedy="Give where=(lower, upper), or a box or ball of one variable of that size",
            )
        x, root = found[0], _image(f, found[0])
        query = objective(_term(root, "f")[0], formula, name="lipschitz")
        _require_convex(query)
        asked = Atoms(np.arange(root.size), False, True)
        return Space(x, root, formula, replace(query, rows=Rows.of(root), formula=asked, labels=()))

    @property
    def nodes(self) -> tuple[Node, ...]:
        return topological((self.x, self.root))

    def text(self) -> str:
        """The domain in words."""
        return "" if self.where is None else str(self.where)

    def ranges(self, source: str, deadline: Deadline) -> Mapping[Node, Sides]:
        """The range of every node: by intervals, and on a domain by a source of bounds that ends by the deadline."""
        if self.query is None:
            return interval_run(self.nodes, {self.x: (np.full(self.x.size, -np.inf), np.full(self.x.size, np.inf))})
        start: dict[Node, Sides] = {self.x: self.query.boxes[self.x].outer}
        plain = interval_run(self.nodes, start, late=lambda: deadline.passed)
        found = compute(self.query, find_source(source).until(deadline))
        return {n: (np.maximum(plain[n][0], found[n].lower), np.minimum(plain[n][1], found[n].upper)) for n in plain}

    @property
    def open_axes(self) -> Array:
        """The elements of the input that can change."""
        if self.query is None:
            return np.arange(self.x.size)
        low, high = self.query.boxes[self.x].outer
        return np.flatnonzero(high > low)

    def place(self) -> Neighbourhood:
        """Where steep pairs are looked for."""
        n = self.x.size
        if self.query is None:
            return Neighbourhood(np.zeros(n), np.ones(n), lambda points: points, _FAR)
        query, x = self.query, self.x
        low, high = query.boxes[x].inner
        low = np.where(np.isfinite(low), low, np.minimum(high, 1.0) - 1.0)
        high = np.where(np.isfinite(high), high, np.maximum(low, -1.0) + 1.0)
        balls = query.balls.get(x, ())
        centre = nearest(balls[0].centre) if balls else low / 2 + high / 2
        return Neighbourhood(centre, np.maximum(high - low, 0.0) / 2, lambda points: query.move_inside({x: points})[x])

    def holds(self, point: Array) -> bool:
        """True if the point lies in the domain, exactly."""
        return self.query is None or self.query.inside({self.x: to_fractions(point)})

    def term(self, node: Node) -> Term:
        """A node over the input as a term."""
        return _term(node, "J")


def _image(f: Network, x: Input) -> Node:
    """The output over the input, as the real function: no run of a stored model is meant."""
    (start,) = (t.node for t in f.inputs.values())
    (out,) = (t.node for t in f.outputs.values())
    return substitute([out], {start: x}, "")[out]


def _term(node: Node, name: str) -> Term:
    return Term(Rows.of(node), (node.size,), leaf(name, node))


def _pair(where: object) -> tuple[Any, Any] | None:
    """Lower and upper limits; None where formulas are given."""
    if not isinstance(where, (tuple, list)) or len(where) != 2 or any(isinstance(w, Formula) for w in where):
        return None
    return where[0], where[1]


def _require_convex(query: Query) -> None:
    """Boxes and balls only: other conditions may leave a set that is not convex, or one that bounds do not know."""
    hard = [n for n in leaves(query.formula) if isinstance(n, InBox) or (isinstance(n, Atoms) and not n.soft)]
    if hard:
        raise InputError(
            "the domain of a Lipschitz constant is a box, cut by balls",
            where="where",
            remedy="Leave other conditions out: a constant of a larger domain holds on a smaller one",
        )
    if query.empty_box:
        raise InputError("no input lies in the domain", where="where", remedy="Check its lower and upper limits")
