"""The chooser: its table of measurements, recomputed, and that what it names decides."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym import demo
from nnsym.ask.choose import FEW, MANY, RULES

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "choosing.md").read_text(encoding="utf-8")
STATED = [
    (int(k), method, int(verified), int(falsified), int(unknown))
    for k, method, verified, falsified, unknown in re.findall(
        r"^\| (\d)/64 \| `([^`]+)` \| (\d+) \| (\d+) \| (\d+) \|", PAGE, re.M
    )
]


def data() -> tuple[np.ndarray, list[int]]:
    found = [demo.digit(k) for k in range(20)]
    return np.stack([image for image, _ in found]), [label for _, label in found]


@pytest.mark.parametrize("method", ["ibp-merged", "crown", pytest.param("bigm", marks=pytest.mark.slow)])
def test_the_page_says_what_a_table_computes(method: str) -> None:
    rows = {k: counts for k, name, *counts in STATED if name == method}
    assert sorted(rows) == [2, 5]
    family = partial(nn.props.robust, demo.network(), within=(0, 1))
    table = nn.table(family, data(), [method], eps=[2 / 64, 5 / 64], timeout=20)
    assert [[row.held, row.falsified, row.open] for row in table.rows] == [rows[2], rows[5]]


@pytest.mark.parametrize("radius", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_what_is_chosen_decides(radius: int) -> None:
    f, named = demo.network(), set()
    for image, label in zip(*data(), strict=True):
        p = nn.props.robust(f, image, label, radius / 64, within=(0, 1))
        choice = nn.choose(p)
        named.add(choice.method)
        result = nn.verify(p, choice.method, timeout=20)
        assert result.verified or result.falsified
    assert named == {"crown", "bigm"}


def test_rules_are_taken_by_kind() -> None:
    x = nn.Variable(2)
    f = nn.sequential([([[2, 1], [1, -1]], [0, 0]), ([[1, 1]], [0])], activation="relu")
    box = nn.box(x, -1, 1)
    asked = {
        "portfolio": nn.exists(x, where=box, then=f(x)[0] >= 1),
        "ibp-merged": nn.forall(x, where=box, then=f(x)[0] <= 10),
        "bigm": nn.forall(x, where=box, then=f(x)[0] <= 2.9),
        "bab": nn.forall(x, where=box, then=nn.exp(x[0]) * x[1] <= 2.7),
        "sampling": nn.forall(x, where=box, then=nn.argmax(nn.smooth(wide(), nn.gaussian(0.5))(x)) == 1),
    }
    assert {name: nn.choose(p).method for name, p in asked.items()} == {name: name for name in asked}
    told = json.loads(json.dumps(nn.choose(asked["bigm"]).to_dict(), allow_nan=False))
    assert told["facts"]["open"] == 2
    assert "2 open" in str(nn.choose(asked["bigm"]))
    with pytest.raises(nn.InputError, match="timeout"):
        nn.choose(asked["bab"], timeout=0)


def wide() -> nn.Network:
    return nn.sequential([([[1, 0], [0, 1]], [0, 3])])


def test_the_page_lists_the_rules() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \| [a-z]", PAGE, re.M)
    assert listed == [rule.method for rule in RULES]
    assert f"at most {FEW} neurons" in PAGE
    assert f"{MANY:,} neurons" in PAGE
