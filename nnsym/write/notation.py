"""A program's constraints as people write them: ``y - h + 0.75 z <= 0.75``, with a letter or a name for every column.

Numbers are exact and constraints are read off the program one by one, under the names that SMT-LIB files give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import infinite
from nnsym.ir.text import linear_text, number
from nnsym.program import CaseBlock, ClauseBlock, ImplicationBlock, ProductBlock, Program, RowBlock, SosBlock, Tag

Name = Callable[[int], str]
Block = RowBlock | ImplicationBlock | ClauseBlock | ProductBlock | CaseBlock | SosBlock


@final
@dataclass(frozen=True, eq=False)
class Line:
    """Constraint ``index`` of ``block``: its name in SMT-LIB files, its text, its columns in order, and its origin."""

    name: str
    text: str
    origin: str
    tag: Tag
    columns: tuple[int, ...]
    block: Block
    index: int

    @property
    def writer(self) -> str:
        """The node whose rule wrote it."""
        return self.origin.partition(":")[0]


def lines(program: Program, columns: Array, called: Name, *, longest: int = 8) -> Iterator[Line]:
    """Every constraint that mentions one of the columns; sums of more than ``longest`` terms are cut short."""
    for n, block in enumerate(program.rows):
        for k, used in _rows(block.indptr, block.indices, columns):
            yield Line(
                _name(block.tag, "", n, k), _row(block, k, called, longest), block.origin, block.tag, used, block, k
            )
    for n, block_ in enumerate(program.implications):
        inner = block_.rows
        for k, used in _rows(inner.indptr, inner.indices, columns, block_.guard):
            text = f"{_literal(block_.guard[k], block_.value[k], called)} => {_row(inner, k, called, longest)}"
            yield Line(_name(inner.tag, "if.", n, k), text, inner.origin, inner.tag, used, block_, k)
    for n, clauses in enumerate(program.clauses):
        positive = np.ones(len(clauses.indices), bool) if clauses.positive is None else clauses.positive
        for k, used in _rows(clauses.indptr, clauses.indices, columns):
            signs = positive[clauses.indptr[k] : clauses.indptr[k + 1]]
            text = " or ".join(_literal(j, s, called) for j, s in zip(used, signs, strict=True))
            yield Line(_name(clauses.tag, "or.", n, k), text, clauses.origin, clauses.tag, used, clauses, k)
    for n, products in enumerate(program.products):
        for k, used in _tuples((products.out, products.left, products.right), columns):
            text = "{} = {} * {}".format(*map(called, used))
            yield Line(_name(Tag.NETWORK, "product.", n, k), text, products.origin, Tag.NETWORK, used, products, k)
    for n, cases in enumerate(program.functions):
        for k, used in _tuples((cases.out, cases.arg), columns):
            text = _by_cases(called(used[0]), called(used[1]), cases, k)
            yield Line(_name(Tag.NETWORK, "function.", n, k), text, cases.origin, Tag.NETWORK, used, cases, k)
    for n, sets in enumerate(program.sets):
        for k, used in _rows(sets.indptr, sets.indices, columns):
            few = ("one", "is") if sets.most == 1 else ("two neighbours", "are")
            text = f"at most {few[0]} of {', '.join(map(called, used))} {few[1]} not 0"
            yield Line(_name(Tag.NETWORK, "set.", n, k), text, sets.origin, Tag.NETWORK, used, sets, k)


def _name(tag: Tag, kind: str, n: int, k: int) -> str:
    return f"{tag.value}.{kind}{n}[{k}]"


def _rows(
    indptr: Array, indices: Array, columns: Array, guard: Array | None = None
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The rows of a CSR block that mention a column, or whose guard does, with the columns of each."""
    hit = (
        np.add.reduceat(np.append(np.isin(indices, columns), False), indptr[:-1]) > 0 if len(indptr) > 1 else indptr[:0]
    )
    hit = np.asarray(hit, dtype=bool) & (np.diff(indptr) > 0)
    if guard is not None:
        hit |= np.isin(guard, columns)
    for k in np.flatnonzero(hit).tolist():
        used = indices[indptr[k] : indptr[k + 1]].tolist()
        yield k, (*used, *([int(guard[k])] if guard is not None else []))


def _tuples(parts: tuple[Array, ...], columns: Array) -> Iterator[tuple[int, tuple[int, ...]]]:
    table = np.stack(parts, axis=1)
    for k in np.flatnonzero(np.isin(table, columns).any(axis=1)).tolist():
        yield k, tuple(table[k].tolist())


def _row(block: RowBlock, k: int, called: Name, longest: int) -> str:
    """One linear row with the exact numbers where the block has them."""
    data, low, high = block.exact or (block.data, block.lower, block.upper)
    span = slice(block.indptr[k], block.indptr[k + 1])
    names = [called(j) for j in block.indices[span].tolist()]
    terms = list(zip(names, data[span].tolist(), strict=True))
    left = linear_text(terms if len(terms) <= longest else terms[: longest - 1], 0.0)
    if len(terms) > longest:
        last = linear_text(terms[-1:], 0.0)
        left += f" + ... ({len(terms)} terms) {f'- {last[1:]}' if last.startswith('-') else f'+ {last}'}"
    sign = "<" if block.strict else "<="
    lower, upper = (end or 0 for end in (*low[k : k + 1].tolist(), *high[k : k + 1].tolist()))  # 0 for -0
    if not infinite(lower) and lower == upper:
        return f"{left} = {number(upper)}"
    if infinite(lower):
        return f"{left} {sign} {number(upper)}"
    return (
        f"{left} {sign.replace('<', '>')} {number(lower)}"
        if infinite(upper)
        else (f"{number(lower)} {sign} {left} {sign} {number(upper)}")
    )


def _literal(column: int, value: int | bool, called: Name) -> str:
    return called(int(column)) if value else f"not {called(int(column))}"


def _by_cases(y: str, h: str, block: CaseBlock, k: int) -> str:
    lines = zip(block.slopes[:, k].tolist(), block.offsets[:, k].tolist(), strict=True)
    first, *others = [linear_text([(h, a)] if a else [], b) for a, b in lines]
    edges = zip(block.starts[:, k].tolist(), block.strict[:, k].tolist(), strict=True)
    begun = [f"{h} {'>' if open_ else '>='} {number(start)}" for start, open_ in edges]
    later = [f"{line} where {test}" for line, test in zip(others, begun, strict=True)]
    return f"{y} = {first}, {', '.join(later)}"
