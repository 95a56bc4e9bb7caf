"""Bands and ranges of sigmoids are proved from their shape, and wrong ones are refuted."""

from __future__ import annotations

import pytest

from nnsym.ir.functions import sigmoidal
from nnsym.testing.prove import Answer
from nnsym.testing.prove.bands import prove_band
from tests.mutants import mutant

pytestmark = pytest.mark.slow


def test_bands_of_sigmoids_are_proved() -> None:
    proof = prove_band()
    assert proof.answer is Answer.PROVED, str(proof)


def test_ranges_of_sigmoids_are_proved() -> None:
    proof = prove_band(span=sigmoidal.span)
    assert proof.answer is Answer.PROVED, str(proof)


WRONG = {
    "the larger slope": ("least = np.minimum(fn.derivative(lo)", "least = np.maximum(fn.derivative(lo)"),
    "a slope's error": ("np.maximum(least - _error(fn, least), 0.0)", "np.maximum(least, 0.0)"),
    "a value's error": ("f_u - slope * hi + _error(fn, f_u) + 8 * U * (np.abs(f_u) + ", "f_u - slope * hi + 8 * U * ("),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_bands_are_refuted(wrong: str) -> None:
    proof = prove_band(band=mutant(sigmoidal, *WRONG[wrong])["band"], seconds=200)
    assert proof.answer is Answer.REFUTED, str(proof)
