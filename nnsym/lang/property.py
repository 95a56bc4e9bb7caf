"""Properties: ``forall x: where => then`` and ``exists x: where & then``; executable, and queries for every method."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import final

import numpy as np

from nnsym.errors import LanguageError, UnsupportedError
from nnsym.ir.absent import marked
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.names import node_names
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query, Reading
from nnsym.ir.text import number
from nnsym.lang.algebra.variables import Variable
from nnsym.lang.guard import bad_input, exact, fractions, misread, user_line
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.statements.statement import as_statement, mentioned, searched
from nnsym.lang.writing.dump import dumps, outline
from nnsym.lang.writing.latex import short_latex
from nnsym.lang.writing.text import call, is_clipped, listed, method, number_text

_UNNAMED = "property"


@final
@dataclass(frozen=True, eq=False)
class Property:
    """A statement about all values of its variables, or about some; ``query`` is what methods search.

    For ``forall`` that is a violation, for ``exists`` a witness. Calling it on one array per variable says whether it
    holds there; :meth:`margin` says by how much. ``line`` is where it was written. ``assumed`` are bounds of nodes on
    somebody's word (:func:`nnsym.assume`).
    """

    reading: Reading
    variables: tuple[Variable, ...]
    where: Formula | None
    then: Formula
    name: str
    line: str
    slack: Fraction = Fraction(0)
    assumed: Mapping[Node, Box] = field(default_factory=dict)

    def called(self, name: str) -> Property:
        """The same under the name that it is bound to, where it was given none."""
        return self if self.name != _UNNAMED else replace(self, name=name)

    @cached_property
    def query(self) -> Query:
        """What methods search.

        Raises :class:`LanguageError` where the formula is about a variable that it does not range over: such a property
        has a meaning only as ``then=`` or ``where=`` of another quantifier.
        """
        if self.free:
            word = self.reading.value
            raise LanguageError(
                f"the formula is about {self._strangers}, which {word} does not range over",
                where=self.line,
                remedy=f"Add it to the variables: nn.{word}([x, y], ...), apply the network to a variable, or give the "
                "property as then=... to a quantifier over it",
            )
        inputs = tuple(v.input for v in self.variables)
        goal = ~self.then if self.reading is Reading.FORALL else self.then
        plain = replace(self, slack=Fraction(0), assumed={}).short if self.slack or self.assumed else self.short
        query = searched(self.reading, inputs, self.where, goal, name=self.name, text=plain)
        query = query.relaxed(self.slack) if self.slack else query
        if not self.assumed:
            return query
        called = node_names(query.nodes)
        lines = (f"  assuming bounds of {called[node]}" for node in self.assumed)
        return replace(query, assumed=self.assumed, text="\n".join([query.text, *lines]))

    @cached_property
    def free(self) -> tuple[Input, ...]:
        """The variables that the formula is about and that it does not range over."""
        bound = {v.input for v in self.variables}
        return tuple(x for x in mentioned(self.where, self.then) if x not in bound)

    @property
    def _strangers(self) -> str:
        return ", ".join(sorted({f"'{x.name}'" for x in self.free}))

    @property
    def short(self) -> str:
        """The property as it was written, for people; what is too long for a line has names for its parts."""
        if self.assumed:
            return self.query.text
        if is_clipped(f"{self.where}{self.then}") and self.form is not None:
            slack = [f"  slack {number(self.slack)}"] if self.slack else []
            return "\n".join([outline(self), *slack])
        ranges = ", ".join(f"{v.name}{list(v.shape)}{' one-hot' if v.input.groups() else ''}" for v in self.variables)
        where = [] if self.where is None else [f"  where {self.where}"]
        slack = [f"  slack {number(self.slack)}"] if self.slack else []
        return "\n".join([f"{self.reading.value} {ranges}", *where, f"  then  {self.then}", *slack])

    @cached_property
    def form(self) -> ast.expr | None:
        """The syntax tree of the full text; None where a part has none, as assumed bounds."""
        if self.assumed:
            return None
        parts = {} if self.where is None else {"where": self.where.text}
        whole = call(
            self.reading.value,
            listed(v.text for v in self.variables),
            **parts,
            then=self.then.text,
            name=number_text(self.name, self.name),
        )
        return method(whole, "relaxed", number_text(number(self.slack), self.slack)).form if self.slack else whole.form

    @property
    def hash(self) -> str:
        """SHA-256 of what the property says: networks, regions, rows and formula, whatever anything is called."""
        return self.query.hash

    def text(self) -> str:
        """The full text, which ``nnsym.parse`` reads back; ``str(p)`` is the short one for people."""
        return dumps(self)

    def statement(self) -> dict[str, str]:
        """The property in other forms: ``source``, which :func:`nnsym.parse` reads, and ``latex``; empty without."""
        return {} if self.form is None else {"source": self.text(), "latex": short_latex(self.form)}

    def __call__(self, *points: object) -> bool:
        """True if the property holds at the point, in exact rational arithmetic (in float64 with smooth activations).

        ``points`` are arrays, one for each variable in order; or one counterexample or witness, or a dictionary by the
        variables' names. Outside the precondition, ``forall`` holds and ``exists`` does not.
        """
        return self.query.violated(self._values(points)) == (self.reading is Reading.EXISTS)

    def margin(self, *points: object) -> float:
        """By how much it holds there: negative where it does not; +inf (``exists``: -inf) outside the precondition.

        Over the conclusion's comparisons ``a >= b`` it is ``a - b``: min over "and", max over "or".
        """
        least = self.query.margin(self._values(points))
        return 0.0 - least if self.reading is Reading.EXISTS else least

    def relaxed(self, slack: object) -> Property:
        """The property whose conclusion's comparisons may be missed by ``slack``: ``a >= b`` is ``a >= b - slack``."""
        return replace(self, slack=self.query.relaxed(slack).slack)

    def _values(self, points: tuple[object, ...]) -> dict[Node, Array]:
        points = self._by_name(points)
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
                raise bad_input(f"{variable.name} takes integer values only", "Give whole numbers")
        try:
            return self.query.values({x: fractions(v) for x, v in given.items()}, exact=True)
        except UnsupportedError:  # a smooth activation has no exact value
            floats = self.query.values({x: v.astype(np.float64) for x, v in given.items()})
            return dict(marked(self.query.rows.parts, floats))

    def _by_name(self, points: tuple[object, ...]) -> tuple[object, ...]:
        """One array for each variable, where a counterexample or a dictionary has them by name."""
        named = getattr(points[0], "inputs", points[0]) if len(points) == 1 else None
        if not isinstance(named, Mapping):
            return points
        missing = [v.name for v in self.variables if v.name not in named]
        if missing:
            raise bad_input(f"the point has no values for '{missing[0]}'", "Give all variables of the property by name")
        return tuple(named[v.name] for v in self.variables)

    def __bool__(self) -> bool:
        raise misread(f"the property '{self.name}' is not known to hold", "Use nn.verify(p), or p(x0) at a point")

    def __str__(self) -> str:
        return self.short

    def __repr__(self) -> str:
        free = f"\n  free {self._strangers}" if self.free else ""
        return f"Property({self.name!r})\n{self.short}{free}"

    def _repr_latex_(self) -> str | None:
        """Typeset in a notebook; None, so that its text is shown, where that is too long or there is no syntax tree."""
        latex = short_latex(self.form)
        return f"$\\displaystyle {latex}$" if latex else None


