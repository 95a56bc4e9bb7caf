"""What backward passes know of every node before they start: its range, a centre, lines, and the price of rounding.

Passes speak of deviations ``v - c`` from a *centre* c of every node, any float64 vector near its values. So what
rounding may move is relative to how far a node can be from its centre, not to how large it is, and a row's value at the
centres is added once, in float64. A centre is

    of an input        the middle of its box,
    of ``A v + b``     ``A c + b``, rounded; what rounding moved is a charge,
    of a line's node   the lower line at its parents' centres: only upper lines keep an offset.

All this is computed once per node in float64. Rows, in float64 or float32, get slopes rounded to nearest (one more
rounding of a product with a deviation), offsets and charges rounded outward (docs/rounding.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast, final

import torch
from torch import Tensor

from nnsym.bounds.engine.forward.interval import Image, Probe
from nnsym.bounds.engine.inputs import Balls, DeviceBall, Range
from nnsym.bounds.engine.maps.contraction import Contraction
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.maps.torch_maps import DenseMap
from nnsym.bounds.engine.maps.windows import Windows
from nnsym.bounds.engine.relaxations import Lines
from nnsym.bounds.engine.rounding import FLOAT64, Amounts, magnitude, middle, product, rounded
from nnsym.ir.node import Affine, Input, Node
from nnsym.ir.walk import topological

T = TypeVar("T")
Support = Tensor | Windows | None  # element numbers, the same for all rows or a block for each, or all elements
_SPARSE = 0.9  # a support of more elements than this part of a node is not worth a gather


@final
@dataclass(frozen=True, eq=False)
class SupportLines:
    """The lines of a nonlinear node on a support, over deviations; offsets are None where they are all zero.

    ``place`` are the positions of the free elements within the support, ``kept`` those of them that are there, and
    ``centre`` the centres of what they are functions of.
    """

    low: tuple[Tensor, ...]
    high: tuple[Tensor, ...]
    low_offset: Amounts | None
    high_offset: Amounts | None
    place: Tensor
    kept: Tensor
    below: Tensor
    above: Tensor
    centre: Tensor


@final
@dataclass(frozen=True, eq=False)
class Charge:
    """What rounding may have moved per unit of coefficient: ``gamma_k amount``, k = ``terms`` at most."""

    amount: Tensor
    terms: int


@final
@dataclass(frozen=True, eq=False)
class Priced:
    """One node: centre and price of rounding, float64 ``(1 or batch, n)``.

    ``drift`` is what the centre itself may be off, ``steer`` what choosing another slope may cost. Offsets are those
    of lines over deviations.
    """

    centre: Tensor
    charges: tuple[Charge, ...]
    drift: Tensor
    low: Tensor | None = None
    high: Tensor | None = None
    steer: Tensor | None = None


@final
@dataclass(eq=False)
class State:
    """All nodes. ``count`` is what is added to the lengths of all sums, ``balls`` are those of the inputs,
    ``contractions`` the nodes whose products a pass may step over.

    Passes in float64 over the nodes of a float32 state share all but what is :meth:`once` made of it.
    """

    maps: Maps
    balls: Balls
    count: int
    contractions: Mapping[Node, Contraction] = field(default_factory=dict)
    ranges: dict[Node, Range] = field(default_factory=dict)
    known: dict[Node, Priced] = field(default_factory=dict)
    relaxed: dict[Node, Lines] = field(default_factory=dict)
    supports: dict[Node, Tensor] = field(default_factory=dict)
    free: dict[Node, Tensor] = field(default_factory=dict)
    _kept: dict[object, tuple[object, object]] = field(default_factory=dict, init=False)

    def add_input(self, node: Node) -> None:
        """The middle of a box."""
        centre, _ = middle(self.ranges[node].lower, self.ranges[node].upper)
        self.known[node] = Priced(centre, (), torch.zeros_like(centre))

    def probes(self, node: Affine) -> tuple[Probe, ...]:
        """Centres of the parents of an affine node, and how far these may be from them."""
        return tuple(Probe(self.known[p].centre, self.radius(p)) for p in node.parents)

    def add_affine(self, node: Affine, image: Image, moved: Tensor | None = None) -> None:
        """An affine node, given the image of its :meth:`probes`; ``moved`` is what else its values may be off."""
        wide, charges, most = self.maps.wide, [], 0
        for linear, far in zip(node.maps, image.far, strict=True):
            kind = wide[linear]
            amount = far + self.maps.precision.pad * kind.touched
            charges.append(Charge(amount, kind.back + (not self.maps[linear].exact)))
            most = max(most, kind.terms)
        drift = FLOAT64.gamma(most + len(node.maps) + 2) * image.size + FLOAT64.tiny * (image.size > 0)
        centre, lost = _near(image.centre)
        if lost is not None:
            drift = torch.where(lost, 2 * image.size, drift)
        self.known[node] = Priced(centre, tuple(charges), drift if moved is None else drift + moved)

    def add_lines(self, node: Node, lines: Lines) -> None:
        """A nonlinear node whose parents are known."""
        by, most = self.maps.precision, torch.zeros_like(lines.low)
        below, above = torch.where(torch.isfinite(lines.low), lines.low, 0.0), lines.high
        size, amount = below.abs() + torch.where(torch.isfinite(above), above.abs(), 0.0), most
        for tap in lines.taps:
            centre, far = self.known[tap.parent].centre, self.radius(tap.parent)
            if tap.index is not None:
                centre, far = centre[:, tap.index], far[:, tap.index]
            steep = magnitude(tap.low, tap.high)
            if lines.free is not None:  # any slope between those of the two lines may be chosen
                most = magnitude(lines.free.least, lines.free.most) * (lines.free.below | lines.free.above)
                steep = torch.maximum(steep, most)
                most = 2 * most * centre.abs()
            amount = amount + product(steep, far) + by.pad * (steep > 0)
            below, above = below + tap.low * centre, above + tap.high * centre
            size = size + 2 * steep * centre.abs()
        centre, lost = _near(below)
        high, low = above - centre, torch.where(torch.isfinite(lines.low), torch.zeros_like(lines.low), -torch.inf)
        drift = FLOAT64.gamma(len(lines.taps) + 4) * size
        if lost is not None:
            high, low = torch.where(lost, torch.inf, high), torch.where(lost, -torch.inf, low)
            drift = torch.where(lost, 0.0, drift)
        offset = torch.where(torch.isfinite(high), high.abs(), 0.0)
        charges = (Charge(amount, 2), Charge(offset, node.size))  # a product with a rounded slope
        self.known[node] = Priced(centre, charges, drift, low, high, most if lines.free is not None else None)
        self._place(node, lines, low, high)

    def _place(self, node: Node, lines: Lines, low: Tensor, high: Tensor) -> None:
        """Where a node can leave its centre, and where its lines are free.

        Two equal lines without slopes are their centre exactly: such an element has no deviation to speak of.
        """
        self.relaxed[node] = lines
        if lines.free is not None:
            self.free[node] = torch.nonzero((lines.free.below | lines.free.above).any(0)).ravel()
        used = (low != 0) | (high != 0)
        for tap in lines.taps:
            used = used | (tap.low != 0) | (tap.high != 0)
        support = torch.nonzero(used.any(0)).ravel()
        if len(support) <= _SPARSE * node.size:
            self.supports[node] = support

    def radius(self, node: Node) -> Tensor:
        """By how much a node may be off its centre, rounded up; +inf where that is beyond what rows can hold."""
        span, centre = self.ranges[node], self.known[node].centre
        far = torch.maximum(span.upper - centre, centre - span.lower) * (1.0 + 4.0 * FLOAT64.u)
        return torch.where(far <= self.maps.precision.huge, far.clamp(min=0), torch.inf)

    def order(self, *ends: Node) -> tuple[Node, ...]:
        """Ancestors of the nodes, children first."""
        return self.once(("order", *ends), None, lambda: topological(ends)[::-1])

    def part(self, linear: DenseMap, rows: Tensor | None, columns: Tensor | None) -> Tensor:
        """Some rows and columns of a dense matrix."""

        def make() -> Tensor:
            weight = linear.weight if rows is None else linear.weight[rows]
            return weight if columns is None else weight[:, columns]

        return self.once((id(linear), id(rows), id(columns)), (linear, rows, columns), make)

    def charge(self, node: Node, support: Support) -> Amounts:
        """The price of replacing a node, on a support: a sum has no more terms than that has elements."""
        if isinstance(node, Input):
            return self.once(("far", node, id(support)), support, lambda: self._far(node, support))
        known, most = self.known[node], _elements(support, node)

        def make() -> Amounts:
            by, total = self.maps.precision, known.drift
            for part in known.charges:
                total = total + by.gamma(min(part.terms, most) + self.count) * part.amount
            return Amounts.of(self.up(pick(total, support)))

        return self.once(("charge", node, id(support)), support, make)

    def _far(self, node: Node, support: Support) -> Amounts:
        """The radius of an input."""
        slack = self.maps.precision.gamma(self.count)
        return Amounts.of(self.up(pick(self.radius(node) * (1.0 + slack), support)))

    def around(self, node: Node) -> tuple[DeviceBall, ...]:
        """The balls of an input, seen from its centre."""
        balls = self.balls.get(node, ())
        return self.once(
            ("balls", node), None, lambda: tuple(b.seen(self.known[node].centre, self.maps) for b in balls)
        )

    def copied(self, node: Affine, index: Tensor) -> Tensor:
        """The price of rows of the maps, as they stand and added to what else meets in a parent, and of the centre."""
        known, by = self.known[node], self.maps.precision

        def make() -> Tensor:
            total = known.drift + FLOAT64.gamma(8) * known.centre.abs()
            for linear, part in zip(node.maps, known.charges, strict=True):
                terms = len(node.maps) - 1 + (not self.maps[linear].exact) + self.count
                total = total + by.gamma(terms) * part.amount
            return total

        return self.once(("copied", node), None, make)[:, index]

    def held(self, node: Node) -> tuple[Tensor, Tensor]:
        """Centres of a node for a sum over it, and its price per unit of coefficient."""
        by, centre = self.maps.precision, self.known[node].centre
        price = by.gamma(node.size + self.count + 1) * (centre.abs() + self.radius(node))
        return centre.to(self.maps.dtype), self.up(price)

    def steer(self, node: Node, support: Support) -> Amounts:
        """The price of other slopes of the free elements of a hinge."""
        steer, terms = self.known[node].steer, len(self.free[node])
        assert steer is not None
        price = self.maps.precision.gamma(terms + self.count + 4) * steer
        return self.once(("steer", node, id(support)), support, lambda: Amounts.of(self.up(pick(price, support))))

    def up(self, values: Tensor) -> Tensor:
        """float64 amounts in the format of rows, rounded up."""
        return values if self.maps.precision is FLOAT64 else rounded(values, self.maps.dtype, torch.inf)

    def lines(self, node: Node, support: Support) -> SupportLines:
        """The lines of a node on a support."""
        return self.once(("lines", node, id(support)), support, lambda: self._cut(node, support))

    def _cut(self, node: Node, support: Support) -> SupportLines:
        relaxation, known, free = self.relaxed[node], self.known[node], self.free.get(node)

        def offset(values: Tensor | None, direction: float) -> Amounts | None:
            if values is None or not bool(values.any()):
                return None
            values = pick(values, support)
            narrow = self.maps.precision is not FLOAT64
            return Amounts.of(rounded(values, self.maps.dtype, direction) if narrow else values)

        def slope(values: Tensor) -> Tensor:
            values = pick(values, support).to(self.maps.dtype)
            return values if isinstance(support, Windows) else values[:, None]

        every = torch.arange(node.size, device=relaxation.low.device)
        inside = support if isinstance(support, Tensor) else every
        position = torch.full_like(every, -1).index_copy(0, inside, every[: len(inside)])
        place = position[every[:0] if free is None else free]
        sides, there = relaxation.free, place >= 0
        elements = inside[place[there]]
        none = torch.zeros_like(relaxation.low, dtype=torch.bool)
        centre = self.known[relaxation.taps[0].parent].centre if sides is not None else known.centre
        return SupportLines(
            low=tuple(slope(t.low) for t in relaxation.taps),
            high=tuple(slope(t.high) for t in relaxation.taps),
            low_offset=offset(known.low, -torch.inf),
            high_offset=offset(known.high, torch.inf),
            place=place[there],
            kept=there,
            below=(sides.below if sides is not None else none)[:, None, elements],
            above=(sides.above if sides is not None else none)[:, None, elements],
            centre=centre[:, elements].to(self.maps.dtype),
        )

    def once(self, key: object, alive: object, make: Callable[[], T]) -> T:
        """``make()``, kept under a key; ``alive`` are the objects whose identity the key names.

        What belongs to the windows of one pass is not kept.
        """
        if isinstance(alive, Windows):
            return make()
        if key not in self._kept:
            self._kept[key] = (make(), alive)
        return cast(T, self._kept[key][0])


def pick(values: Tensor, support: Support) -> Tensor:
    """Values ``(batch, n)`` on a support: ``(batch, k)``, or ``(batch, rows, k)`` for windows."""
    if isinstance(support, Windows):
        return support.pick(values)
    return values if support is None else values[:, support]


def _elements(support: Support, node: Node) -> int:
    if support is None:
        return node.size
    return len(support) if isinstance(support, Tensor) else support.elements


def _near(centre: Tensor) -> tuple[Tensor, Tensor | None]:
    """A centre that any format can hold, 0 where it could not, and where that is, if anywhere."""
    fine = centre.abs() <= 2.0**100
    if bool(fine.all()):
        return centre, None
    return torch.where(fine, centre, 0.0), ~fine
