"""From a long file's arrays to a query: the same query that the reader of words would give, without its trees.

Numbers stay exact: a decimal becomes a float64 where it is one and a Fraction where it is not. Comparisons between
decimals are made on floats first, and in rationals where those are within rounding of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cached_property
from itertools import repeat
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.formula import And, Atoms, InBox, Or, RowFormula, conjunction, disjunction
from nnsym.ir.node import Input, Node
from nnsym.ir.rows import Rows
from nnsym.read.meter import Meter
from nnsym.read.vnnlib.bulk import Bulk, Inequalities
from nnsym.read.vnnlib.numbers import ULPS, Numbers
from nnsym.read.vnnlib.places import Limit, Places, Ranges
from nnsym.read.vnnlib.tree import Inequality, Term, comparison_text, flat_name

_INFINITY = float("inf")
_LABELLED = 2048  # rows beyond this have no text of their own
_CASE = 1500  # bytes of a case's formula


@final
class BulkQuery:
    """The parts of the query of a file, about variables at ``places``; ``name`` is what people call a variable."""

    def __init__(self, bulk: Bulk, places: Places, meter: Meter, *, name: Callable[[int], str] = flat_name) -> None:
        self.name = name
        self.bulk, self.places, self.meter = bulk, places, meter
        self.numbers = Numbers(bulk.atoms.value, bulk.atoms.decimals)
        atoms = bulk.atoms
        self.hard = atoms.single & (atoms.a >= 0)
        self.upper = atoms.sign > 0
        self.boxed = np.flatnonzero(self.hard[bulk.member])  # members that bound an input
        self.cases = int(bulk.group[-1]) + 1 if len(bulk.group) else 0
        meter.take(self.cases * (_CASE + 16 * bulk.inputs * bool(len(self.boxed))), bulk.name, "its cases")

    def ranges(self) -> list[Ranges]:
        """Boxes that hold every input for which all assertions can be true: by the bounds, and by each disjunction."""
        return [self._top(), *(self._hull(s) for s in range(self._statements))]

    @property
    def _statements(self) -> int:
        return int(self.bulk.statement[-1]) + 1 if self.cases else 0

    def _top(self) -> Ranges:
        index = self.bulk.top[self.hard[self.bulk.top]]
        variable, upper = self.bulk.atoms.a[index], self.upper[index]
        order = np.lexsort((upper, variable))
        index, key = index[order], (2 * variable + upper)[order]
        found: dict[int, tuple[Limit, Limit]] = {}
        if not len(key):
            return found
        starts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        ends = np.append(starts[1:], len(key))
        first = self.numbers.fractions(index[starts])
        for k, begin, end in zip(range(len(starts)), starts.tolist(), ends.tolist(), strict=True):
            v, up = divmod(int(key[begin]), 2)
            limit = first[k] if end - begin == 1 else self.numbers.extreme(index[begin:end], -1 if up else 1)
            low, high = found.get(v, (-_INFINITY, _INFINITY))
            found[v] = (low, limit) if up else (limit, high)
        return found

    @cached_property
    def _limits(self) -> tuple[Array, Array]:
        """By case and input: the atom that bounds it from below and from above, or -1."""
        lower, upper = (np.full((self.cases, self.bulk.inputs), -1, dtype=np.int64) for _ in range(2))
        atom, case = self.bulk.member[self.boxed], self.bulk.group[self.boxed]
        for table, chosen in ((lower, ~self.upper[atom]), (upper, self.upper[atom])):
            table[case[chosen], self.bulk.atoms.a[atom[chosen]]] = atom[chosen]
        return lower, upper

    @property
    def repeated(self) -> bool:
        """Whether some case bounds an input twice from one side."""
        return sum(int((table >= 0).sum()) for table in self._limits) < len(self.boxed)

    @cached_property
    def _empty(self) -> Array:
        """The cases whose bounds contradict each other."""
        lower, upper = self._limits
        case, place = np.nonzero((lower >= 0) & (upper >= 0))
        low, high = lower[case, place], upper[case, place]
        near = self.numbers.near
        over = near[low] > near[high] - np.abs(near[high]) * ULPS
        same = (self.numbers.value[low] == self.numbers.value[high]) & (
            self.numbers.decimals[low] == self.numbers.decimals[high]
        )
        unsure = np.flatnonzero(over & ~same)
        lows, highs = self.numbers.fractions(low[unsure]), self.numbers.fractions(high[unsure])
        empty = np.zeros(self.cases, dtype=bool)
        empty[case[unsure[[a > b for a, b in zip(lows, highs, strict=True)]]]] = True
        return empty

    def _hull(self, statement: int) -> Ranges:
        cases = np.flatnonzero(self.bulk.statement == statement)
        live = cases[~self._empty[cases]] if len(self.boxed) else cases
        live = live if len(live) else cases[:1]
        found: dict[int, tuple[Limit, Limit]] = {}
        if not len(self.boxed):
            return found
        lower, upper = (table[live] for table in self._limits)
        for v in np.flatnonzero((lower >= 0).all(axis=0) | (upper >= 0).all(axis=0)).tolist():
            low = self.numbers.extreme(lower[:, v], -1) if (lower[:, v] >= 0).all() else -_INFINITY
            high = self.numbers.extreme(upper[:, v], 1) if (upper[:, v] >= 0).all() else _INFINITY
            found[v] = low, high
        return found

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        """The atoms whose rows are kept, one for each content, and the row of every atom."""
        atoms = self.bulk.atoms
        soft = np.flatnonzero(~self.hard)
        keys = self._contents(soft)
        order = np.lexsort(keys)
        fresh = np.zeros(len(soft), dtype=bool)
        for key in keys:
            fresh[1:] |= key[order][1:] != key[order][:-1]
        fresh[:1] = True
        content = np.cumsum(fresh) - 1
        first = np.minimum.reduceat(order, np.flatnonzero(fresh)) if len(soft) else order
        number = np.empty(len(first), dtype=np.int64)
        number[np.argsort(first, kind="stable")] = np.arange(len(first))
        row = np.full(len(atoms), -1, dtype=np.int64)
        row[soft[order]] = number[content]
        return soft[np.sort(first)], row

    def _contents(self, index: Array) -> list[Array]:
        """What tells comparisons apart, in as few arrays as hold it."""
        atoms = self.bulk.atoms
        names = (("decimals", 2**9), ("sign", 4), ("single", 2), ("strict", 2), ("a", None), ("b", None))
        packed, room = np.zeros(len(index), dtype=np.int64), 1
        for name, size in names:
            part = getattr(atoms, name)[index].astype(np.int64)
            part = part - part.min(initial=0)
            size = size or int(part.max(initial=0)) + 1
            packed, room = packed * size + part, room * size
        if room < 2**62:
            return [atoms.value[index], packed]
        return [getattr(atoms, name)[index] for name in ("value", *(name for name, _ in names))]

    def rows(self) -> Rows:
        kept, _ = self._rows
        atoms = self.bulk.atoms
        blocks: list[tuple[Node, Array, Array, Array]] = []
        for variable, used, factor in (
            (atoms.a[kept], np.ones(len(kept), dtype=bool), atoms.sign[kept]),
            (atoms.b[kept], ~atoms.single[kept], -atoms.sign[kept]),
        ):
            for node, start, inputs in self.places.vectors():
                index = (variable if inputs else ~variable) - start
                mine = np.flatnonzero(used & ((variable >= 0) == inputs) & (index >= 0) & (index < node.size))
                if len(mine):
                    blocks.append((node, mine, index[mine], factor[mine].astype(np.float64)))
        return Rows.collect(blocks, self.numbers.array(kept, -atoms.sign[kept]))

    def labels(self) -> tuple[str, ...]:
        """The text of every row; nothing where they are too many to read."""
        kept, _ = self._rows
        return tuple(self._text(kept)) if len(kept) <= _LABELLED else ()

    def _text(self, index: Array) -> Iterator[str]:
        for comparison in comparisons(self.bulk.atoms, self.numbers, index):
            yield comparison_text(comparison, self.name)

    def text(self) -> list[str]:
        """What the file says about outputs, for people: in full where that is short."""
        index = self.bulk.top[~self.hard[self.bulk.top]]
        lines = list(self._text(index)) if len(index) <= 64 else [f"{len(index)} comparisons of outputs hold"]
        for statement in range(self._statements):
            cases = int((self.bulk.statement == statement).sum())
            members = np.flatnonzero(self.bulk.statement[self.bulk.group] == statement)
            if len(members) == cases <= 64:
                lines.append(" or ".join(self._text(self.bulk.member[members])))
            else:
                lines.append(f"one of {cases} cases holds, {len(members)} comparisons in all")
        return lines

    def formula(self) -> RowFormula:
        _, row = self._rows
        top = self.bulk.top[~self.hard[self.bulk.top]]
        parts: list[RowFormula] = list(self._blocks(row[top], self.bulk.atoms.strict[top], every=True))
        parts += [self._disjunction(s) for s in range(self._statements)]
        return conjunction(*parts)

    def _blocks(self, rows: Array, strict: Array, *, every: bool) -> Iterator[Atoms]:
        for flag in (False, True):
            chosen = rows[strict == flag]
            if len(chosen):
                yield Atoms(chosen, strict=flag, soft=True, every=every)

    def _disjunction(self, statement: int) -> RowFormula:
        """Cases of one comparison are one block; the others are a conjunction each."""
        bulk = self.bulk
        _, row = self._rows
        members = np.flatnonzero(bulk.statement[bulk.group] == statement)
        group, inner, atom = bulk.group[members], bulk.inner[members], bulk.member[members]
        strict, rows = bulk.atoms.strict[atom], row[atom]
        sizes = np.bincount(group, minlength=self.cases)
        plain = (sizes[group] == 1) & (rows >= 0)
        parts: list[RowFormula] = list(self._blocks(rows[plain], strict[plain], every=False))
        if plain.all():
            return disjunction(*parts)
        left = np.flatnonzero(~plain)
        case, hard, within = group[left], rows[left] < 0, inner[left]
        order = np.lexsort((strict[left], within, ~hard, case))
        keys = np.stack([case, hard, within, strict[left]])[:, order]
        starts = np.flatnonzero(np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)))
        return disjunction(*parts, *self._conjoined(rows[left][order], starts, keys[:, starts]))

    def _conjoined(self, rows: Array, starts: Array, keys: Array) -> list[RowFormula]:
        """The formula of each case: its bounds, its comparisons, and one of each inner ``or``.

        A run of ``rows`` from each start on is one part; ``keys`` say of which case, whether it bounds inputs, of which
        ``or`` (-1: none) and whether it is strict.
        """
        case, hard, within, flag = keys
        soft, bounds = np.flatnonzero(hard == 0), np.flatnonzero(hard)
        ends = np.append(starts[1:], len(rows))
        if (ends[soft] - starts[soft] == 1).all():
            blocks = list(rows[starts[soft], None])
        else:
            blocks = [rows[a:b] for a, b in zip(starts[soft].tolist(), ends[soft].tolist(), strict=True)]
        strict, every = (flag[soft] > 0).tolist(), (within[soft] < 0).tolist()
        made: list[tuple[Array, list[RowFormula]]] = [(soft, list(map(Atoms, blocks, strict, repeat(True), every)))]
        self.meter.check(self.bulk.name)
        made += ((bounds[some], boxes) for some, boxes in self._boxes(case[bounds]))
        run = np.concatenate([some for some, _ in made])
        order = np.argsort(run, kind="stable")
        flat = [part for _, some in made for part in some]
        items = [flat[k] for k in order.tolist()]
        self.meter.check(self.bulk.name)
        run = run[order]
        ors = np.where(within[run] < 0, -1 - np.arange(len(run)), within[run])  # of each its own, where there is none
        items, kept = _together(Or, items, np.stack([case[run], ors]))
        return _together(And, items, case[run][kept][None])[0]

    def _boxes(self, cases: Array) -> Iterator[tuple[Array, list[RowFormula]]]:
        """For each input, of which of the cases there are boxes, and the boxes."""
        wide, *rationals = self._wide
        place = np.minimum(np.searchsorted(wide, cases), max(len(wide) - 1, 0))
        long = wide[place] == cases if len(wide) else np.zeros(len(cases), dtype=bool)
        lower, upper = self._limits
        for chosen, index, tables in ((~long, cases, self._tables), (long, place, rationals)):
            for x, a, b in self._pieces:
                used = (lower[cases, a:b] >= 0).any(axis=1) | (upper[cases, a:b] >= 0).any(axis=1)
                some = np.flatnonzero(chosen & used)
                low, high = (list(table[index[some], a:b]) for table in tables)
                yield some, list(map(InBox, repeat(x), low, high))
                self.meter.check(self.bulk.name)

    @cached_property
    def _pieces(self) -> list[tuple[Input, int, int]]:
        return self.places.pieces()

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        """Bounds by case and input as float64, right where they are exact."""
        lower, upper = self._limits
        near = self.numbers.near
        return np.where(lower >= 0, near[lower], -_INFINITY), np.where(upper >= 0, near[upper], _INFINITY)

    @cached_property
    def _wide(self) -> tuple[Array, Array, Array]:
        """The cases with a number that is no float64, in order, and their bounds in rationals."""
        tables = []
        bad = np.unique(self.bulk.group[self.boxed][~self.numbers.exact[self.bulk.member[self.boxed]]])
        for table, open_end in zip(self._limits, (-_INFINITY, _INFINITY), strict=True):
            mine = table[bad]
            full = np.full(mine.shape, open_end, dtype=object)
            full[mine >= 0] = self.numbers.fractions(mine[mine >= 0])
            tables.append(full)
        return bad, tables[0], tables[1]


def _together(kind: type[And | Or], items: list[RowFormula], keys: Array) -> tuple[list[RowFormula], Array]:
    """Neighbours of equal keys as one formula, where they are several, and where the first of each stood."""
    starts = np.flatnonzero(np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0)))
    sizes = np.diff(np.append(starts, len(items)))
    size = int(sizes[0])
    if (sizes == size).all():
        return (
            items if size == 1 else list(map(kind, zip(*(items[k::size] for k in range(size)), strict=True)))
        ), starts
    runs = zip(starts.tolist(), sizes.tolist(), strict=True)
    return [items[begin] if n == 1 else kind(tuple(items[begin : begin + n])) for begin, n in runs], starts


def comparisons(atoms: Inequalities, numbers: Numbers, index: Array) -> Iterator[Inequality]:
    """Inequalities as the reader of words has them."""
    for k, value in zip(index.tolist(), numbers.fractions(index), strict=True):
        sign = Fraction(int(atoms.sign[k]))
        factors = {int(atoms.a[k]): sign} | ({} if atoms.single[k] else {int(atoms.b[k]): -sign})
        yield Inequality(Term(factors, -sign * value), bool(atoms.strict[k]))
