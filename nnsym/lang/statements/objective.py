"""Terms to minimise: queries whose one soft row is the term."""

from __future__ import annotations

import numpy as np

from nnsym.ir.query import Query, Reading
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.guard import misread
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula
from nnsym.lang.statements.statement import as_statement, mentioned, searched
from nnsym.lang.writing.text import COMPARE, Text


def objective(term: object, where: object = None, *, name: str = "minimum") -> Query:
    """``minimise term where ...`` over all variables that either is about.

    The query's formula is ``where and term <= 0``, its least margin the infimum of the term. Raises
    :class:`LanguageError` for an array of terms, and for two variables of one name.
    """
    taken = as_term(term)
    if taken.size != 1:
        raise misread(
            f"'{taken}' has {taken.size} elements, and one number is minimised",
            "Take an element, nn.max, nn.min or a norm; nn.reach bounds every element",
        )
    premise = None if where is None else as_statement(where, "where")
    goal = Formula(logic.Each(taken.rows, False, str(taken)), Text(f"{taken} <= 0", COMPARE), (), taken.applications)
    inputs = mentioned(premise, goal)
    names = [x.name for x in inputs]
    for twice in (n for n in names if names.count(n) > 1):
        raise misread(f"two variables are called '{twice}'", "Give each its own name=")
    text = f"minimise {taken}" + (f"\n  where {premise}" if premise is not None else "")
    return searched(Reading.MINIMUM, inputs, premise, goal, name=name, text=text)


def elements(terms: object) -> list[Term]:
    """Every element of a term, or of several."""
    if isinstance(terms, (list, tuple)):
        return [element for term in terms for element in elements(term)]
    taken = as_term(terms)
    return [taken[index] for index in np.ndindex(taken.shape)] if taken.shape else [taken]
