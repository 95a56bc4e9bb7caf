"""Lines over hinges, maxima and products are valid as rationals, without any rounding term on top."""

import itertools
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.bounds.engine.forward.interval import Forward
from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.relaxations import relax, undecided
from nnsym.bounds.formats import DOUBLE
from nnsym.bounds.kept.passes import relaxations as kept
from nnsym.bounds.planes import product_range, shares
from nnsym.bounds.rational.exact import _shorten
from nnsym.ir.evaluate import apply_node
from nnsym.ir.exact import round_down, round_up, to_fractions
from nnsym.ir.node import maximum, new_input, pointwise, product
from nnsym.ir.univariate import Hinge, clip

NUMBER = st.one_of(st.floats(-10, 10), st.floats(-1e-9, 1e-9), st.sampled_from([0.0, 1.0, -1.0, 1e8, 1 / 3]))


def boxes(size):
    pairs = st.lists(st.tuples(NUMBER, NUMBER), min_size=size, max_size=size)
    return pairs.map(lambda ends: (np.array([min(e) for e in ends]), np.array([max(e) for e in ends])))


def lines(node, ranges, **options):
    maps = Maps("cpu")
    parents = tuple(Range(torch.tensor(lo[None]), torch.tensor(hi[None])) for lo, hi in ranges)
    return relax(node, parents, Forward(maps).step(node, parents), maps, **options)


def exact_line(relaxation, side, values):
    """The value of one line at exact values of the parents, element by element."""
    total = to_fractions(getattr(relaxation, side)[0].numpy())
    for tap in relaxation.taps:
        operand = values[tap.parent]
        operand = operand if tap.index is None else operand[tap.index.numpy()]
        total = total + to_fractions(getattr(tap, side)[0].numpy()) * operand
    return total


def encloses(node, ranges, points, **options):
    relaxation = lines(node, ranges, **options)
    for point in points:
        values = dict(zip(node.parents, point, strict=True))
        true = apply_node(node, tuple(values[p] for p in node.parents))
        assert (exact_line(relaxation, "low", values) <= true).all()
        assert (exact_line(relaxation, "high", values) >= true).all()


@settings(max_examples=100, deadline=None)
@given(box=boxes(4), left=st.lists(NUMBER, min_size=4, max_size=4), right=st.lists(NUMBER, min_size=4, max_size=4))
def test_hinge_lines(box, left, right):
    lower, upper = box
    node = pointwise(Hinge(np.array(left), np.array(right)), new_input("x", 4))
    knee = np.clip(np.zeros(4), lower, upper)
    encloses(node, [box], [(to_fractions(v),) for v in (lower, upper, knee)])


@settings(max_examples=100, deadline=None)
@given(box=boxes(4))
def test_maximum_lines(box):
    node = maximum(new_input("x", 4), [[0, 1, 2], [3, 1, -1], [2, -1, -1]])
    corners = itertools.product(*zip(*map(to_fractions, box), strict=True))
    encloses(node, [box], [(np.array(c, dtype=object),) for c in corners])


X6 = new_input("x", 6)
UNDECIDED = {
    "hinge": pointwise(Hinge(np.array([0, 0, -1, 0.5, 1, 2.0]), np.array([1, 0, 1, 0.25, 1, 2.0])), X6),
    "clip": pointwise(clip(-1, 1), X6),
    "maximum": maximum(X6, [[0, 1, 2], [3, 4, -1], [5, -1, -1]]),
}


