"""From a VNN-LIB property to a query about a network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.declaration import Declaration
from nnsym.ir.domain import Box
from nnsym.ir.exact import from_numbers
from nnsym.ir.formula import FALSE, Atoms, InBox, RowFormula, conjunction, disjunction
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Input, Node, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.text import number
from nnsym.read.meter import Meter
from nnsym.read.vnnlib.bulk import Bulk
from nnsym.read.vnnlib.bulk_query import BulkQuery
from nnsym.read.vnnlib.places import Limit, Places, Ranges
from nnsym.read.vnnlib.tree import (
    Condition,
    Inequality,
    Junction,
    VnnSpec,
    comparison_text,
    condition_text,
    flat_name,
    fold,
)

_INFINITY = float("inf")
_TEXT_INPUTS = 16  # the bounds of larger boxes are counted, not listed, in the query's text


def to_query(spec: VnnSpec | Bulk, network: Network, meter: Meter | None = None) -> Query | None:
    """``spec`` about ``network``: X_i are its inputs' elements one after the other in C order, Y_j its outputs'.

    Comparisons of X alone are preconditions (hard), those with a Y the conclusion (soft). Raises
    :class:`InputError` where the declared variables are not the network's elements. None for a long file that the
    arrays do not hold after all.
    """
    inputs = tuple(_fresh(t.node, name) for name, t in network.inputs.items())
    application = network.apply(inputs)
    outputs = tuple(application.output(name) for name in network.outputs)
    for letter, declared, nodes in (("X", spec.inputs, inputs), ("Y", spec.outputs, outputs)):
        actual = sum(node.size for node in nodes)
        if declared != actual:
            has = f"'{network.name}' has {actual} {'inputs' if letter == 'X' else 'outputs'}"
            raise InputError(
                f"the property declares {declared} variables {letter}, the network {has}",
                where=spec.name,
                remedy="Give the network that this property was written for",
            )
    places = Places(inputs, outputs)
    if isinstance(spec, Bulk):
        query = bulk_query(BulkQuery(spec, places, meter or Meter()), (application,))
    else:
        query = build_query(spec, places, (application,))
    if query and not any(node in query.rows.parts for node in outputs) and query.formula is not FALSE:
        raise InputError("no assertion is about an output Y_i", where=spec.name, remedy="Is the file cut off?")
    return query


def bulk_query(
    found: BulkQuery, applications: tuple[Application, ...], *, declared: tuple[Declaration, ...] = ()
) -> Query | None:
    """The query of a long file's arrays; None where a case bounds an input twice from one side."""
    if len(found.boxed) and found.repeated:
        return None
    spec = found.bulk
    ranges: Ranges = {}
    for some in found.ranges():
        ranges = _intersect(ranges, some)
    return Query(
        name=_bare(spec.name),
        boxes={x: Box(*arrays) for x, arrays in found.places.boxes(ranges).items()},
        rows=found.rows(),
        formula=found.formula(),
        applications=applications,
        text="\n  ".join(["violated where", f"the inputs lie in a box of {spec.inputs} elements", *found.text()]),
        labels=found.labels(),
        declared=declared,
    )


def _bare(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".vnnlib")


def build_query(
    spec: VnnSpec,
    places: Places,
    applications: tuple[Application, ...],
    *,
    name: Callable[[int], str] = flat_name,
    declared: tuple[Declaration, ...] = (),
) -> Query:
    """The query of a parsed file whose variables live at ``places``; ``name`` is what people call a variable."""
    above: Ranges = {v: (low, _INFINITY) for v, low in spec.lower.items()}
    below: Ranges = {v: (-_INFINITY, high) for v, high in spec.upper.items()}
    ranges = _intersect(_intersect(above, below), _hull(spec.condition))
    maker = _Maker(places)
    formula = maker.formula(spec.condition, ranges)
    return Query(
        name=_bare(spec.name),
        boxes={x: Box(*arrays) for x, arrays in places.boxes(ranges).items()},
        rows=maker.rows(),
        formula=formula,
        applications=applications,
        text=_text(spec, name),
        labels=tuple(comparison_text(c, name) for c in maker.comparisons),
        declared=declared,
    )


def _fresh(node: Node, name: str) -> Input:
    if isinstance(node, Input):
        return new_input(node.name, node.size, integer=node.integer, choice=node.choice)
    return new_input(name, node.size)


