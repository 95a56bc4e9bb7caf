"""A whole program as text for people and reviews: a line for each column and each constraint, in order, exactly.

It is no file format: nothing reads it back. Rows are written as :mod:`nnsym.write.notation` writes them, under the
symbolic names of their columns and behind their origin, so that two listings differ where two encodings do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnsym.ir.text import number
from nnsym.program import Kind, Program
from nnsym.write.names import symbols
from nnsym.write.notation import lines


def dump_program(program: Program) -> str:
    """Sizes, objective, columns with their kinds and bounds, constraints under their origins, disjuncts.

    Numbers are exact: a decimal is the float64 that it denotes or a finite decimal, else a fraction is written.
    """
    names = symbols(program)
    sizes = f"{program.n_columns} columns, {program.n_rows} rows, {program.nnz} coefficients"
    goal = "find a point" if program.objective is None else f"minimise {names[program.objective]}"
    sections = [f"{sizes}, {program.n_binary} whole", f"{goal}: {program.decides}", "", "columns"]
    sections += [*_columns(program, names), "", *_constraints(program, names), "", *_disjuncts(program, names)]
    return "\n".join(sections).rstrip("\n") + "\n"


def _columns(program: Program, names: list[str]) -> Iterator[str]:
    lower, upper = program.exact_bounds or (program.lower, program.upper)
    factors: dict[int, str] = {}
    for block in program.blocks:
        if block.factors is not None:
            pairs = zip(*(part.tolist() for part in block.factors), strict=True)
            factors |= {block.start + k: f" = {names[i]} * {names[j]}" for k, (i, j) in enumerate(pairs)}
    rows = zip(names, lower.tolist(), upper.tolist(), program.kind.tolist(), strict=True)
    for column, (name, low, high, kind) in enumerate(rows):
        word = "" if kind == Kind.REAL else f" {Kind(kind).name.lower()}"
        yield f"  {name} in [{number(low or 0)}, {number(high or 0)}]{word}{factors.get(column, '')}"


def _constraints(program: Program, names: list[str]) -> Iterator[str]:
    origin = None
    for line in lines(program, np.arange(program.n_columns), names.__getitem__, longest=program.n_columns + 1):
        if (line.origin, line.tag) != origin:
            origin = (line.origin, line.tag)
            yield f"{line.origin or '(no origin)'}, {line.tag.value}"
        yield f"  {line.text}"
    for block in program.quadratics:
        yield f"{block.origin}, {block.tag.value}"
        yield f"  {' + '.join(f'{names[j]}^2' for j in block.columns.tolist())} <= 1"


def _disjuncts(program: Program, names: list[str]) -> Iterator[str]:
    for columns, values in program.disjuncts:
        fixed = zip(columns.tolist(), values.tolist(), strict=True)
        yield f"disjunct {', '.join(f'{names[j]} = {number(float(value))}' for j, value in fixed)}"
