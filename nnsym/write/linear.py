"""The linear rows of a program, for file formats that hold nothing else.

A clause ``p or not q`` becomes ``p - q >= 0`` (``sum of positive - sum of negated >= 1 - number negated``).
Strict rows are closed: their solutions are a superset, which keeps "no violation found" sound. Implications
and products have no row form without a bound that this module must not invent.
"""

from __future__ import annotations

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.linear import entry_rows
from nnsym.ir.words import count_of
from nnsym.program import ClauseBlock, Feature, Program, RowBlock
from nnsym.write.names import one_line


def linear_blocks(
    program: Program, suffix: str, *, besides: frozenset[Feature] = frozenset()
) -> list[tuple[str, RowBlock]]:
    """Named blocks of rows ``(name, block)``; the name is ``network_3`` for block 3, as in SMT-LIB files.

    ``besides`` names what else the format holds, which its writer has to write.

    Raises:
        UnsupportedError: the program holds logic or products, which ``suffix`` files cannot.
    """
    for what, origins in (
        (Feature.IMPLICATIONS, [b.rows.origin for b in program.implications]),
        (Feature.PRODUCTS, [b.origin for b in program.products]),
        (Feature.QUADRATIC, [b.origin for b in program.quadratics]),
        (Feature.CASES, [b.origin for b in program.functions]),
        (Feature.SOS1, [b.origin for b in program.sets if b.most == 1]),
        (Feature.SOS2, [b.origin for b in program.sets if b.most == 2]),
    ):
        if origins and what not in besides:
            raise UnsupportedError(
                f"a {suffix} file cannot hold {what.value}",
                where=origins[0],
                remedy="Export to .smt2, or use an encoding of linear rows such as bigm or triangle",
            )
    named = [(f"{rows.tag.value}_{k}", rows) for k, rows in enumerate(program.rows)]
    return named + [(f"{c.tag.value}_or_{k}", clause_rows(c)) for k, c in enumerate(program.clauses)]


def clause_rows(block: ClauseBlock) -> RowBlock:
    """One row per clause over 0-1 columns."""
    positive = np.ones(len(block.indices), dtype=bool) if block.positive is None else block.positive.astype(bool)
    clause = entry_rows(block.indptr)
    negated = np.bincount(clause[~positive], minlength=len(block.indptr) - 1)
    data = np.where(positive, 1.0, -1.0)
    upper = np.full(len(negated), np.inf)
    return RowBlock(data, block.indices, block.indptr, 1.0 - negated, upper, block.tag, block.origin)


def title(block: RowBlock) -> str:
    """One line that says where the rows of a block come from."""
    count = len(block)
    return f"{block.tag.value}: {one_line(' '.join(block.origin.split()))} ({count_of(count, 'row')})"
