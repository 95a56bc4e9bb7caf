"""The lines of linear bounds are proved, of both engines, and wrong ones are refuted."""

from __future__ import annotations

from typing import Any

import pytest

from nnsym.bounds import hinge_lines, maximum_lines, planes
from nnsym.bounds.engine import relaxations
from nnsym.bounds.kept.passes import relaxations as arrays
from nnsym.ir.univariate import clip, sign
from nnsym.testing.prove import Answer
from nnsym.testing.prove.lines import array_lines, engine_lines, prove_lines
from nnsym.testing.prove.maxima import prove_member
from nnsym.testing.prove.subjects import Subject, hinge, largest, pieces, times
from tests.mutants import mutant

pytestmark = pytest.mark.slow

RELU, ABS, ANY = hinge("relu", 0.0, 1.0), hinge("abs", -1.0, 1.0), hinge("any hinge")


LINES = [
    *((RELU, slope) for slope in ("adaptive", "parallel", "zero")),
    (ABS, "adaptive"),
    (largest(2), "adaptive"),
    (pieces(sign()), "adaptive"),
    (times(), "adaptive"),
    (times(square=True), "adaptive"),
    pytest.param(pieces(clip(-1.0, 1.5)), "adaptive", marks=pytest.mark.field),  # a minute
]


@pytest.mark.parametrize(("subject", "slope"), LINES, ids=lambda v: getattr(v, "name", v))
def test_lines_of_linear_bounds_are_proved(subject: Subject, slope: Any) -> None:
    proof = prove_lines(subject, engine_lines(slope), of=slope, seconds=400)
    assert proof.answer is Answer.PROVED, str(proof)


KEPT_LINES = [RELU, ANY, largest(2), largest(3), times(), times(square=True)]


@pytest.mark.parametrize("subject", KEPT_LINES, ids=lambda v: v.name)
def test_lines_of_the_kept_engine_are_proved(subject: Subject) -> None:
    proof = prove_lines(subject, array_lines(), of="kept", seconds=400, sharp=subject in (RELU, ANY))
    assert proof.answer is Answer.PROVED, str(proof)


HINGES = {
    "slip subtracted": ("xp.maximum(at_l + slip_l, at_u + slip_u)", "xp.maximum(at_l - slip_l, at_u - slip_u)"),
    "no slip": ("8 * by.u * (abs(right)", "0 * by.u * (abs(right)"),
    "lines swapped": ("xp.where(convex, slope, through)", "xp.where(convex, through, slope)"),
    "stable sides swapped": (
        "own = xp.where(x[0] >= 0, right, left)",
        "own = xp.where(x[0] >= 0, left, right)",
    ),
}


@pytest.mark.parametrize(
    ("wrong", "subject"),
    [*((wrong, RELU) for wrong in HINGES), ("slip subtracted", ANY), ("stable sides swapped", ANY)],
    ids=lambda v: getattr(v, "name", v),
)
def test_wrong_lines_of_hinges_are_refuted(wrong: str, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaxations, "hinge_lines", mutant(hinge_lines, *HINGES[wrong])["hinge_lines"])
    proof = prove_lines(subject, engine_lines(), of=wrong, seconds=100)
    assert proof.answer is Answer.REFUTED, str(proof)


MAXIMA = {
    "a member twice below": ("xp.where(first, xp.ones_like(w), 0.0)", "xp.where(first, 2 * xp.ones_like(w), 0.0)"),
    "the lower end alone": ("xp.maximum(-w * lo, over - w * hi)", "-w * lo"),
    "the upper end alone": ("xp.maximum(-w * lo, over - w * hi)", "over - w * hi"),
    "the sum's rounding": ("by.gamma(lo.shape[-1] + 8) * size + by.tiny", "0 * size"),
}


@pytest.mark.parametrize("wrong", MAXIMA)
def test_wrong_lines_of_maxima_are_refuted(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "maximum_lines", mutant(maximum_lines, *MAXIMA[wrong])["maximum_lines"])
    proof = prove_lines(largest(2), array_lines(), of=wrong, seconds=100)
    assert proof.answer is Answer.REFUTED, str(proof)


def test_the_line_of_one_member_is_proved() -> None:
    proof = prove_member()
    assert proof.answer is Answer.PROVED, str(proof)


@pytest.mark.parametrize("wrong", ["the lower end alone", "the upper end alone"])
def test_wrong_lines_of_one_member_are_refuted(wrong: str) -> None:
    proof = prove_member(missed=mutant(maximum_lines, *MAXIMA[wrong])["missed"])
    assert proof.answer is Answer.REFUTED, str(proof)


PRODUCTS = {
    "no slip": ("(8 * by.u * (abs(a * b) + far) + by.tiny)", "(0 * by.u * far)"),
    "one corner": ("xp.maximum((ux - b_high) * (uy - a_high),", "xp.maximum((ux - ux) * (uy - a_high),"),
    "another corner": ("(ux - b_low) * (a_low - ly)", "(ux - b_low) * (uy - a_low)"),
    "the slope of another plane": ("Planes(a_low, b_low, low, a_high,", "Planes(a_low, b_low, low, a_low,"),
}


@pytest.mark.parametrize("wrong", PRODUCTS)
def test_wrong_planes_of_products_are_refuted(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = mutant(planes, *PRODUCTS[wrong])
    for module, made, of in ((relaxations, engine_lines(), "engine"), (arrays, array_lines(), "kept")):
        monkeypatch.setattr(module, "planes", names["planes"])
        proof = prove_lines(times(), made, of=of, seconds=60)
        assert proof.answer is Answer.REFUTED, str(proof)


KEPT = {
    "a chord of a tiny width": ("np.where(width > 0.0, width, 1.0)", "np.maximum(width, 2.0**-1000)"),
    "a ReLU's slip": ("+ 8.0 * _U * (1.0 + chord) * width", "- 8.0 * _U * (1.0 + chord) * width"),
}


@pytest.mark.parametrize("wrong", KEPT)
def test_wrong_lines_of_the_kept_engine_are_refuted(wrong: str) -> None:
    lines = mutant(arrays, *KEPT[wrong])["lines"]
    proof = prove_lines(RELU, array_lines(lines=lines), of=wrong, seconds=60, sharp=True)
    assert proof.answer is Answer.REFUTED, str(proof)
