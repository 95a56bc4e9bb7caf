"""Functions on a domain: queries that ask nothing, whose rows are the elements of terms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.ir.query import Query, Reading
from nnsym.ir.rows import Rows, stack
from nnsym.ir.walk import inputs_of
from nnsym.lang.algebra.terms import Term
from nnsym.lang.guard import misread
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula, together
from nnsym.lang.statements.lower import balls, domain, search, without_bounds
from nnsym.lang.statements.statement import mentioned, one_hot


def terms_over(
    terms: Mapping[str, Term], where: Formula, *, name: str, first: tuple[Input, ...] = ()
) -> tuple[Query, dict[str, Array]]:
    """The query of terms over ``where``, and which of its rows each term's elements are.

    Its inputs are those of ``first``, then those of the terms as they use them, then those of ``where``. Its formula is
    what ``where`` holds beside boxes and balls. Raises :class:`LanguageError` for two variables of one name.
    """
    used = inputs_of(node for term in terms.values() for node in term.rows.parts)
    inputs = tuple(dict.fromkeys((*first, *used, *mentioned(where))))
    names = [x.name for x in inputs]
    for twice in (n for n in names if names.count(n) > 1):
        raise misread(f"two variables are called '{twice}'", "Give each its own name=")
    premise = logic.conjunction((where.tree, *map(one_hot, inputs)))
    conditions, formula, labels = search(without_bounds(premise), logic.TRUE)
    blocks: list[Rows] = [conditions, *(term.rows for term in terms.values())]
    ends = np.cumsum([len(rows) for rows in blocks])
    outputs = {n: np.arange(end - term.size, end) for (n, term), end in zip(terms.items(), ends[1:], strict=True)}
    query = Query(
        name=name,
        boxes=domain(premise, inputs),
        rows=stack(blocks),
        formula=formula,
        applications=together(where.applications, *(t.applications for t in terms.values())),
        text=f"{', '.join(map(str, terms.values()))}\n  where {where}",
        labels=(*labels, *(str(k) for k in range(len(conditions), int(ends[-1])))),
        reading=Reading.EXISTS,
        balls=balls(premise),
    )
    return query, outputs