@final
class _Maker:
    """Collects the rows of a query while its formula is built."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.comparisons: list[Inequality] = []
        self._known: dict[object, int] = {}

    def formula(self, condition: Condition, ranges: Ranges) -> RowFormula:
        """The condition over the rows; strict bounds at the top that ``ranges`` implies are left out."""
        parts = list(condition.parts) if isinstance(condition, Junction) and condition.every else [condition]
        alone = [p for p in parts if isinstance(p, Inequality) and _single(p)]
        others = [p for p in parts if not (isinstance(p, Inequality) and _single(p))]
        bounds = [self._atoms([p], True) for p in alone if not _implied(p, ranges)]
        return self._join(True, [*bounds, *(fold(p, _itself, self._join) for p in others)])

    def _join(self, every: bool, parts: list[Inequality | RowFormula]) -> RowFormula:
        """All or some of the parts; comparisons are gathered into blocks of rows and into boxes."""
        found: list[RowFormula] = [p for p in parts if isinstance(p, RowFormula)]
        comparisons = [p for p in parts if isinstance(p, Inequality)]
        single = [c for c in comparisons if _single(c)]
        found += [self._region(group) for group in ([single] if every else [[c] for c in single])]
        blocks: dict[tuple[bool, bool], list[Inequality]] = defaultdict(list)
        for comparison in comparisons:
            if not _single(comparison):
                blocks[comparison.strict, self.places.soft(comparison)].append(comparison)
        found += [self._atoms(block, every) for block in blocks.values()]
        return (conjunction if every else disjunction)(*found)

    def _region(self, comparisons: list[Inequality]) -> RowFormula:
        """Comparisons of single inputs, all of them: a box for each network input, and what is strict as rows."""
        ranges: Ranges = {}
        for comparison in comparisons:
            ranges = _intersect(ranges, _range(comparison))
        touched = {self.places.of(v)[0] for v in ranges}
        boxes = [InBox(x, *pair) for x, pair in self.places.boxes(ranges).items() if x in touched]
        return conjunction(*boxes, *(self._atoms([c], True) for c in comparisons if c.strict))

    def _atoms(self, comparisons: list[Inequality], every: bool) -> Atoms:
        index = np.array([self._row(c) for c in comparisons], dtype=np.int64)
        return Atoms(index, strict=comparisons[0].strict, soft=self.places.soft(comparisons[0]), every=every)

    def _row(self, comparison: Inequality) -> int:
        term = comparison.term
        key = (frozenset(term.coefficients.items()), term.constant, comparison.strict)
        if key not in self._known:
            self._known[key] = len(self.comparisons)
            self.comparisons.append(comparison)
        return self._known[key]

    def rows(self) -> Rows:
        entries: dict[Node, list[tuple[int, int, Fraction]]] = defaultdict(list)
        for k, comparison in enumerate(self.comparisons):
            for variable, factor in comparison.term.coefficients.items():
                node, element = self.places.of(variable)
                entries[node].append((k, element, factor))
        blocks = []
        for node, some in entries.items():
            place = np.array([(row, column) for row, column, _ in some])
            factors = from_numbers(np.array([factor for *_, factor in some], dtype=object))
            blocks.append((node, place[:, 0], place[:, 1], factors))
        constants = np.array([c.term.constant for c in self.comparisons], dtype=object)
        return Rows.collect(blocks, from_numbers(constants))


def _itself(comparison: Inequality) -> Inequality | RowFormula:
    return comparison


def _single(comparison: Inequality) -> bool:
    return len(comparison.term.coefficients) == 1 and next(iter(comparison.term.coefficients)) >= 0


def _range(comparison: Inequality) -> Ranges:
    """The half-line of a single input, closed."""
    ((variable, factor),) = comparison.term.coefficients.items()
    limit = -comparison.term.constant / factor
    return {variable: (-_INFINITY, limit) if factor > 0 else (limit, _INFINITY)}


def _implied(comparison: Inequality, ranges: Ranges) -> bool:
    """Whether the top-level bounds alone make a comparison of a single input true."""
    ((variable, (lower, upper)),) = _range(comparison).items()
    box = ranges[variable]
    if not comparison.strict:
        return True  # it went into the bounds
    return box[1] < upper if upper < _INFINITY else box[0] > lower


def _intersect(a: Ranges, b: Ranges) -> Ranges:
    both = dict(a)
    for v, (lower, upper) in b.items():
        old = both.get(v)
        both[v] = (lower, upper) if old is None else (_tighter(max, old[0], lower), _tighter(min, old[1], upper))
    return both


def _tighter(choose: Callable[[Limit, Limit], Limit], a: Limit, b: Limit) -> Limit:
    """The larger or the smaller limit; open ends, which are most, without comparing rationals."""
    if isinstance(a, float):
        return b
    return a if isinstance(b, float) else choose(a, b)


def _hull(condition: Condition) -> Ranges:
    """A box that holds every X for which the condition can be true."""

    def join(every: bool, parts: list[Ranges]) -> Ranges:
        if every:
            total: Ranges = {}
            for part in parts:
                total = _intersect(total, part)
            return total
        parts = [p for p in parts if all(lo <= hi for lo, hi in p.values())] or parts[:1]
        shared = set.intersection(*(set(p) for p in parts)) if parts else set()
        return {v: (min(p[v][0] for p in parts), max(p[v][1] for p in parts)) for v in sorted(shared)}

    return fold(condition, lambda c: _range(c) if _single(c) else {}, join)


def _text(spec: VnnSpec, name: Callable[[int], str]) -> str:
    bounds = []
    for v in sorted({*spec.lower, *spec.upper}) if spec.inputs <= _TEXT_INPUTS else ():
        left = f"{number(spec.lower[v])} <= " if v in spec.lower else ""
        right = f" <= {number(spec.upper[v])}" if v in spec.upper else ""
        bounds.append(f"{left}{name(v)}{right}")
    if spec.inputs > _TEXT_INPUTS:
        bounds.append(f"the inputs lie in a box of {spec.inputs} elements")
    condition = spec.condition
    parts = condition.parts if isinstance(condition, Junction) and condition.every else (condition,)
    return "\n  ".join(["violated where", *bounds, *(condition_text(p, name) for p in parts)])
