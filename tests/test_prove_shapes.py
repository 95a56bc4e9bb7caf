"""What lines take for granted of a power's shape is proved of its own code, and wrong shapes are refuted."""

from __future__ import annotations

from typing import Any

import pytest

from nnsym.ir.functions.powers import InversePower, Reciprocal, Sqrt, WholePower
from nnsym.ir.smooth_functions import Smooth
from nnsym.testing.prove import Answer
from nnsym.testing.prove.shapes import prove_shape

POWERS: tuple[Smooth, ...] = (
    Sqrt(),
    Reciprocal(),
    *map(WholePower, (2, 3, 4, 5)),
    *map(InversePower, (2, 3)),
)


@pytest.mark.parametrize("fn", POWERS, ids=lambda fn: fn.key)
def test_powers_have_the_shape_that_they_say(fn: Smooth) -> None:
    proof = prove_shape(fn)
    assert proof.answer is Answer.PROVED, str(proof)


WRONG: dict[str, tuple[Smooth, dict[str, Any]]] = {
    "a slope too steep": (WholePower(3), {"derivative": lambda x: 2 * WholePower(3).derivative(x)}),
    "a slope too flat": (WholePower(4), {"derivative": lambda x: WholePower(4).derivative(x) / 4}),
    "another power": (WholePower(2), {"value": WholePower(3).value}),
    "a slope upwards": (Reciprocal(), {"derivative": lambda x: -Reciprocal().derivative(x)}),
    "upside down": (InversePower(2), {"value": lambda x: -InversePower(2).value(x)}),
    "the slope of another root": (Sqrt(), {"derivative": lambda x: 2 * Sqrt().derivative(x)}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_shapes_are_refuted(wrong: str) -> None:
    fn, instead = WRONG[wrong]
    proof = prove_shape(fn, **instead)
    assert proof.answer is Answer.REFUTED, str(proof)


class Bent(Smooth):
    """A cube that is said to be convex everywhere."""

    name = "bent"
    bends = (True,)

    def value(self, x: Any) -> Any:
        return x * x * x

    def derivative(self, x: Any) -> Any:
        return 3.0 * (x * x)


def test_a_part_that_bends_the_other_way_is_refuted() -> None:
    proof = prove_shape(Bent())
    assert proof.answer is Answer.REFUTED
    assert proof.counterexample is not None
    assert proof.counterexample.says == "it is not convex"
