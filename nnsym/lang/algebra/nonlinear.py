"""Terms that one node computes: a function of every element, the largest element of every group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnsym.ir.array import Array
from nnsym.ir.node import maximum, pointwise
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Univariate
from nnsym.lang.algebra.linear import materialise
from nnsym.lang.guard import misread
from nnsym.lang.writing.text import Text

if TYPE_CHECKING:
    from nnsym.lang.algebra.terms import Term


def applied_function(fn: Univariate, term: Term, text: Text) -> Term:
    """``fn`` of every element."""
    return term.made(Rows.of(pointwise(fn, materialise(term.rows))), term.shape, text)


def extreme(name: str, term: Term, groups: Array, shape: tuple[int, ...], text: Text) -> Term:
    """The ``max`` or ``min`` of every group of elements, as one node; groups of one element stay what they are."""
    if not term.size or not groups.shape[1]:
        raise misread(f"{name} of nothing", "Pass at least one element")
    if groups.shape[1] == 1:
        return term.made(term.rows.take(groups.ravel()), shape, text)
    if name == "max":
        return term.made(Rows.of(maximum(materialise(term.rows), groups)), shape, text)
    return term.made(-Rows.of(maximum(materialise(-term.rows), groups)), shape, text)
