"""Functions between two lines, or planes, in integers scaled by 2^-P: the slopes are anyone's, the offset is found.

Each has ``range(*ends, bits)``, bounds of its values where its arguments lie between ``ends``, pairs of integers scaled
by 2^-bits; ``is_open(*ends, bits)``, whether it needs more than one line; ``lines(*ends, bits, low, high)``, slopes and
offset of a line below and of one above. A share says where between the extreme slopes, None is the default.

A line of slope s below f on [left, right] has the offset ``min f(z) - s z``: over ends and breakpoints where f is
piecewise linear, over the ends where ``f - s z`` is concave, below a tangent where it is convex. Slopes are integers
scaled by 2^-30. Every result is rounded outward, so a slope can be wrong without harm.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from math import exp, lcm, log, sqrt
from typing import Any

SLOPE = 30  # binary places of slopes
Function = Any
Ends = tuple[int, int]
Lines = tuple[Sequence[int], int, Sequence[int], int]  # slopes and offset below, slopes and offset above


class Pieces:
    """Piecewise linear: ``lines[k] = (slope, intercept)`` between breaks k-1 and k; ``at`` its values at jumps.

    All numbers are integers over one denominator, corners ``(z D, f(z) D^2)``.
    """

    def __init__(
        self, breaks: Sequence[Fraction], lines: Sequence[tuple[Fraction, Fraction]], at: Sequence[int] = ()
    ) -> None:
        d = lcm(*(Fraction(v).denominator for v in (*breaks, *(w for line in lines for w in line))))
        self.d, self.breaks, self.at = d, [int(b * d) for b in breaks], at
        self.parts = [(int(a * d), int(c * d)) for a, c in lines]
        slopes = [a for a, _ in self.parts]
        values = zip(breaks, lines, lines[1:], strict=False)
        self.continuous = all(a * b + c == e * b + f for b, (a, c), (e, f) in values)
        self.convex = self.continuous and slopes == sorted(slopes)
        self.concave = self.continuous and slopes == sorted(slopes, reverse=True)
        self.least, self.greatest = Fraction(min(slopes), d), Fraction(max(slopes), d)
        self.exact_in_floats = all(a == 0 or (abs(a) == 1 and c == 0) for a, c in lines)  # z + c would be rounded

    def span(self, left: int, right: int, bits: int) -> tuple[int, int]:
        """The first and the last piece that [left, right] needs: all that touch it, where there are jumps."""
        places = [b << bits for b in self.breaks]
        left, right = left * self.d, right * self.d
        if self.continuous:
            first = bisect_right(places, left)
            return first, max(first, bisect_left(places, right))
        return bisect_left(places, left), bisect_right(places, right)

    def is_open(self, ends: Ends, bits: int) -> bool:
        first, last = self.span(*ends, bits)
        return first < last

    def corners(self, left: int, right: int, bits: int) -> list[tuple[int, int]]:
        first, last = self.span(left, right, bits)
        found = []
        for k in range(first, last + 1):
            a, c = self.parts[k]
            start = left * self.d if k == first else self.breaks[k - 1] << bits
            end = right * self.d if k == last else self.breaks[k] << bits
            found += [(z, a * z + (c * self.d << bits)) for z in (start, end)]
        return found

    def range(self, ends: Ends, bits: int) -> Ends:
        left, right = ends
        values, scale = [v for _, v in self.corners(left, right, bits)], self.d * self.d
        if self.at and left == right and left * self.d in (places := [b << bits for b in self.breaks]):
            values = [self.at[places.index(left * self.d)] * scale << bits]
        return min(values) // scale, -(-max(values) // scale)

    def defaults(self, left: int, right: int, bits: int) -> tuple[Fraction, Fraction]:
        first, last = self.span(left, right, bits)
        corners = self.corners(left, right, bits)
        rise = corners[-1][1] - corners[0][1]
        chord = Fraction(rise, (right - left) * self.d**2) if right > left else Fraction(0)
        places = [2 * b << bits for b in self.breaks]
        middle = Fraction(self.parts[bisect_left(places, (left + right) * self.d)][0], self.d)
        ends = min(Fraction(self.parts[first][0], self.d), Fraction(self.parts[last][0], self.d))
        if self.convex:
            return middle, chord
        return (chord, middle) if self.concave else (ends, ends)

    def lines(self, ends: Ends, bits: int, low: Fraction | None, high: Fraction | None) -> Lines:
        left, right = ends
        first, last = self.span(left, right, bits)
        if first == last:
            a, c = self.parts[first]
            slope, lost = divmod(a << SLOPE, self.d)
            if not lost and not (c << bits) % self.d:
                offset = (c << bits) // self.d
                return [slope], offset, [slope], offset
            below = above = slope
        else:
            defaults, width = self.defaults(left, right, bits), self.greatest - self.least
            shares = [d if t is None else self.least + width * t for d, t in zip(defaults, (low, high), strict=True)]
            below, above = (int((s.numerator << SLOPE) // s.denominator) for s in shares)
        corners, scale = self.corners(left, right, bits), self.d * self.d << SLOPE
        least = min((v << SLOPE) - below * self.d * z for z, v in corners) // scale
        return [below], least, [above], -(min(above * self.d * z - (v << SLOPE) for z, v in corners) // scale)


def negative_exponential(x: int, bits: int) -> tuple[int, int]:
    """Bounds of ``e^-x`` for x >= 0, scaled by 2^-bits: halved below 2^-8, Taylor's sums, squared again."""
    if x >> bits > bits:
        return 0, 1
    work, halvings = bits + 48, max(0, x.bit_length() - bits) + 8
    y = Fraction(x << (work - bits), 1 << halvings)
    low_y, term, total = y.__floor__(), 1 << work, 1 << work
    for n in range(1, work):
        term = -(term * low_y // (n << work)) if term > 0 else (-term * low_y) // (n << work)
        total += term
        if term in (0, -1):
            break
    low, high = max(0, total - 2 * work), total + 2 * work
    for _ in range(halvings):
        low, high = low * low >> work, (high * high >> work) + 1
    return low >> 48, -(-high >> 48)


class Sigmoid:
    """``f(z) = k s(m z) + c``, s the logistic function: convex left of 0, concave right, ``f(-z) = k + 2 c - f(z)``."""

    exact_in_floats = False

    def __init__(self, k: int = 1, m: int = 1, c: int = 0) -> None:
        self.k, self.m, self.c = k, m, c

    def _standard(self, z: int, bits: int) -> tuple[int, int]:
        """Bounds of ``s(m z)``."""
        low, high = negative_exponential(abs(self.m * z), bits)  # of e^-|z|
        one = 1 << bits
        below, above = one * one // (one + high), -(-one * one // (one + low))
        return (below, above) if z >= 0 else (one - above, one - below)

    def value(self, z: int, bits: int) -> tuple[int, int]:
        low, high = self._standard(z, bits)
        return self.k * low + (self.c << bits), self.k * high + (self.c << bits)

    def range(self, ends: Ends, bits: int) -> Ends:
        return self.value(ends[0], bits)[0], self.value(ends[1], bits)[1]

    def is_open(self, ends: Ends, _: int) -> bool:
        return ends[0] < ends[1]

    def derivative(self, z: int, bits: int) -> float:
        e = exp(-min(abs(self.m * z), 500 << bits) / (1 << bits))
        return self.k * self.m * e / (1 + e) ** 2

    def _low(self, left: int, right: int, slope: int, bits: int) -> int:
        """The offset below: ends of the concave part; of the convex part, a tangent where the slope is near s."""
        found = []
        if right > 0:
            ends = max(left, 0), right
            found += [((self.value(z, bits)[0] << SLOPE) - slope * z) >> SLOPE for z in ends]
        if left <= 0:
            steep = min(max(slope / (1 << SLOPE) / (self.k * self.m), 1e-300), 0.25)
            share = 2 * steep / (1 + sqrt(1 - 4 * steep))
            t = min(max(int(log(share / (1 - share)) / self.m * (1 << bits)), left), min(right, 0))
            sides = self._standard(t, bits)
            half = 1 << (bits - 1)  # s(m t) is not beyond it, as t <= 0
            steepness = [self.k * self.m * min(s, half) * (2 * half - min(s, half)) for s in sides]
            for z in (left, min(right, 0)):  # f(t) + f'(t) (z - t) - s z, with s (1 - s) growing in s below 1/2
                tangent = min(d * (z - t) for d in steepness) >> 2 * bits
                found.append(self.value(t, bits)[0] + tangent - (-(-slope * z >> SLOPE)))
        return min(found)

    def lines(self, ends: Ends, bits: int, low: Fraction | None, high: Fraction | None) -> Lines:
        left, right = ends
        if left == right:
            return [0], self.value(left, bits)[0], [0], self.value(left, bits)[1]
        mean = [self.derivative(z, bits) for z in (left, (left + right) // 2, right)]
        chord = (self.value(right, bits)[0] - self.value(left, bits)[0]) / (right - left)
        flat = min(mean[0], mean[2])
        default = (mean[1], chord) if right <= 0 else (chord, mean[1]) if left >= 0 else (flat, flat)
        top = Fraction(self.k * self.m, 4)
        below, above = (
            int((Fraction(d) if t is None else top * t) * (1 << SLOPE))
            for d, t in zip(default, (low, high), strict=True)
        )
        mirrored = self._low(-right, -left, above, bits)
        return [below], self._low(left, right, below, bits), [above], (self.k + 2 * self.c << bits) - mirrored


class Square:
    """``z^2``."""

    exact_in_floats = False

    def range(self, ends: Ends, bits: int) -> Ends:
        least, greatest = sorted(z * z for z in ends)
        return 0 if ends[0] <= 0 <= ends[1] else least >> bits, -(-greatest >> bits)

    def is_open(self, ends: Ends, _: int) -> bool:
        return ends[0] < ends[1]

    def lines(self, ends: Ends, bits: int, low: Fraction | None, high: Fraction | None) -> Lines:
        left, right = ends
        chord, width = Fraction(left + right, 1 << bits), Fraction(2 * (right - left), 1 << bits)
        least = Fraction(2 * left, 1 << bits)
        shares = [chord if t is None else least + width * t for t in (low, high)]
        below, above = ((s * (1 << SLOPE)).__floor__() for s in shares)
        z = min(max(Fraction(below << bits, 2 << SLOPE), Fraction(left)), Fraction(right))
        offset = z * z / (1 << bits) - Fraction(below, 1 << SLOPE) * z
        top = max(Fraction(v * v, 1 << bits) - Fraction(above * v, 1 << SLOPE) for v in (left, right))
        return [below], offset.__floor__(), [above], top.__ceil__()


def relu() -> Pieces:
    """``max(z, 0)``."""
    return Pieces([Fraction(0)], [(Fraction(0), Fraction(0)), (Fraction(1), Fraction(0))])


def leaky(slope: Fraction) -> Pieces:
    """``max(z, 0) + slope min(z, 0)``; ``slope = -1`` is the absolute value."""
    return Pieces([Fraction(0)], [(slope, Fraction(0)), (Fraction(1), Fraction(0))])


def clip(
    low: Fraction | None, high: Fraction | None, slope: Fraction = Fraction(1), shift: Fraction = Fraction(0)
) -> Pieces:
    """``min(max(slope z + shift, low), high)`` for a positive slope; None: no limit."""
    lines, breaks = [(slope, shift)], []
    if low is not None:
        breaks, lines = [(low - shift) / slope], [(Fraction(0), low), *lines]
    if high is not None:
        breaks, lines = [*breaks, (high - shift) / slope], [*lines, (Fraction(0), high)]
    return Pieces(breaks, lines)


def sign() -> Pieces:
    """-1, 0 or 1."""
    return Pieces([Fraction(0)], [(Fraction(0), Fraction(-1)), (Fraction(0), Fraction(1))], at=[0])


class Product:
    """``x z`` on a box, between planes: the least and the greatest of ``x z - a x - b z`` lie in its corners."""

    exact_in_floats = False

    def range(self, x: Ends, z: Ends, bits: int) -> Ends:
        corners = [v * w for v in x for w in z]
        return min(corners) >> bits, -(-max(corners) >> bits)

    def is_open(self, x: Ends, z: Ends, _: int) -> bool:
        return x[0] < x[1] and z[0] < z[1]

    def lines(self, x: Ends, z: Ends, bits: int, low: Fraction | None, high: Fraction | None) -> Lines:
        """Slopes are those in x and in z; shares weigh the two planes of McCormick."""
        w, v = (Fraction(1, 2) if share is None else share for share in (low, high))
        a, b, c, d = (
            ((one + (other - one) * share) * (1 << SLOPE) / (1 << bits)).__floor__()
            for one, other, share in ((*z, w), (*x, w), (*z[::-1], v), (*x, v))
        )
        corners = [(p, q) for p in x for q in z]
        below = min((p * q << SLOPE) - (a * p + b * q << bits) for p, q in corners) >> SLOPE + bits
        above = -(min((c * p + d * q << bits) - (p * q << SLOPE) for p, q in corners) >> SLOPE + bits)
        return [a, b], below, [c, d], above
