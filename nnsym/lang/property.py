"""Properties: ``forall x: where => then``, executable at a point and a query for every method."""

from __future__ import annotations

import ast
import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import UnsupportedError
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.ir.walk import inputs_of
from nnsym.lang import logic
from nnsym.lang.formulas import Formula, as_formula, together
from nnsym.lang.guard import bad_input, exact, fractions, misread
from nnsym.lang.lower import balls, domain, violation, without_bounds
from nnsym.lang.text import call, listed, number_text
from nnsym.lang.variables import Variable

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class Property:
    """A statement about all values of its variables; ``query`` is its negation, which methods search.

    Calling it on one array per variable says whether it holds there; :meth:`margin` says by how much.
    """

    query: Query
    variables: tuple[Variable, ...]
    form: ast.expr | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The property's name."""
        return self.query.name

    @property
    def hash(self) -> str:
        """SHA-256 of what the property says: networks, regions, rows and formula, whatever anything is called."""
        return self.query.hash

    def text(self) -> str:
        """The full text, which ``nnsym.parse`` reads back; ``str(p)`` is the short one for people."""
        from nnsym.lang.dump import dumps

        return dumps(self)

    def __call__(self, *points: object) -> bool:
        """True if the property holds at the point, in exact rational arithmetic (in float64 with smooth activations).

        True where the precondition does not hold.
        """
        return not self.query.violated(self._values(points))

    def margin(self, *points: object) -> float:
        """By how much it holds there: +inf outside the precondition, negative where violated.

        Over the conclusion's comparisons ``a >= b`` it is ``a - b``: min over "and", max over "or".
        """
        return self.query.margin(self._values(points))

    def _values(self, points: tuple[object, ...]) -> dict[Node, Array]:
        if len(points) != len(self.variables):
            names = ", ".join(v.name for v in self.variables)
            raise misread(f"{len(points)} arrays for the variables {names}", "Pass one array per variable, in order")
        given: dict[Input, Array] = {}
        for variable, point in zip(self.variables, points, strict=True):
            numbers = exact(point, f"the value of {variable.name}")
            if numbers.shape != variable.shape and numbers.size != variable.size:
                raise bad_input(
                    f"{variable.name} has shape {variable.shape}, the value has shape {numbers.shape}",
                    "Pass the declared shape, or the same number of elements in C order",
                )
            given[variable.input] = numbers.ravel()
            if any(v != round(v) for v in given[variable.input][variable.input.integer].tolist()):
                raise bad_input(f"{variable.name} takes integer values only")
        try:
            return self.query.values({x: fractions(v) for x, v in given.items()}, exact=True)
        except UnsupportedError:  # a smooth activation has no exact value
            return self.query.values({x: v.astype(np.float64) for x, v in given.items()})

    def __bool__(self) -> bool:
        raise misread(f"the property '{self.name}' is not known to hold", "Use nn.verify(p), or p(x0) at a point")

    def __str__(self) -> str:
        return self.query.text

    def __repr__(self) -> str:
        return f"Property({self.name!r})\n{self.query.text}"

    def _repr_latex_(self) -> str:
        from nnsym.lang.latex import to_latex

        return f"$\\displaystyle {to_latex(self.form, self.query.text)}$"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(self.name)}</b><pre>{html.escape(self.query.text)}</pre>"


def forall(
    variables: Variable | Iterable[Variable],
    *,
    where: object = None,
    then: object = None,
    name: str | None = None,
) -> Property:
    """For all values of the variables: if ``where`` holds, ``then`` holds.

    ``where`` and ``then`` are formulas, or iterables of formulas that all hold. Bounds of single input elements in
    ``where`` (boxes, or plain comparisons) become the input region. Raises :class:`LanguageError` for a variable
    that is used but not quantified.
    """
    quantified = _variables(variables)
    if then is None:
        raise misread("forall needs a conclusion", "Pass then=...")
    label = "property" if name is None else name
    if not isinstance(label, str) or not label:
        raise misread("the name of a property is text")
    premise = None if where is None else _statement(where, "where")
    conclusion = _statement(then, "then")
    premise_tree = logic.TRUE if premise is None else premise.tree
    inputs = tuple(v.input for v in quantified)
    rows, formula, labels = violation(without_bounds(premise_tree), conclusion.tree)
    boxes = domain(premise_tree, inputs)
    _refuse_free(rows.parts, premise_tree, conclusion.tree, inputs)
    query = Query(
        name=label,
        boxes=boxes,
        rows=rows,
        formula=formula,
        applications=together(() if premise is None else premise.applications, conclusion.applications),
        text=_text(quantified, premise, conclusion),
        labels=labels,
        balls=balls(premise_tree),
    )
    return Property(query, quantified, _form(quantified, premise, conclusion, label))


def _form(variables: tuple[Variable, ...], where: Formula | None, then: Formula, name: str) -> ast.expr | None:
    parts = {} if where is None else {"where": where.text}
    return call("forall", listed(v.text for v in variables), **parts, then=then.text, name=number_text(name, name)).form


def _variables(given: object) -> tuple[Variable, ...]:
    found = (given,) if isinstance(given, Variable) else tuple(given) if isinstance(given, (list, tuple)) else ()
    if not found or not all(isinstance(v, Variable) for v in found):
        raise misread("forall ranges over variables", "Pass nn.Variable(...) or a list of them as the first argument")
    names = [v.name for v in found]
    for name in names:
        if names.count(name) > 1:
            raise misread(f"two variables are called '{name}'", "Give each its own name=")
    return found


def _statement(given: object, role: str) -> Formula:
    from nnsym.lang.formulas import reduce_all

    if isinstance(given, (list, tuple)):
        return reduce_all(*given)
    formula = as_formula(given)
    if formula.size != 1:
        raise misread(
            f"'{role}' is an array of {formula.size} comparisons, not one statement",
            "Reduce it with nn.all(...) or nn.any(...)",
        )
    return formula


def _refuse_free(parts: Iterable[Node], premise: logic.Tree, conclusion: logic.Tree, bound: tuple[Input, ...]) -> None:
    boxed = [leaf.input for tree in (premise, conclusion) for leaf in _boxes(tree)]
    premise_rows = [node for leaf in _row_leaves(premise) for node in leaf.rows.parts]
    free = [x for x in inputs_of((*parts, *premise_rows, *boxed)) if x not in bound]
    if free:
        names = ", ".join(sorted({f"'{x.name}'" for x in free}))
        raise misread(
            f"the formula is about {names}, which forall does not range over",
            "Add it to the variables: nn.forall([x, y], ...), or apply the network to a variable",
        )


def _boxes(tree: logic.Tree) -> list[logic.Inside | logic.InBall]:
    return [leaf for leaf in _leaves(tree) if isinstance(leaf, (logic.Inside, logic.InBall))]


def _row_leaves(tree: logic.Tree) -> list[logic.Each]:
    blocks = [leaf.each if isinstance(leaf, logic.Block) else leaf for leaf in _leaves(tree)]
    return [leaf for leaf in blocks if isinstance(leaf, logic.Each)]


def _leaves(tree: logic.Tree) -> list[logic.Tree]:
    found: list[logic.Tree] = []
    logic.fold(tree, found.append, lambda parts: None, lambda parts: None)
    return found


def _text(variables: tuple[Variable, ...], where: Formula | None, then: Formula) -> str:
    ranges = ", ".join(f"{v.name}{list(v.shape)}" for v in variables)
    lines = [f"forall {ranges}"]
    if where is not None:
        lines.append(f"  where {where}")
    lines.append(f"  then  {then}")
    return "\n".join(lines)
