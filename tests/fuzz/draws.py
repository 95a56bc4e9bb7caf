"""Random numbers of the kinds that break arithmetic, deterministic by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar

import numpy as np

T = TypeVar("T")

#: What a user writes: a float, an integer, a rational or decimal text.
Written = float | int | Fraction | str
NumberStyle = Literal["short", "long", "decimal", "wild"]
STYLES: tuple[NumberStyle, ...] = ("short", "long", "long", "decimal", "decimal", "wild")


def value(number: Written) -> Fraction:
    """The rational that a written number is."""
    return Fraction(number)


@dataclass(frozen=True)
class Draw:
    """A generator of choices."""

    rng: np.random.Generator

    @staticmethod
    def seeded(*seed: int) -> Draw:
        return Draw(np.random.default_rng(seed))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def choice(self, items: Sequence[T]) -> T:
        return items[int(self.rng.integers(len(items)))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different items, in any order; all where there are fewer."""
        order = self.rng.permutation(len(items))[:count]
        return [items[int(k)] for k in order]

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def sign(self) -> int:
        return self.choice((-1, 1))

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def between(self, low: Fraction, high: Fraction) -> Fraction:
        """A rational of the interval; at times an end."""
        if self.chance(0.15):
            return self.choice((low, high))
        return low + (high - low) * Fraction(self.whole(0, 2**20), 2**20)

    def weight(self, style: NumberStyle) -> float:
        """A float64 near 1, or anywhere from 1e-30 to 1e30 (``wild``, one in six)."""
        match style:
            case "short":
                return self.whole(-8, 8) / 4
            case "decimal":
                return self.whole(-20, 20) / 10
            case "wild" if self.chance(0.17):
                return self.sign() * 10.0 ** self.uniform(-30, 30)
        return float(self.rng.normal())

    def number(self, style: NumberStyle) -> Written:
        """A number as users write them: a float, decimal text, a third, 17 digits."""
        plain = self.weight(style)
        if style == "short":
            return plain
        kind: Any = self.choice(("float", "float", "text", "fraction", "digits"))
        match kind:
            case "text":
                return f"{plain:.{self.whole(1, 6)}g}"
            case "fraction":
                return Fraction(self.whole(-20, 20), self.choice((3, 7, 9, 10)))
            case "digits":
                return f"{plain:.16e}" if style == "wild" else f"{plain:.17f}"
        return plain
