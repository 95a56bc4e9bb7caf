"""The rules that exact encodings have in common: roundings, gates, products and powers.

Hinges, functions of pieces and maxima are each encoding's own.
"""

from __future__ import annotations

from nnsym.encode.gates import GATE_CASES, GATE_ROWS
from nnsym.encode.monomials import MONOMIAL
from nnsym.encode.rules import BILINEAR
from nnsym.encode.stairs import STAIRS_CASES, STAIRS_ROWS

#: Where rows are all there is.
COMMON_ROWS = (*STAIRS_ROWS, GATE_ROWS, BILINEAR, MONOMIAL)

#: Where rows may be guarded.
COMMON_CASES = (*STAIRS_CASES, GATE_CASES, BILINEAR, MONOMIAL)