@pytest.mark.parametrize("kind", UNDECIDED)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_lines_depend_on_undecided_elements_alone(kind, data):
    node = UNDECIDED[kind]
    ends = data.draw(st.lists(st.integers(-60, 60), min_size=12, max_size=12, unique=True))
    lower, upper = (np.array(side) / 16 for side in (np.minimum(ends[:6], ends[6:]), np.maximum(ends[:6], ends[6:])))
    x = Range(torch.tensor(lower[None]), torch.tensor(upper[None]))
    plan = SimpleNamespace(keep={node: np.arange(node.size)}, groups=lambda node: node.filled)
    found = undecided(node, X6, x, Maps("cpu")).numpy()
    assert (found == kept.undecided(plan, node, lower[None], upper[None])).all()
    shift = (upper - lower) * data.draw(st.sampled_from([0.25, 0.5]))
    for less, more in ((shift, 0.0), (0.0, shift)):
        narrow = np.where(found[0], lower, lower + less), np.where(found[0], upper, upper - more)
        wide, other = (lines(node, [ends]) for ends in ((lower, upper), narrow))
        for one, two in zip(wide.taps, other.taps, strict=True):
            assert torch.equal(one.low, two.low)
            assert torch.equal(one.high, two.high)
        assert torch.equal(wide.low, other.low)
        assert torch.equal(wide.high, other.high)
    if kind == "hinge":
        assert (found[0] == (lower < 0) & (upper > 0) & (node.fn.left != node.fn.right)).all()


def test_a_group_of_one_member_is_decided_however_it_is_padded():
    node = UNDECIDED["maximum"]
    x = Range(-torch.ones(1, 6), torch.ones(1, 6))
    assert undecided(node, X6, x, Maps("cpu"))[0].tolist() == [True] * 5 + [False]
    plan = SimpleNamespace(keep={node: np.arange(node.size)}, groups=lambda node: node.filled)
    assert kept.undecided(plan, node, -np.ones((1, 6)), np.ones((1, 6)))[0].tolist() == [True] * 5 + [False]


@settings(max_examples=100, deadline=None)
@given(x=boxes(3), y=boxes(3))
def test_ranges_of_products_hold_in_rationals_and_cost_a_rounding(x, y):
    for other, square in ((y, False), (x, True)):
        low, high = product_range(np, x, other, DOUBLE, square=square)
        corners = np.array([to_fractions(a) * to_fractions(b) for a in x for b in other])[:: 3 if square else 1]
        least, most = corners.min(axis=0), corners.max(axis=0)
        if square:
            least = np.where((x[0] <= 0) & (x[1] >= 0), 0 * least, least)
        for bound, exact, sign in ((low, least, 1), (high, most, -1)):
            gap = sign * (exact - to_fractions(bound))
            assert (gap >= 0).all()
            assert (gap <= abs(exact) * Fraction(2) ** -50 + Fraction(DOUBLE.tiny) * 2).all()
            assert (bound[exact == 0] == 0).all()


def test_ranges_of_products_with_an_infinite_end():
    ends = [np.array([v]) for v in (1.0, np.inf, 2.0, 3.0, -np.inf, 0.0)]
    for xp, make in ((np, np.asarray), (torch, torch.tensor)):
        one, inf, two, three, none, zero = map(make, ends)
        low, high = product_range(xp, (one, inf), (two, three), DOUBLE, square=False)
        assert (2 * (1 - 2.0**-49) <= low <= 2, high) == (True, np.inf)
        low, high = product_range(xp, (none, inf), (none, inf), DOUBLE, square=True)
        assert (low, high) == (0, np.inf)
        low, high = product_range(xp, (zero, zero), (none, inf), DOUBLE, square=False)
        assert (low, high) == (0, 0)


@settings(max_examples=100, deadline=None)
@given(x=boxes(1), y=boxes(1))
def test_product_lines(x, y):
    ends = itertools.product(*(map(to_fractions, (*x, *y)),) * 2)
    inside = [(a, b) for a, b in ends if x[0] <= a[0] <= x[1] and y[0] <= b[0] <= y[1]]
    for summed in (False, True):
        encloses(product(new_input("x", 1), new_input("y", 1)), [x, y], inside, summed=summed)
    z = new_input("z", 1)
    centre = (to_fractions(x[0]) + to_fractions(x[1])) / 2
    encloses(product(z, z), [x, x], [(v, v) for v in (*map(to_fractions, x), centre)])


