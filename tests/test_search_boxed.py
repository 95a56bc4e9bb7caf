"""Properties of many boxes, each with a row of its own: every box is a subproblem, and all are bounded at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.types import Limit
from nnsym.ir.formula import And, Atoms, InBox, Or, conjunction, disjunction
from nnsym.ir.query import Query
from nnsym.search.parts.boxed import Boxed, in_a_box
from nnsym.search.parts.targets import CAP, WIDE, Worth, _reduced, targets
from tests.searching import ran

BOXES = 150


def table(seed: int, *, slack: float) -> Query:
    """In box k the output is at most so much, for boxes in [-1, 1]^2: what its corners and middle attain, and slack."""
    rng = np.random.default_rng(seed)
    f, x = nn.zoo.random_mlp(seed, widths=(2, 6, 1)), nn.Variable(2, name="x")
    low = rng.uniform(-1, 0.9, (BOXES, 2))
    ends = np.stack([low, low + rng.uniform(0, 0.1, (BOXES, 2))])
    points = np.stack(
        [ends[0], ends[1], ends.mean(0), *(np.stack([ends[a, :, 0], ends[1 - a, :, 1]], 1) for a in (0, 1))]
    )
    most = np.array([max(float(f(p[k])[0]) for p in points) for k in range(BOXES)])
    most += slack + np.arange(BOXES) * 2.0**-30  # so that no two rows are one
    query = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all([f(x)[0] <= m for m in most])).query
    assert isinstance(query.formula, Or)
    rows = query.formula.parts
    assert len(rows) == BOXES
    inside = [InBox(query.inputs[0], *ends[:, k]) for k in range(BOXES)]
    return replace(query, formula=disjunction(*map(conjunction, inside, rows)))


def test_each_box_is_a_subproblem_with_its_own_row() -> None:
    query = table(0, slack=0.5)
    assert CAP < BOXES == len(targets(query)) < WIDE
    found = ran(query, "bab:smear", seconds=60)
    assert found.search.exhausted
    assert found.search.census.nodes < 2 * BOXES


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slack", [-(2.0**-6), 2.0**-4])
def test_what_is_said_of_many_boxes_is_true(seed: int, slack: float) -> None:
    query = table(seed, slack=slack)
    found = ran(query, ("bab:smear", "bab:gap:clip")[seed % 2], seconds=60, nodes=10**5)
    assert found.decided
    assert found.goal.done == (slack < 0)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_at_once_are_those_of_each_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query = table(seed, slack=0.0)
    (x,), parts = query.inputs, targets(query)
    worth = Worth(parts, len(query.rows))
    assert len(worth.boxed.which) == len(parts)
    middle = rng.uniform(-1, 1, (40, x.size))
    limits = {x: Limit(middle - 0.05, middle + 0.05)}
    rows = rng.normal(size=(40, len(query.rows)))
    values, picks = worth.lower(rows, limits)
    for k, part in enumerate(parts):
        value, pick = _reduced(part.formula, rows, limits)
        np.testing.assert_array_equal(values[:, k], value)
        np.testing.assert_array_equal(picks[:, k][np.isfinite(value)], pick[np.isfinite(value)])
    assert 0 < np.isinf(values).sum() < values.size
    least, row = worth.boxed.least(rows, limits, missed=1e300)
    np.testing.assert_array_equal(least, np.minimum(values.min(1), 1e300))
    np.testing.assert_array_equal(row, picks[np.arange(40), values.argmin(1)])


def test_many_parts_are_boxes_with_a_row_or_few() -> None:
    query = table(0, slack=0.0)
    assert targets(replace(query, formula=And((query.formula, Or(()))))) == ()
    hard = Atoms(np.array([0]), False, False)
    for other in (query.formula, hard, Or((hard, hard))):  # no box with a row is left of their products
        assert len(targets(replace(query, formula=And((query.formula, other))))) == 1


def test_only_one_soft_row_in_boxes_is_taken() -> None:
    (x,) = table(0, slack=0.0).inputs
    box = InBox(x, np.zeros(2), np.ones(2))
    row, hard = Atoms(np.array([0]), False, True), Atoms(np.array([0]), False, False)
    several = Atoms(np.array([0, 1]), False, True)
    assert in_a_box(box)
    assert in_a_box(And((box, box, row)))
    assert not any(map(in_a_box, (row, And((box, hard)), And((box, several)), And((box, row, row)), And((row,)))))
    assert len(Boxed.of([box, row, And((box, hard)), And((box, several))]).which) == 0
    both = Boxed.of([row, And((box, InBox(x, np.full(2, 0.5), np.full(2, 3.0)), row))])
    assert both.which.tolist() == [1]
    assert both.boxes[x].lower.tolist() == [[0.5, 0.5]]
    assert both.boxes[x].upper.tolist() == [[1.0, 1.0]]


def test_a_search_of_many_boxes_goes_on_from_its_record(tmp_path: Path) -> None:
    query = table(1, slack=2.0**-5)
    file = tmp_path / "search.jsonl"
    begun = ran(query, "bab:smear:batch=16", nodes=60, log=file)
    assert not begun.decided
    found = ran(query, "bab:smear:batch=16", seconds=60, nodes=10**5, log=file)
    assert found.search.exhausted
