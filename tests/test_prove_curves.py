"""Lines over smooth functions are proved from what is known of their shape, and wrong ones are refuted."""

from __future__ import annotations

from typing import Any

import pytest

from nnsym.ir.functions import curves
from nnsym.testing.prove import Answer
from nnsym.testing.prove.curves import Shape, prove_offset
from tests.mutants import mutant

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("shape", ["concave", "convex"])
def test_lines_on_both_sides_are_proved(shape: Shape, sign: float) -> None:
    """Those that tangents give, and those that chords give."""
    proof = prove_offset(shape, sign)
    assert proof.answer is Answer.PROVED, str(proof)


def test_lines_of_sigmoids_are_proved() -> None:
    proof = prove_offset("S-shaped")
    assert proof.answer is Answer.PROVED, str(proof)


WRONG: dict[str, tuple[Any, str, str, Shape]] = {
    "one end": (curves, "(_rise(fn, sign, a, p), p), (_rise", "(_rise(fn, sign, a, p), p), (0 * _rise", "convex"),
    "no way to the right": (curves, "up * right + down * left", "down * left", "concave"),
    "a value's error": (curves, "sign * y - a * x + _error(fn, y)", "sign * y - a * x", "concave"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_lines_of_curves_are_refuted(wrong: str) -> None:
    module, before, after, shape = WRONG[wrong]
    proof = prove_offset(shape, offset=mutant(module, before, after)["_offset"], seconds=200)
    assert proof.answer is Answer.REFUTED, str(proof)