@settings(max_examples=50, deadline=None)
@given(x=boxes(1), y=boxes(1))
def test_planes_of_a_product_are_as_tight_as_intervals_over_the_box_itself(x, y):
    """McCormick's first plane alone is -8 somewhere on [-2, -1]^2, where x y is at least 1."""
    found = lines(product(new_input("x", 1), new_input("y", 1)), [x, y])
    corners = [a * b for a in (x[0][0], x[1][0]) for b in (y[0][0], y[1][0])]
    size = max(np.abs([*x, *y]).max() ** 2, 1e-200)
    for side, sign, wanted in (("low", 1, min(corners)), ("high", -1, max(corners))):
        ends = [float(getattr(tap, side)) * np.array(box).ravel() for tap, box in zip(found.taps, (x, y), strict=True)]
        reached = sign * sum((sign * end).min() for end in ends) + float(getattr(found, side))
        assert reached == pytest.approx(wanted, abs=1e-12 * size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shares_of_single_numbers_are_numbers_and_have_gradients(dtype):
    sides = [torch.tensor([0.0, -1.0, 1.0], dtype=dtype, requires_grad=True) for _ in range(4)]
    below, above = shares(torch, (sides[0], sides[1]), (sides[2], sides[3]), summed=False)
    (below + above).sum().backward()
    assert torch.isfinite(below).all()
    assert torch.isfinite(above).all()
    assert all(torch.isfinite(side.grad).all() for side in sides)


@pytest.mark.parametrize("node", [pointwise(Hinge(0.0, 1.0), new_input("x", 2)), maximum(new_input("x", 2), [[0, 1]])])
def test_lines_over_single_numbers_have_gradients(node):
    sides = [torch.tensor([[0.5, end]], dtype=torch.float64, requires_grad=True) for end in (-1.0, 2.0)]
    x, free = Range(*sides), torch.full((1, node.size), torch.inf, dtype=torch.float64)
    found = relax(node, (x,), Range(-free, free), Maps("cpu"))
    sum(side.sum() for tap in found.taps for side in (tap.low, tap.high)).backward()
    assert all(torch.isfinite(side.grad).all() for side in sides)


def test_slopes_of_a_sum_of_products_are_the_least_weights():
    weights, values = (np.array([0.2]), np.array([0.6])), (np.array([-3.0]), np.array([1.0]))
    for pair, which in (((weights, values), 1), ((values, weights), 0)):
        found = lines(product(new_input("x", 1), new_input("y", 1)), pair, summed=True)
        assert found.taps[which].low.item() == found.taps[which].high.item() == 0.2
    found = lines(product(new_input("x", 1), new_input("y", 1)), (weights, values))
    assert found.taps[1].low.item() > 0.2


@pytest.mark.parametrize("node", [maximum(new_input("x", 2), [[0, 1]]), pointwise(Hinge(-1.0, 2.0), new_input("x", 2))])
def test_open_ranges_keep_finite_slopes(node):
    for lower, upper in ((-np.inf, 1.0), (-1.0, np.inf), (-np.inf, np.inf)):
        relaxation = lines(node, [(np.array([lower, -1.0]), np.array([upper, 1.0]))])
        for tap in relaxation.taps:
            assert torch.isfinite(tap.low).all()
            assert torch.isfinite(tap.high).all()
        assert not torch.isnan(relaxation.low).any()
        assert not torch.isnan(relaxation.high).any()


def test_long_rationals_are_shortened_outward():
    long = np.array([Fraction(1, 3) ** 300, -(Fraction(2, 3) ** 300), Fraction(1, 3)], dtype=object)
    down, up = _shorten(long, round_down), _shorten(long, round_up)
    assert (down <= long).all()
    assert (up >= long).all()
    assert (down[:2] < long[:2]).all()
    assert down[2] == up[2] == Fraction(1, 3)
