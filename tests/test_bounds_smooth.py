"""Lines over sigmoid and tanh, against 60-digit arithmetic and without any tolerance."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.ir.functions import sigmoidal as smooth
from nnsym.ir.smooth_functions import Sigmoid, Tanh

FUNCTIONS = {
    "sigmoid": (Sigmoid(), lambda x: 1 / (1 + (-x).exp())),
    "tanh": (Tanh(), lambda x: 1 - 2 / (1 + (2 * x).exp())),
}
ENDS = st.one_of(st.floats(-40, 40), st.floats(-1e-3, 1e-3), st.sampled_from([0.0, -1.0, 1.0, 1e-20, -30.0]))
ENDS = ENDS.filter(lambda x: x == 0 or abs(x) >= 1e-20)  # below, 60 digits are too few for 1 - 2 / (1 + exp(2 x))


def outside(value, below, above, points):
    """The points at which the function is not between the two lines, in 60 digits."""
    found = []
    with localcontext() as context:
        context.prec = 60
        for x in map(Decimal, points):
            y = value(x)
            low, high = (Decimal(float(a)) * x + Decimal(float(b)) for a, b in (below, above))
            if not low <= y <= high:
                found.append(float(x))
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=30, deadline=None)
@given(ends=st.tuples(ENDS, ENDS))
def test_lines_hold_everywhere(name, ends):
    fn, value = FUNCTIONS[name]
    lower, upper = min(ends), max(ends)
    a, b, c, d = smooth.lines(fn, np.array([lower]), np.array([upper]))
    points = np.unique(np.clip([*np.linspace(lower, upper, 41), 0.5 * (lower + upper), 0.0], lower, upper))
    assert outside(value, (a[0], b[0]), (c[0], d[0]), points) == []
    low, high = smooth.span(fn, np.array([lower]), np.array([upper]))
    assert outside(value, (0.0, low[0]), (0.0, high[0]), points) == []


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=30, deadline=None)
@given(ends=st.tuples(ENDS, ENDS), slope=st.floats(-0.5, 1.5), place=st.floats(0, 1))
def test_the_offset_repairs_any_slope_and_any_touching_point(name, ends, slope, place):
    fn, value = FUNCTIONS[name]
    lower, upper = min(ends), max(ends)
    start, end = max(lower, 0.0), max(upper, 0.0)
    arrays = (np.array([v]) for v in (lower, upper, slope, min(start + place * (end - start), end)))
    offset = smooth._offset(fn, fn.value, fn.derivative, *arrays)
    points = np.linspace(lower, upper, 41)
    assert outside(value, (0.0, -2.0), (slope, offset[0]), np.clip(points, lower, upper)) == []


def test_lines_are_tight():
    fn = Sigmoid()
    a, b, c, d = smooth.lines(fn, np.array([-2.0, 1.0, -3.0]), np.array([2.0, 3.0, -1.0]))
    for k, (lower, upper) in enumerate([(-2.0, 2.0), (1.0, 3.0), (-3.0, -1.0)]):
        x = np.linspace(lower, upper, 1001)
        above, below = c[k] * x + d[k] - fn.value(x), fn.value(x) - a[k] * x - b[k]
        assert above.min() < 1e-5  # both lines touch
        assert below.min() < 1e-5
        assert max(above.max(), below.max()) < 0.16
