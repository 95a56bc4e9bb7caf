"""Certificates about small ReLU networks as one file for Lean 4: rows, a proof tree, and a checker of ten lines.

The file needs Lean's core library alone. It evaluates the checker and states, without a proof, what its soundness is:
an invitation to prove it once, for whoever wants to trust nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from nnsym.write.combinations import Combinations, Leaf, Proof, Row, combinations

_HEAD = """\
/-
Written by nnsym. The rows hold at every point of a network and a box that violates the property; the proof shows that
no point meets them all. Variables are real numbers; the binaries among them are 0 or 1.
-/
namespace NnsymCertificate

/-- `sum_i coefficients[i] x[i] ≥ limit`. -/
structure Row where
  coefficients : List Int
  limit : Int

/-- A combination of the rows at hand, or two cases of a binary variable: it is at most 0, it is at least 1. -/
inductive Proof where
  | leaf (multipliers : List Int)
  | split (binary : Nat) (off on : Proof)

def dot : List Int → List Int → Int
  | a :: as, b :: bs => a * b + dot as bs
  | _, _ => 0

/-- Multipliers, none negative, that make the rows into `0 ≥ c` with `c > 0`. -/
def refutes (width : Nat) (rows : List Row) (m : List Int) : Bool :=
  m.all (fun k => decide (0 ≤ k)) &&
  (List.range width).all (fun j => decide (dot m (rows.map (fun r => r.coefficients.getD j 0)) = 0)) &&
  decide (0 < dot m (rows.map (fun r => r.limit)))

/-- The row `sign * x[j] ≥ limit`. -/
def single (width j : Nat) (sign limit : Int) : Row :=
  { coefficients := (List.range width).map (fun k => if k = j then sign else 0), limit := limit }

def check (width : Nat) : Proof → List Row → Bool
  | .leaf m, rows => refutes width rows m
  | .split j off on, rows =>
    check width off (rows ++ [single width j (-1) 0]) && check width on (rows ++ [single width j 1 1])

/-- The value of a row at a point, in any ring. -/
def value {α : Type} [Add α] [Mul α] [OfNat α 0] [IntCast α] : List Int → List α → α
  | a :: as, x :: xs => (IntCast.intCast a : α) * x + value as xs
  | _, _ => 0

/-- What is to be proved, once, for every ordered field α: no point whose binaries are 0 or 1 meets all rows. -/
def Sound (α : Type) [Add α] [Mul α] [OfNat α 0] [OfNat α 1] [IntCast α] [LE α] : Prop :=
  ∀ (binaries : List Nat) (rows : List Row) (proof : Proof) (x : List α),
    (∀ j ∈ binaries, x[j]? = some 0 ∨ x[j]? = some 1) →
    check x.length proof rows = true →
    (∀ r ∈ rows, (IntCast.intCast r.limit : α) ≤ value r.coefficients x) → False
"""
_TAIL = """\
#eval check width proof rows  -- true
example : check width proof rows = true := by decide

end NnsymCertificate
"""


def to_lean(certificate: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """The file of a certificate; what it can say, and what it raises, is as in ``combinations``."""
    return "\n".join(_sections(combinations(certificate, files)))


class _Rows:
    """Rows with integers, ``>=`` alone: an equation stands twice, and multipliers go to the one that fits."""

    def __init__(self, found: Combinations) -> None:
        self.numbers = {key: k for k, key in enumerate(found.names)}
        self.rows: list[tuple[list[int], int]] = []
        self.places: dict[Any, list[tuple[int, Fraction]]] = {}  # for each row: its integer rows, and their factors
        for tag, row in found.rows.items():
            self.add(tag, row)
        self.count = len(self.rows)

    def integers(self, row: Row, sign: int) -> tuple[list[int], int, Fraction]:
        scale = sign * Fraction(lcm(row.limit.denominator, *(a.denominator for a in row.terms.values())))
        coefficients = [0] * len(self.numbers)
        for key, a in row.terms.items():
            coefficients[self.numbers[key]] = int(a * scale)
        return coefficients, int(row.limit * scale), scale

    def add(self, tag: Any, row: Row) -> None:
        self.places[tag] = []
        for sign in {"G": (1,), "L": (-1,), "E": (1, -1)}[row.sense]:
            coefficients, limit, scale = self.integers(row, sign)
            self.places[tag].append((len(self.rows), scale))
            self.rows.append((coefficients, limit))

    def proof(self, proof: Proof, assumed: Sequence[Any] = ()) -> str:
        """The tree; ``assumed`` are the binaries on the way, whose rows come after the others."""
        if not isinstance(proof, Leaf):
            off, on = (
                self.proof(part, [*assumed, (proof.binary, side)]) for side, part in enumerate((proof.off, proof.on))
            )
            return f".split {self.numbers[proof.binary]} ({off}) ({on})"
        multipliers = [Fraction(0)] * (self.count + len(assumed))
        places = {("assumed", binary[1]): self.count + k for k, (binary, _) in enumerate(assumed)}
        for tag, m in proof.factors.items():
            if tag in places:
                multipliers[places[tag]] = abs(m)
                continue
            number, scale = next((k, s) for k, s in self.places[tag] if m * s > 0)
            multipliers[number] = m / scale
        whole = lcm(*(m.denominator for m in multipliers))
        return f".leaf [{', '.join(str(int(m * whole)) for m in multipliers)}]"


def _sections(found: Combinations) -> Iterator[str]:
    rows = _Rows(found)
    yield _HEAD
    yield f"-- variables: {', '.join(found.names.values())}"
    yield f"-- binaries: {', '.join(found.names[key] for key in found.names if key[0] == 'd')}"
    yield f"def width : Nat := {len(found.names)}\n"
    yield "def rows : List Row := ["
    written = [f"  {{ coefficients := {coefficients}, limit := {limit} }}" for coefficients, limit in rows.rows]
    yield ",\n".join(written)
    yield "]\n"
    yield f"def proof : Proof :=\n  {rows.proof(found.proof)}\n"
    yield _TAIL
