"""Ranges of hidden neurons that a certificate claims: accepted, better than what was known, true of every point."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from certificates import below
from test_certify import arrays

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import Trees, grown, undecided
from nnsym.bounds.kept.types import Limit
from nnsym.certify import choices as writing
from nnsym.certify import claim_trees
from nnsym.certify.choices import Choices
from nnsym.certify.claim_trees import Written
from nnsym.certify.claims import Base, claimed, worth
from nnsym.certify.emit import written
from nnsym.certify.grounds import Grounds
from nnsym.certify.mirror import mirror
from nnsym.certify.names import Names
from nnsym.certify.theorem import theorem
from nnsym.certify.tree import flat
from nnsym.check.checker import Checker
from nnsym.check.errors import Refused
from nnsym.check.files import read_json
from nnsym.check.problem import Case
from nnsym.results.clock import NEVER

INPUTS = 6


@dataclass(frozen=True)
class Made:
    """A property that its claims do not prove, with a tree of nothing but claims."""

    seed: int
    activation: str = "relu"

    @cached_property
    def parts(self) -> Any:
        x = nn.Variable(INPUTS, name="x")
        y = arrays(self.seed, INPUTS, 8, 8, 6, 2, activation=self.activation)(x)
        p = nn.forall(x, where=nn.box(x, [-0.5] * INPUTS, [0.5] * INPUTS), then=y[0] < -1000)
        head = theorem(p.query)
        checker = Checker(head.certificate(claim="unsat"), head.files)
        grounds, names = Grounds(checker.problem), Names(checker.problem)
        (ground,) = grounds.all
        mirrored = mirror(checker.problem, [ground.case], grounds.facts())
        choices = Choices(mirrored, checker, names)
        first = Base.of(ground, Engine(mirrored.query, inherit=False), choices)
        last = claimed(first, choices, 4, NEVER)
        last.place.tokens = [["l"]]
        tree, _ = flat(grounds.root)
        return head, checker, names, first, last, tree

    def failures(self, tree: list[Any], engine: str) -> list[int]:
        """The tokens of the leaves that an engine does not accept."""
        head, _, names, *_ = self.parts
        made = read_json(written(head.certificate(claim="unsat", names=names.table, tree=tree)))
        return [token for token, _ in Checker(made, head.files, engine).run(failures=True).failures]


SLOW = pytest.mark.slow


@pytest.mark.parametrize("made", [Made(3), pytest.param(Made(4), marks=SLOW), pytest.param(Made(5, "abs"), marks=SLOW)])
def test_claims_are_accepted_better_and_true(made: Made) -> None:
    _, checker, _, first, last, tree = made.parts
    assert last.claims > 5
    for engine in ("fast", "reference"):
        assert [tree[k] for k in made.failures(tree, engine)] == [["l"]]  # the theorem itself, which is false
    rng, unit = np.random.default_rng(made.seed), 1 << checker.engine.bits
    for node, bounds in last.case.known.items():
        assert all(a >= b for a, b in zip(bounds.lower, first.case.known[node].lower, strict=True))
    for _ in range(20):
        point = tuple(Fraction(int(v), 64) for v in rng.integers(-32, 33, INPUTS))
        bits, values = checker.forward(Case(point, point))
        for node, bounds in last.case.known.items():
            exact = [Fraction(v, 1 << bits) * unit for v in values[node].lower]
            assert all(a <= v <= b for a, v, b in zip(bounds.lower, exact, bounds.upper, strict=True))


@pytest.mark.slow
def test_a_claim_that_says_too_much_is_not_accepted() -> None:
    """Each claim in turn is moved beyond what a point attains: its own tree fails."""
    made = Made(3)
    _, checker, names, _, _, tree = made.parts
    places = [k for k, token in enumerate(tree) if token[0] == "g"]
    numbers = {tuple(entry): k for k, entry in enumerate(names.table)}
    assert len(numbers) == len(names.table)
    values = checker.forward(Case((Fraction(0),) * INPUTS, (Fraction(0),) * INPUTS))
    for place in places[::4]:
        ((name, i, _),) = tree[place][1]
        node = checker.problem.graph.tensors[tuple(names.table[name])].node
        at_centre = Fraction(values[1][node].lower[i], 1 << values[0])
        moved = float(at_centre) + (0.01 if tree[place][2] <= at_centre else -0.01)
        spoiled = [*tree[:place], ["g", tree[place][1], moved], *tree[place + 1 :]]
        with suppress(Refused):  # as another element is open, or none, there are not as many slopes
            assert len(made.failures(spoiled, "fast")) > 1


def test_a_tree_of_claims_starts_from_what_the_checker_knows() -> None:
    _, checker, _, first, _, _ = Made(3).parts
    assert first.case.known.keys() == below(checker).known.keys()


@dataclass(frozen=True)
class Grown:
    """Trees of the rows of a layer, with the ranges that are known without them."""

    seed: int
    layer: int
    own: bool = True
    radius: float = 0.7

    @cached_property
    def parts(self) -> tuple[Choices, Base, Trees, Limit]:
        x = nn.Variable(INPUTS, name="x")
        y = arrays(self.seed, INPUTS, 16, 16, 12, 2)(x)
        p = nn.forall(x, where=nn.box(x, [-self.radius] * INPUTS, [self.radius] * INPUTS), then=y[0] < -1000)
        head = theorem(p.query)
        checker = Checker(head.certificate(claim="unsat"), head.files)
        grounds = Grounds(checker.problem)
        (ground,) = grounds.all
        mirrored = mirror(checker.problem, [ground.case], grounds.facts())
        choices = Choices(mirrored, checker, Names(checker.problem))
        engine = Engine(mirrored.query, dtype="float32", intervals=False)
        layer = choices.arguments[self.layer]
        known = engine.ranges[layer]
        trees = grown(engine, layer, undecided(engine, layer, known), 24, own=self.own)
        assert trees is not None
        return choices, Base.of(ground, Engine(mirrored.query, inherit=False), choices), trees, known


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=SLOW), pytest.param(5, marks=SLOW)])
def test_a_claim_is_as_good_as_the_bound_that_was_found(seed: int) -> None:
    """What leaves say by themselves; a search also counts what held of the parts that they were split from."""
    for layer in (1, 2):
        lost = []
        for own in (True, False):
            choices, base, trees, known = Grown(seed, layer, own).parts
            every = np.arange(len(trees.index))
            written = Written(trees, every, choices, base.case, choices.curves[layer].parents[0], known)
            i, up, found = trees.index, trees.sign > 0, trees.bounds()
            gained = found - np.where(up, known.lower[0, i], -known.upper[0, i])
            claims = np.array([written.claim(row) for row in every.tolist()])
            lost.append(((np.minimum(found, 0.0) - claims) / np.maximum(gained, 1e-3)).max())
        assert lost[0] <= 0.04 < lost[1]


@pytest.mark.parametrize("seed", [3, 4])
def test_what_is_not_claimed_costs_little(seed: int) -> None:
    """Beside the claims that are made each other one moves the lines of its element by a little at most.

    In the first network a neuron matters to nobody, so that its range is not bounded.
    """
    _, _, trees, known = Grown(seed, 2, radius=0.1).parts
    rows, bounds = worth(trees, known, hinge=True), trees.bounds()
    assert 0 < len(rows) < len(bounds)

    def cost(claims: list[int]) -> float:
        low, high = known.lower[0].copy(), known.upper[0].copy()
        for row in claims:
            i = trees.index[row]
            low[i] = max(low[i], min(bounds[row], 0.0)) if trees.sign[row] > 0 else low[i]
            high[i] = min(high[i], max(-bounds[row], 0.0)) if trees.sign[row] < 0 else high[i]
        opened = (low < 0) & (high > 0) & np.isfinite(low) & np.isfinite(high)
        return float((-low[opened] * high[opened] / (high - low)[opened]).sum())

    most = max(cost([]) - cost([row]) for row in range(len(bounds)))
    for row in set(range(len(bounds))) - set(rows.tolist()):
        assert cost(rows.tolist()) - cost([*rows.tolist(), row]) <= 0.01 * most
    decided = {int(trees.index[row]) for row in rows if bounds[row] > 0}
    assert decided
    assert all(sum(int(trees.index[row]) == i for row in rows) == 1 for i in decided)


def test_slopes_by_their_places_say_what_they_say_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults are left out, which the checker fills in."""
    choices, base, trees, known = Grown(3, 2).parts
    every, found = np.arange(len(trees.index)), []
    for entry, kind in ((0, dict), (1 << 20, str)):
        monkeypatch.setattr(writing, "_ENTRY", entry)
        written = Written(trees, every, choices, base.case, choices.curves[2].parents[0], known)
        slopes = [s for row in every.tolist() for token in written.tree(row, 0) for s in _slopes(token)]
        assert any(isinstance(s, kind) for s in slopes)
        found.append([(written.bounds[row], written.claim(row)) for row in every.tolist()])
    assert found[0] == found[1]


def test_only_leaves_that_digits_cost_too_much_have_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    choices, base, trees, known = Grown(3, 2).parts
    every, made = np.arange(len(trees.index)), []
    monkeypatch.setattr(claim_trees, "_LOSS", 0.0)
    monkeypatch.setattr(writing, "_CHARGED", 0.0)
    for levels in (writing.LEVELS[:1], writing.LEVELS):
        monkeypatch.setattr(claim_trees, "LEVELS", levels)
        made.append(Written(trees, every, choices, base.case, choices.curves[2].parents[0], known))
    few, more = made
    assert max(more.bounds[row] - few.bounds[row] for row in every.tolist()) > 1e-6
    same = total = 0
    for row in every.tolist():
        assert more.bounds[row] >= few.bounds[row] - 1e-6
        both = list(zip(few.tree(row, 0), more.tree(row, 0), strict=True))
        same, total = same + sum(a == b for a, b in both if a[0] == "l"), total + sum(a[0] == "l" for a, _ in both)
    assert 0.2 * total < same < total


def _slopes(token: Any) -> list[Any]:
    return list(token[2].values()) if token[0] == "l" and len(token) > 2 else []
