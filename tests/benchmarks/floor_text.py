"""The floor of SMT-LIB text: the arrays of :mod:`tests.benchmarks.floor` printed exactly, with nameless columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import CaseForm
from tests.benchmarks.floor import Arrays

_CASES = {
    CaseForm.OR: "(or (and (<= {h} 0.0) (= {y} 0.0)) (and (> {h} 0.0) (= {y} {h})))",
    CaseForm.ITE: "(= {y} (ite (>= {h} 0.0) {h} 0.0))",
    CaseForm.IMPLIES: "(and (=> (>= {h} 0.0) (= {y} {h})) (=> (< {h} 0.0) (= {y} 0.0)))",
}


def numerals(values: Array) -> list[str]:
    """Every float as an integer over a power of two; infinite ones as they come."""
    mantissa, exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))
    over = (np.abs(mantissa) * 2.0**53).astype(np.int64)
    last = np.maximum(over & -over, 1)  # the last bit that is set
    power = exponent - 54 + np.frexp(last.astype(float))[1]
    texts = {p: f" {2**-p}.0)" for p in np.unique(power).tolist() if p < 0}
    found = []
    for n, p, negative in zip((over // last).tolist(), power.tolist(), (values < 0).tolist(), strict=True):
        size = f"(/ {n}.0{texts[p]}" if p < 0 else f"{n << p}.0"
        found.append(f"(- {size})" if negative else size)
    return found


def repeated(values: Array) -> list[str]:
    """The same where few numbers occur often."""
    found, place = np.unique(values, return_inverse=True)
    texts = numerals(found)
    return [texts[k] for k in place.tolist()]


def floor_text(arrays: Arrays, *, short: bool = False) -> str:
    """``t <= 0`` over the arrays; ``short`` where numbers have few bits."""
    spell = repeated if short else numerals
    m = arrays.matrix
    integer = m["integer"].tolist()
    name = [f"p{k}" if whole else f"x{k}" for k, whole in enumerate(integer)]
    lines = ["(set-logic QF_LRA)"]
    lines += [f"(declare-const {n} {'Bool' if n[0] == 'p' else 'Real'})" for n in name]
    lower, upper = spell(m["lower"]), spell(m["upper"])
    lines += [f"(assert (<= {low} {n} {high}))" for n, low, high in zip(name, lower, upper, strict=True) if n[0] != "p"]
    products = _products(m["data"], m["indices"], name, spell)
    sides = (m["row_lower"], m["row_upper"], *map(spell, (m["row_lower"], m["row_upper"])))
    ends = itertools.pairwise(m["starts"].tolist())
    for (start, stop), low, high, low_text, high_text in zip(ends, *sides, strict=True):
        row = _sum(products[start:stop])
        if low == high:
            lines.append(f"(assert (= {row} {low_text}))")
        elif low == -np.inf:
            lines.append(f"(assert (<= {row} {high_text}))")
        elif high == np.inf:
            lines.append(f"(assert (>= {row} {low_text}))")
        else:
            lines.append(f"(assert (<= {low_text} {row} {high_text}))")
    for guard, value, data, indices in arrays.implications:
        terms, wide = _products(data.ravel(), indices.ravel(), name, spell), data.shape[1]
        for k, g in enumerate(guard.tolist()):
            row = _sum(terms[k * wide : (k + 1) * wide])
            lines.append(f"(assert (=> {name[g] if value else f'(not {name[g]})'} (<= {row} 0.0)))")
    for form, h, y in arrays.cases:
        both = zip(h.tolist(), y.tolist(), strict=True)
        lines += [f"(assert {_CASES[form].format(h=name[a], y=name[b])})" for a, b in both]
    return "\n".join((*lines, f"(assert (<= {name[-1]} 0.0))", "(check-sat)", ""))


def _products(data: Array, indices: Array, name: list[str], spell: Callable[[Array], list[str]]) -> list[str]:
    found = []
    for a, n, j in zip(data.tolist(), spell(data), indices.tolist(), strict=True):
        found.append(name[j] if a == 1 else f"(- {name[j]})" if a == -1 else f"(* {n} {name[j]})")
    return found


def _sum(terms: list[str]) -> str:
    return f"(+ {' '.join(terms)})" if len(terms) > 1 else terms[0]
