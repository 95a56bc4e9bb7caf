"""Multiples of what the property says of its inputs alone, where a row needs them: half-spaces and balls.

With ``g_k(x) <= 0`` and ``m_k >= 0`` a row ``s`` is at least ``s + sum_k m_k g_k``, whose least value over a box is
found exactly: every ``g_k`` is a sum of functions of one element, ``q x^2 + a x``. The best multipliers maximise a
concave function; each in turn is found by golden sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.check.graph import Input
from nnsym.check.problem import Fact
from nnsym.ir.array import Array

#: So many premises are weighed at most, in so many rounds of so many sections.
_MOST, _ROUNDS, _SECTIONS = 8, 4, 40
_GOLDEN = (5**0.5 - 1) / 2


@final
@dataclass(frozen=True, eq=False)
class Premises:
    """The facts of a case that read inputs alone: their places in it, squares, slopes ``(k, n)`` and constants."""

    places: tuple[int, ...]
    squares: Array
    slopes: Array
    constants: Array

    @staticmethod
    def of(facts: Sequence[Fact], width: int) -> Premises:
        """Those among the facts of a case, in floats."""
        found = [k for k, f in enumerate(facts) if f.own and all(isinstance(n, Input) for n in f.terms)][:_MOST]
        squares, slopes = np.zeros((2, len(found), width))
        for row, k in enumerate(found):
            for i, q in facts[k].squares.items():
                squares[row, i] = float(q)
            for node, terms in facts[k].terms.items():
                for i, a in terms.items():
                    slopes[row, node.first + i] = float(a)  # type: ignore[attr-defined]
        return Premises(tuple(found), squares, slopes, np.array([float(facts[k].constant) for k in found]))

    def least(self, form: Array, constant: float, weights: Array, lower: Array, upper: Array) -> float:
        """The least value of ``form x + constant + sum_k weights_k g_k(x)`` on a box."""
        q, a = weights @ self.squares, form + weights @ self.slopes
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = np.where(q > 0, np.clip(-a / (2 * q), lower, upper), np.where(a > 0, lower, upper))
        values = np.minimum(np.minimum(q * lower**2 + a * lower, q * upper**2 + a * upper), q * turn**2 + a * turn)
        return float(values.sum() + constant + weights @ self.constants)

    def pairs(self, weights: Array) -> list[list[Any]]:
        """Numbers of facts with their multipliers, as they are written."""
        return [[k, float(f"{w:.6g}")] for k, w in zip(self.places, weights.tolist(), strict=True) if w]

    def excluding(self, lower: Array, upper: Array) -> Array | None:
        """Weights with which the premises alone are positive on a box, the largest 1; None where none are found."""
        none = np.zeros(len(lower))
        for first in range(len(self.places)):
            form, constant = self.slopes[first], float(self.constants[first])
            if self.squares[first].any():
                only = np.array([float(k == first) for k in range(len(self.places))])
                value, weights = self.least(none, 0.0, only, lower, upper), only
            else:
                value, weights = self.best(form, constant, lower, upper)
                weights = weights + (np.arange(len(weights)) == first)
            if value > 1e-9 * np.abs(self.constants).max():
                return weights
        return None

    def best(self, form: Array, constant: float, lower: Array, upper: Array) -> tuple[float, Array]:
        """The largest such value that is found, and its weights."""
        weights = np.zeros(len(self.places))
        scale = np.abs(form).sum() + 1e-300
        reach = np.array([np.abs(s).max() + np.abs(q).max() for s, q in zip(self.slopes, self.squares, strict=True)])
        value = self.least(form, constant, weights, lower, upper)
        for _ in range(_ROUNDS):
            before = value
            for k in range(len(weights)):
                value = self._section(k, weights, 64 * scale / max(reach[k], 1e-300), form, constant, lower, upper)
            if value - before <= 1e-6 * abs(value):
                break
        return value, weights

    def _section(
        self, k: int, weights: Array, most: float, form: Array, constant: float, lower: Array, upper: Array
    ) -> float:
        """Set one weight to about its best value in ``[0, most]``; the value with it."""

        def at(w: float) -> float:
            trial = weights.copy()
            trial[k] = w
            return self.least(form, constant, trial, lower, upper)

        old = float(weights[k])
        left, right = 0.0, most
        a, b = right - _GOLDEN * right, _GOLDEN * right
        at_a, at_b = at(a), at(b)
        for _ in range(_SECTIONS):
            if at_a < at_b:
                left, a, at_a = a, b, at_b
                b = left + _GOLDEN * (right - left)
                at_b = at(b)
            else:
                right, b, at_b = b, a, at_a
                a = right - _GOLDEN * (right - left)
                at_a = at(a)
        found = float(f"{(left + right) / 2:.6g}")
        weights[k] = max((old, 0.0, found), key=at)
        return at(float(weights[k]))
