"""Free MPS: a linear or mixed-integer Program in the format that every MILP solver reads, and reads fastest.

Numbers are the shortest decimals that read back as the same float64. A row with two sides is a ``G`` row with
a range; the range is rounded up where ``lower + range`` would fall short of the upper side. Every bound is
written (the default is ``0 <= x``), integers stand between ``INTORG`` and ``INTEND`` markers. ``FREE`` after the
name keeps CBC from taking short lines for fixed columns.

Quadratic rows are ``QCMATRIX`` sections, symmetric, which Gurobi, CPLEX and SCIP read; the others refuse the file.

Source: the MPS format as in the GLPK Reference Manual, appendix B.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import inf, isinf, nextafter

import numpy as np

from nnsym.ir.linear import row_pointers
from nnsym.program import Feature, Kind, Program, RowBlock
from nnsym.write.linear import linear_blocks, title
from nnsym.write.names import comments, identifiers, one_line
from nnsym.write.quadratic import QuadraticRows, quadratic_rows


def to_mps(program: Program, *, header: Sequence[str] = ()) -> str:
    """The program as free MPS text; ``header`` lines become ``*`` comments.

    Rows are called ``network_3_17`` (row 17 of block 3), columns ``relu_1_17_pre``; comments say what the blocks are.

    Raises:
        UnsupportedError: the program holds logic.
    """
    quadratic = quadratic_rows(program)
    blocks = linear_blocks(program, ".mps", besides=frozenset({Feature.PRODUCTS, Feature.QUADRATIC}))
    blocks += [(q.name, q.linear) for q in quadratic]
    names = identifiers(program)
    rows = [f"{name}_{k}" for name, block in blocks for k in range(len(block))]
    sides = _sides(blocks)
    lines = comments("*", header)
    lines += [
        "NAME nnsym FREE",
        "ROWS",
        " N obj",
        *_rows(blocks),
        "COLUMNS",
        *_columns(program, blocks, names, rows),
        "RHS",
    ]
    lines += (f" RHS {row} {_right(*side)!r}" for row, side in zip(rows, sides, strict=True) if _right(*side))
    ranges = [(row, _range(*side)) for row, side in zip(rows, sides, strict=True) if -inf < side[0] < side[1] < inf]
    if ranges:
        lines += ["RANGES", *(f" RNG {row} {width!r}" for row, width in ranges)]
    lines += ["BOUNDS", *_bounds(program, names)]
    lines += (line for q in quadratic for line in _matrices(q, names))
    lines.append("ENDATA\n")
    return "\n".join(lines)


def _matrices(rows: QuadraticRows, names: list[str]) -> Iterator[str]:
    """One section for every row: the matrix Q of ``x Q x``, with both of two mixed entries."""
    for k, entries in enumerate(rows.entries):
        yield f"QCMATRIX {rows.name}_{k}"
        for c, i, j in entries:
            if i == j:
                yield f" {names[i]} {names[j]} {c!r}"
            else:
                yield f" {names[i]} {names[j]} {c / 2!r}"
                yield f" {names[j]} {names[i]} {c / 2!r}"


def _sides(blocks: list[tuple[str, RowBlock]]) -> list[tuple[float, float]]:
    """``(lower, upper)`` of every row."""
    return [side for _, b in blocks for side in zip(b.lower.tolist(), b.upper.tolist(), strict=True)]


def _rows(blocks: list[tuple[str, RowBlock]]) -> Iterator[str]:
    """The sense of every row; a row without sides is free (``N``)."""
    for name, block in blocks:
        yield from comments("*", [title(block)])
        for k, (low, high) in enumerate(zip(block.lower.tolist(), block.upper.tolist(), strict=True)):
            sense = "E" if low == high else "G" if not isinf(low) else "N" if isinf(high) else "L"
            yield f" {sense} {name}_{k}"


def _right(low: float, high: float) -> float:
    if isinf(low):
        return 0.0 if isinf(high) else high
    return low


def _range(low: float, high: float) -> float:
    """The smallest width that reaches the upper side when it is added to the lower one."""
    width = high - low
    while Fraction(low) + Fraction(width) < Fraction(high):
        width = nextafter(width, inf)
    return width


def _columns(program: Program, blocks: list[tuple[str, RowBlock]], names: list[str], rows: list[str]) -> Iterator[str]:
    """The matrix by columns, a comment for each block of columns, runs of integers between markers."""
    start, row, value = _by_columns(blocks, program.n_columns)
    entries = [f"{rows[i]} {v!r}" for i, v in zip(row, value, strict=True)]
    first = {block.start: block for block in program.blocks if len(block.index)}
    inside = False
    for j, (name, integer) in enumerate(zip(names, (program.kind != Kind.REAL).tolist(), strict=True)):
        if integer != inside:
            yield f" MARKER 'MARKER' 'INT{'ORG' if integer else 'END'}'"
            inside = integer
        if j in first:
            yield from comments(
                "*", [one_line(f"column {name} is {first[j].name(0)}, and so on for {len(first[j].index)}")]
            )
        cost = j == program.objective
        if cost or start[j] == start[j + 1]:  # an unused column is declared by an entry of the objective
            yield f" {name} obj {1.0 if cost else 0.0}"
        yield from (f" {name} {entry}" for entry in entries[start[j] : start[j + 1]])
    if inside:
        yield " MARKER 'MARKER' 'INTEND'"


def _by_columns(blocks: list[tuple[str, RowBlock]], width: int) -> tuple[list[int], list[int], list[float]]:
    """All rows as CSC: ``(start, row, value)``."""
    if not blocks:
        return [0] * (width + 1), [], []
    sizes = np.concatenate([np.diff(b.indptr) for _, b in blocks])
    indices = np.concatenate([b.indices for _, b in blocks])
    order = np.argsort(indices, kind="stable")
    row = np.repeat(np.arange(len(sizes)), sizes)[order]
    start = row_pointers(np.bincount(indices, minlength=width))
    return start.tolist(), row.tolist(), np.concatenate([b.data for _, b in blocks])[order].tolist()


def _bounds(program: Program, names: list[str]) -> Iterator[str]:
    columns = zip(names, program.lower.tolist(), program.upper.tolist(), program.kind.tolist(), strict=True)
    for name, low, high, kind in columns:
        if low == high:
            yield f" FX BND {name} {low!r}"
        elif kind == Kind.BINARY and low <= 0 and high >= 1:
            yield f" BV BND {name}"
        elif isinf(low) and isinf(high):
            yield f" FR BND {name}"
        else:
            yield f" MI BND {name}" if isinf(low) else f" LO BND {name} {low!r}"
            yield f" PL BND {name}" if isinf(high) else f" UP BND {name} {high!r}"