def forall(
    variables: Variable | Iterable[Variable],
    *,
    where: object = None,
    then: object = None,
    name: str | None = None,
) -> Property:
    """For all values of the variables: if ``where`` holds, ``then`` holds.

    ``where`` and ``then`` are formulas, or iterables of formulas that all hold. Bounds of single input elements in
    ``where`` (boxes, or plain comparisons) become the input region. ``then`` may be another ``forall``: the two become
    one over all their variables. A variable that is used but not quantified stays free: the property can be given to
    another quantifier, and raises where it is used by itself. Raises :class:`LanguageError` for quantifiers that
    alternate.
    """
    return _quantify(Reading.FORALL, variables, where, then, name)


def exists(
    variables: Variable | Iterable[Variable],
    *,
    where: object = None,
    then: object = None,
    name: str | None = None,
) -> Property:
    """For some values of the variables, ``where`` and ``then`` both hold.

    Verified by a witness that was replayed (``Result.witness``), falsified where no values do; a ``where`` that holds
    nowhere falsifies it. The margin is the largest over ``where``. ``then`` may be another ``exists``; for a finite set
    write ``nn.all`` or ``nn.any`` over its elements: ``nn.exists(d, where=..., then=nn.all(g(x + d) for x in data))``.
    """
    return _quantify(Reading.EXISTS, variables, where, then, name)


