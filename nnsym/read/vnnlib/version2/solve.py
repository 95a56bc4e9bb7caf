"""Equations of a VNN-LIB 2.0 file, solved for inputs: by ``(== (* 2.0 y[0]) (- a[0] 1.0))``, a[0] is ``2 y[0] + 1``.

An input may become a term that some network's value enters, as long as no network depends on itself and every
coefficient is a float64, exactly: the term becomes an affine layer in front of the network. Equations of inputs alone
stay what they are, preconditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.read.vnnlib.tree import Term


@final
class Solver:
    """Takes equations one after the other; each defines at most one input.

    ``tied`` are the numbers of the elements of all declared inputs, ``inputs`` the elements of each network and
    ``outputs`` the hidden and output elements of each, which are the variables ``~k``.
    """

    def __init__(self, tied: Array, inputs: Sequence[range], outputs: Sequence[range]) -> None:
        self._outputs = outputs
        self._readers: dict[int, set[int]] = {}  # by variable: the networks that read it
        for k, elements in enumerate(inputs):
            for variable in np.unique(tied[elements.start : elements.stop]).tolist():
                self._readers.setdefault(variable, set()).add(k)
        self._needs: list[set[int]] = [set() for _ in inputs]  # by network: those it needs, directly or not
        self._found: dict[int, tuple[int, Term]] = {}
        self._used: set[int] = set()

    def solve(self, equations: Sequence[Term]) -> dict[int, tuple[int, Term]]:
        """By input variable: the number of its equation ``term == 0`` and what it is."""
        for number, equation in enumerate(equations):
            if min(equation.coefficients, default=0) >= 0:
                continue
            for variable in sorted((v for v in equation.coefficients if v >= 0), reverse=True):
                term = _solved(equation, variable)
                if term is not None and self._take(variable, term):
                    self._found[variable] = number, term
                    break
        return self._found

    def _take(self, variable: int, term: Term) -> bool:
        """Record that a variable is a term; False where it would depend on itself."""
        others = {v for v in term.coefficients if v >= 0}
        if variable in self._found or variable in self._used or others & self._found.keys():
            return False
        sources = {self._owner(~v) for v in term.coefficients if v < 0}
        needed = sources.union(*(self._needs[k] for k in sources))
        readers = self._readers.get(variable, set())
        if readers & needed:
            return False
        for k, needs in enumerate(self._needs):
            if k in readers or needs & readers:
                needs |= needed
        for v in others:  # who reads the variable, reads these now
            self._readers.setdefault(v, set()).update(readers)
        self._used |= others
        return True

    def _owner(self, element: int) -> int:
        return next(k for k, elements in enumerate(self._outputs) if element in elements)


def _solved(equation: Term, variable: int) -> Term | None:
    """What the variable is by ``equation == 0``; None where that has a number that is no float64."""
    factor = equation.coefficients[variable]
    rest = {v: -c / factor for v, c in equation.coefficients.items() if v != variable}
    constant = -equation.constant / factor
    return Term(rest, constant) if all(map(_is_float, (constant, *rest.values()))) else None


def _is_float(value: Fraction) -> bool:
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False
