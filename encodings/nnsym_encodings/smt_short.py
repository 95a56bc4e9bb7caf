"""SMT over short numbers: the guarded form of ``smt`` with 12-bit coefficients and the error they make as a slack.

Exact rational arithmetic pays for the length of numbers, and trained weights are 24 bits long. Every affine layer
``h = A v + b`` becomes ``|h - A' v - b'| <= e`` with numbers of about 12 bits, ``e >= |A - A'| max|v| + |b - b'|``;
bounds are rounded outward to multiples of 2^-12. All runs of the network remain, so unsat proves the property;
sat is a candidate that the real network has to confirm. ``SMT.shorten(bits)`` takes other lengths, any encoding may be
shortened.

Emits: what ``smt`` emits. Needs no bounds; a row over an unbounded column keeps its numbers.

Source: the a-priori error bound of nnsym.encode.shorten; the rules are those of :mod:`nnsym_encodings.smt`.
"""

from __future__ import annotations

from dataclasses import replace

from nnsym_encodings.smt import SMT

SMT_SHORT = replace(SMT.shorten(12), summary="outer SMT over 12-bit numbers: unsat is a proof, sat a candidate")
