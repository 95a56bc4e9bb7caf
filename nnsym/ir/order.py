"""Comparisons of a softmax's values as comparisons of its arguments.

Within one group ``softmax_i <= softmax_j`` holds in exact arithmetic if and only if ``x_i <= x_j``, and so do their
logarithms. A row ``c (y_i - y_j)`` over two such values, with nothing else in it, is 0, positive or negative where
``c (x_i - x_j)`` is: a property whose rows are all of this kind says the same of x, and x is far easier to bound.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Select
from nnsym.ir.node import Affine, Node
from nnsym.ir.query import Query, Reading
from nnsym.ir.rows import Coefficients, Rows
from nnsym.ir.softmax import unordered


def before_softmax(query: Query) -> Query:
    """The query with such rows over arguments, its :attr:`Query.stated` the one given; itself where there are none.

    The least value of a term is not kept by this, so queries that ask for one stay as they are.
    """
    if query.reading is Reading.MINIMUM or query.runs is not None or query.stated is not None:
        return query
    rows, alone = query.rows, _single(query.rows)
    entries = []
    moved = False
    for node, part in rows.parts.items():
        source, column = _copied(node, part.column)
        found = unordered(source)
        chosen = alone[part.row] & (column >= 0)
        if found is not None and chosen.any():
            x, place, chosen = _compared(part, column, chosen, *found)
            if chosen.any():
                entries.append((x, part.row[chosen], place[chosen], part.coefficient[chosen]))
                moved = True
        else:
            chosen = np.zeros_like(chosen)
        entries.append((node, part.row[~chosen], part.column[~chosen], part.coefficient[~chosen]))
    return replace(query, rows=Rows.collect(entries, rows.constant), stated=query) if moved else query


def _single(rows: Rows) -> Array:
    """Rows of two entries, both of one node, without a constant."""
    counts = np.zeros(len(rows), dtype=np.int64)
    most = np.zeros(len(rows), dtype=np.int64)
    for part in rows.parts.values():
        each = np.bincount(part.row, minlength=len(rows))
        counts, most = counts + each, np.maximum(most, each)
    return np.asarray((counts == 2) & (most == 2) & (rows.constant == 0), dtype=bool)


def _copied(node: Node, column: Array) -> tuple[Node, Array]:
    """What the elements of a node are copies of."""
    while isinstance(node, Affine) and len(node.maps) == 1 and not node.bias.any():
        (linear,) = node.maps
        if not isinstance(linear, Select) or (linear.index[column] < 0).any():
            break
        node, column = node.parents[0], linear.index[column]
    return node, column


def _compared(part: Coefficients, column: Array, chosen: Array, x: Node, groups: Array) -> tuple[Node, Array, Array]:
    """The argument behind every entry, and which entries belong to rows that compare two of one group."""
    group, place = column // groups.shape[1], groups.ravel()[column]
    coefficient = to_fractions(part.coefficient)
    first = np.flatnonzero(chosen)[::2]  # entries are sorted by row, and every chosen row has two
    pairs = (group[first] == group[first + 1]) & np.asarray(
        coefficient[first] + coefficient[first + 1] == 0, dtype=bool
    )
    kept = np.zeros_like(chosen)
    kept[first[pairs]] = kept[first[pairs] + 1] = True
    return x, place, kept
