"""Slopes and multipliers as a certificate writes them: digits of open elements, decimals of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.types import Dual, Limit
from nnsym.certify.mirror import Mirror
from nnsym.certify.names import Names
from nnsym.check.checker import Checker
from nnsym.check.functions import Pieces
from nnsym.check.graph import Curve
from nnsym.ir.array import Array
from nnsym.ir.node import Node

#: How many steps a slope has, as it is written: of two digits, and of four where these are too coarse.
LEVELS = (255, 65535)

#: A multiplier is written to so many digits.
_DIGITS = 4

#: So near to the middle of its range, as a share of it, a breakpoint leaves in doubt which slope is the default.
_NEAR = 2.0**-10

#: What digits may cost a row, as a share of what values are below 0.
_CHARGED = 2.0**-25

#: About so many characters has a slope by its place; by its number in order it has two.
_ENTRY = 9

#: Numbers of slopes: of all open elements in order, or of some by their places.
Digits = bytes | dict[int, int]

#: What a path says of neurons: the number of the curve, the element, and the side that it is on.
Path = Sequence[tuple[int, int, int]]


@final
class Choices:
    """Writes what the kept engine chose for rows of the mirror, in terms of the checker's ``curves`` of lines."""

    def __init__(self, mirrored: Mirror, checker: Checker, names: Names) -> None:
        self.mirror, self.checker, self.names = mirrored, checker, names
        self.curves = [n for n in checker.problem.nodes if isinstance(n, Curve) and isinstance(n.function, Pieces)]
        self.arguments = [mirrored.nodes[curve.parents[0]] for curve in self.curves]

    def opened(self, case: Any) -> list[Array]:
        """Which elements of every curve the checker finds open in a case with bounds: those that it reads slopes of."""
        return [np.array(self.checker.engine.open_elements(c, case.known), dtype=bool) for c in self.curves]

    def charged(self, case: Any) -> float:
        """About what the fast engine may charge a row for its digits, in a case with bounds.

        What it does charge hangs on the rows that it bounds together.
        """
        unit = 1 << self.checker.engine.bits
        return _CHARGED * sum(float(np.maximum(0, -np.array(b.lower) / unit).sum()) for b in case.known.values())

    def rounded(self, dual: Dual, levels: int) -> Dual:
        """The choices as they are read again: slopes of so many steps, multipliers of a few digits."""
        slopes = {}
        for curve in self.curves:
            node = self.mirror.nodes[curve]
            if node in dual.slopes:
                least, width = _ends(curve)
                slopes[node] = least + width * np.round((dual.slopes[node] - least) / width * levels) / levels
        return Dual(slopes, {n: _few_digits(m) for n, m in dual.multipliers.items()})

    def named(self, slopes: Mapping[Any, Digits]) -> dict[str, str | dict[str, int]]:
        """Slopes of curves as a token has them."""
        return {str(self.names.number(curve)): _written(data) for curve, data in slopes.items()}

    def usual(self, case: Any) -> list[Array]:
        """For every element of every curve the number of its default slope in a case with bounds, -1 where in doubt."""
        found = []
        for curve in self.curves:
            known = case.known[curve.parents[0]]
            low, up = (np.asarray(side, dtype=np.float64) for side in (known.lower, known.upper))
            found.append(_usual(curve, low, up))
        return found

    def slopes(
        self, own: Mapping[Node, Array], opened: Sequence[Array], usual: Sequence[Array], path: Path, levels: int
    ) -> dict[Any, Digits]:
        """For each curve one row's slopes ``own[node]`` ``(size,)``, where the path leaves an element open.

        Numbers in order or, where that is shorter, those that are not the default's by their places.
        """
        found: dict[Any, Digits] = {}
        for c, curve in enumerate(self.curves):
            mask = opened[c].copy()
            mask[[i for other, i, _ in path if other == c]] = False
            node = self.mirror.nodes[curve]
            if mask.any() and node in own:
                least, width = _ends(curve)
                share = np.clip(np.round((own[node][mask] - least) / width * levels), 0, levels).astype(np.int64)
                data = share.astype(">u2" if levels > LEVELS[0] else np.uint8).tobytes()
                other = share != usual[c][mask]
                places = np.flatnonzero(mask)[other]
                if levels == LEVELS[0] and _ENTRY * len(places) < 2 * len(data):
                    listed = dict(zip(places.tolist(), share[other].tolist(), strict=True))
                    found |= {curve: listed} if listed else {}
                else:
                    found[curve] = data
        return found

    def fewer(self, dual: Dual, ranges: Mapping[Node, Limit], share: float) -> Dual:
        """The choices with default slopes where these say less than a share of what another says of the row.

        What a slope says is its distance from the default, times how far the element is open, twice for each curve that
        comes before its own: a guess, which is bounded before it is used.
        """
        says, plain = {}, {}
        for depth, (curve, argument) in enumerate(zip(self.curves, self.arguments, strict=True)):
            node = self.mirror.nodes[curve]
            if node in dual.slopes and argument in ranges and bent(curve):
                least, width = _ends(curve)
                low, up = ranges[argument].lower[:, None], ranges[argument].upper[:, None]
                plain[node] = least + width * (low + up > 0)
                opened = (low < 0) & (up > 0)
                gap = np.where(opened, -low * up / np.where(opened, up - low, 1.0), 0.0)
                says[node] = np.abs(dual.slopes[node] - plain[node]) * gap * 2.0**depth
        most = np.max([s.max(-1, initial=0.0) for s in says.values()], axis=0, initial=0.0)[..., None]
        slopes = {n: np.where(says[n] < share * most, plain[n], s) if n in says else s for n, s in dual.slopes.items()}
        return Dual(slopes, dual.multipliers)

    def listed(self, own: Mapping[Node, Array], ranges: Mapping[Node, Limit]) -> dict[str, dict[str, int]]:
        """One row's slopes by places, of elements that are open in ``ranges`` ``(1, size)``, as a token has them.

        What is a default slope beyond doubt is left out.
        """
        found: dict[str, dict[str, int]] = {}
        for curve, argument in zip(self.curves, self.arguments, strict=True):
            node = self.mirror.nodes[curve]
            if node in own and argument in ranges:
                least, width = _ends(curve)
                low, up = ranges[argument].lower[0], ranges[argument].upper[0]
                share = np.clip(np.round((own[node] - least) / width * LEVELS[0]), 0, LEVELS[0])
                places = np.flatnonzero((low < 0) & (up > 0) & (share != _usual(curve, low, up)))
                share = share[places]
                numbers = {str(i): int(n) for i, n in zip(places.tolist(), share.tolist(), strict=True)}
                found |= {str(self.names.number(curve)): numbers} if numbers else {}
        return found

    def multipliers(self, own: Mapping[Node, Array], path: Path, first: int) -> list[list[Any]]:
        """Facts ``first``, ``first + 1`` ... of a path with one row's signed multipliers ``own[node]`` ``(size,)``."""
        found = []
        for number, (c, i, side) in enumerate(path):
            node = self.arguments[c]
            signed = float(own[node][i]) if node in own else 0.0
            m = max(signed if side else -signed, 0.0)
            if m:
                found.append([first + number, float(f"{m:.{_DIGITS}g}")])
        return found


def _usual(curve: Any, low: Array, up: Array) -> Array:
    """Numbers of default slopes: of the one or the other where a function has two, else in doubt."""
    known = (np.abs(low + up) > _NEAR * (up - low)) & bent(curve)
    return np.where(known, np.where(low + up > 0, LEVELS[0], 0), -1)


def _written(data: Digits) -> str | dict[str, int]:
    return data.hex() if isinstance(data, bytes) else {str(i): n for i, n in data.items()}


def bent(curve: Any) -> bool:
    """Whether a function is convex with one breakpoint, at 0: a default slope is then one of its two."""
    return bool(curve.function.convex and curve.function.breaks == [0])


def _ends(curve: Any) -> tuple[float, float]:
    """The least slope of a function, and how far it is to the greatest."""
    least, greatest = float(curve.function.least), float(curve.function.greatest)
    return least, max(greatest - least, 2.0**-100)


def _few_digits(values: Array) -> Array:
    size = np.abs(values).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (np.floor(np.log10(size)) - (_DIGITS - 1))
        found = np.where(size > 1e-9, np.round(values / scale) * scale, 0.0)
    return np.asarray(found)