def _quantify(reading: Reading, variables: object, where: object, then: object, name: str | None) -> Property:
    if then is None:
        raise misread(f"{reading.value} needs a conclusion", "Pass then=...")
    label = _UNNAMED if name is None else name
    if not isinstance(label, str) or not label:
        raise misread("the name of a property is text", 'Pass name="phi"')
    ranged, premise, conclusion = _merged(reading, _variables(variables, reading.value), where, then)
    found = Property(reading, ranged, premise, conclusion, label, user_line())
    if not found.free:  # otherwise it may be meant to stand inside another quantifier
        _ = found.query  # what is wrong with it is said here
    return found


def _merged(
    reading: Reading, own: tuple[Variable, ...], where: object, then: object
) -> tuple[tuple[Variable, ...], Formula | None, Formula]:
    """Inner quantifiers moved outward: ``Qx. Qy.`` is ``Q[x, y].``, and a premise ``exists y`` of ``forall x`` too."""
    parts: list[Formula] = []
    ranged = own
    if isinstance(where, Property):
        parts, ranged = [_join(where)], _together(reading, Reading.EXISTS, own, where)
    elif where is not None:
        parts = [as_statement(where, "where")]
    if not isinstance(then, Property):
        return ranged, parts[0] if parts else None, as_statement(then, "then")
    inner = {v.input for v in then.variables}
    if any(x in inner for x in mentioned(*parts)):
        raise misread(
            f"'where' is about a variable that the inner {then.reading.value} ranges over",
            "Use another variable there, or state the condition in the inner 'where'",
        )
    ranged = _together(reading, reading, ranged, then)
    parts += [] if then.where is None else [then.where]
    premise = parts[0] & parts[1] if len(parts) == 2 else parts[0] if parts else None
    return ranged, premise, then.then


def _join(inner: Property) -> Formula:
    return inner.then if inner.where is None else inner.where & inner.then


def _together(outer: Reading, wanted: Reading, own: tuple[Variable, ...], inner: Property) -> tuple[Variable, ...]:
    """The variables of both quantifiers, if the inner one reads as ``wanted``."""
    names = ", ".join(v.name for v in inner.variables)
    if inner.reading is not wanted:
        premise = " as its premise" if wanted is not outer else ""
        raise misread(
            f"the quantifiers alternate: '{outer.value} {', '.join(v.name for v in own)}' has "
            f"'{inner.reading.value} {names}' inside{premise}, so that every value of the one needs an answer of its "
            "own by the other, and a method searches for one point",
            f"Let '{names}' range over a finite set (nn.all or nn.any over its elements), or give it as a function of "
            "the other variables (a term or a network)",
        )
    return _variables((*own, *inner.variables), outer.value)


def _variables(given: object, word: str) -> tuple[Variable, ...]:
    found = (given,) if isinstance(given, Variable) else tuple(given) if isinstance(given, (list, tuple)) else ()
    if not found or not all(isinstance(v, Variable) for v in found):
        raise misread(f"{word} ranges over variables", "Pass nn.Variable(...) or a list of them as the first argument")
    names = [v.name for v in found]
    for name in names:
        if names.count(name) > 1:
            raise misread(f"two variables are called '{name}'", "Give each its own name=")
    return found
