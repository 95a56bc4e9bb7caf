"""Trees that the checker does not accept at once: what it refuses is split and asked of alone, then the whole."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.types import Dual, Limit
from nnsym.certify.boxes import Boxes, OpenBox
from nnsym.certify.choices import Choices
from nnsym.certify.emit import _Proof
from nnsym.certify.tree import TreePlace
from nnsym.check.checker import Checker
from nnsym.results.clock import NEVER
from tests.stored import random_layers

X = nn.Variable(2, name="x")
BOX = nn.box(X, [-1, -1], [1, 1])


def grown() -> tuple[_Proof, Boxes]:
    """A proof whose tree has many boxes."""
    y = nn.sequential(random_layers(1, 2, 12, 12, 1))(X)
    most = float(nn.maximize(y[0], where=BOX, timeout=20).upper or 0)
    query = nn.forall(X, where=BOX, then=y[0] < most + 0.002 * abs(most)).query
    proof = _Proof(query, NEVER, "real")
    return proof, proof._by_boxes(proof.grounds.all, NEVER)


def inner(place: TreePlace) -> Iterator[TreePlace]:
    """The places above two leaves, in the order of the tree."""
    if place.children and not any(child.children for child in place.children):
        yield place
    for child in place.children:
        yield from inner(child)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How many leaves the checker was asked of, time after time; None: of all."""
    found: list[Any] = []
    failing, run = Checker.failing, Checker.run

    def some(self: Checker, leaves: Container[int]) -> Any:
        found.append(leaves)
        return failing(self, leaves)

    def whole(self: Checker, *args: Any, **more: Any) -> Any:
        found.append(None)
        return run(self, *args, **more)

    monkeypatch.setattr(Checker, "failing", some)
    monkeypatch.setattr(Checker, "run", whole)
    return found


def test_what_is_refused_is_asked_of_alone_and_then_the_whole(asked: list[Any]) -> None:
    proof, grower = grown()
    spoiled = list(inner(proof.grounds.root))[:2]
    for place in spoiled:
        parts = [grower.parts.pop(child) for child in place.children]
        low, high = parts[0], parts[1]
        grower.parts[place] = OpenBox(place, low.ground, low.lower, high.upper, low.depth - 1, low.known)
        place.tokens, place.children = [["l"]], []
    made = proof._settled(grower)
    assert made.leaves > 8
    assert asked[0] is asked[-1] is None
    assert [len(leaves) for leaves in asked[1:-1]] == [4]


def test_what_is_accepted_at_once_is_asked_of_once(asked: list[Any]) -> None:
    proof, grower = grown()
    assert proof._settled(grower).claim == "unsat"
    assert asked == [None]


def test_slopes_that_are_defaults_are_not_written() -> None:
    """Of an element whose range is plainly on one side, the slope of that side; in doubt it is written."""
    proof, grower = grown()
    choices: Choices = grower.choices
    curve, argument = choices.curves[0], choices.arguments[0]
    node = choices.mirror.nodes[curve]
    ranges = grower.engine.ranges
    limit = ranges[argument]
    low, up = limit.lower[0].copy(), limit.upper[0].copy()
    low[:4], up[:4] = [-1.0, -2.0, -1.0, -1.0], [2.0, 1.0, 1.00001, 2.0]
    low[4:], up[4:] = 1.0, 2.0
    slopes = (up > -low).astype(float)
    slopes[3] = 0.5
    found = choices.listed({node: slopes}, {argument: type(limit)(low[None], up[None])})
    assert list(found.values()) == [{"2": 255, "3": 128}]
    assert proof.names.table


def test_slopes_that_say_little_are_left_to_their_defaults() -> None:
    """What one says is its distance from the default times how far its element is open; rows are looked at alone."""
    _, grower = grown()
    choices: Choices = grower.choices
    (first, second), arguments = (choices.mirror.nodes[c] for c in choices.curves), choices.arguments
    low, up = np.full((1, 12), -1.0), np.full((1, 12), 2.0)
    low[0, 2], up[0, 2], low[0, 3] = -0.1, 0.2, 1.0  # the third is hardly open, the fourth not at all
    ranges = {a: Limit(low, up) for a in arguments}
    slopes = {n: np.ones((1, 2, 12)) for n in (first, second)}
    slopes[second][0, 0, :4] = 0.2, 0.7, 0.2, 0.2
    slopes[first][0, :, 0] = 0.5, 0.5
    found = choices.fewer(Dual(slopes), ranges, 0.5).slopes
    assert found[second][0, 0].tolist() == [0.2] + 11 * [1.0]
    assert found[first][0, :, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    "rest", [nn.box(X, [-1, -1], [1, 1]), (X[0] >= -1) & (nn.relu(X[1]) <= 2)], ids=["box", "more"]
)
def test_a_case_that_only_its_closure_has_is_said_to_be_one(rest: Any) -> None:
    """``x < -1`` of a box from -1 on: the checker's case is its edge, which no fact excludes."""
    result = nn.verify(nn.forall(X, where=BOX, then=rest), certificate=True)
    assert result.verified
    assert result.certificate is None
    assert "strict limits of inputs" in result.uncertified
