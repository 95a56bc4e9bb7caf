"""A second checker, which shares no line with the first, comes to the same values and refuses the same."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from second_checker import No, Second
from test_check_mutations import Theorem, spoiled

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused


def _both(made: dict[str, Any]) -> tuple[Any, Any]:
    """The least values by both, None where refused."""
    try:
        first: Any = Checker(made, {}, "reference").run()
        first = (first.leaves, first.least)
    except Refused:
        first = None
    data = json.dumps(made, default=lambda v: str(v) if v.denominator > 1 else int(v)).encode()
    try:
        values = Second(data).run()
        second: Any = min(values, default=None)
    except (No, IndexError, KeyError):
        return first, None
    return first, (second,)


def test_it_imports_nothing_of_nnsym() -> None:
    source = (Path(__file__).parent / "second_checker.py").read_text()
    assert "import nnsym" not in source
    assert "from nnsym" not in source


@pytest.mark.parametrize("seed", range(4))
def test_two_checkers_agree(seed: int) -> None:
    rng, accepted = np.random.default_rng(40 + seed), 0
    for _ in range(40):
        theorem = Theorem(rng)
        tree = theorem.tree(int(rng.integers(0, 3)))
        tree = spoiled(rng, tree) if rng.random() < 0.2 else tree
        made = theorem.certificate(theorem.attained - Fraction(int(rng.integers(1, 9)), 2), tree)
        first, second = _both(made)
        assert (first is None) == (second is None), made
        if first is not None and second[0] is not None:
            assert abs(second[0] - first[1]) < Fraction(1, 10**8)
            accepted += 1
    assert accepted > 3
