from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.encode.affine import Terms
from nnsym.encode.registry import find_encoding
from nnsym.encode.shorten import round_out, short_rows
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.results.result import Verdict
from nnsym.testing.check_encoding import check_encoding

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=60, deadline=None)
@example([(5e-324, 0.0, 1.0)], 0.0, 2)
@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=5), FINITE, st.integers(2, 12))
def test_the_slack_covers_what_rounding_moves_at_every_corner(entries, bias, bits):
    data = np.array([a for a, _, _ in entries])
    ends = np.array([sorted(pair) for _, *pair in entries])
    terms = Terms(data, np.arange(len(data)), np.array([0, len(data)]), distinct=True)
    short, offset, slack = short_rows(terms, np.array([bias]), bits, ends[:, 0], ends[:, 1])
    kept = dict(zip(short.columns.tolist(), short.data.tolist(), strict=True))
    moved = Fraction(bias) - Fraction(offset[0])
    for k, a in enumerate(data.tolist()):
        away = Fraction(a) - Fraction(kept.get(k, 0.0))
        moved = abs(moved) + abs(away) * max(abs(Fraction(end)) for end in ends[k].tolist())
    assert abs(moved) <= Fraction(slack[0])


@given(FINITE, st.integers(1, 20))
def test_bounds_are_rounded_outward_to_the_grid(value, bits):
    low, high = (float(round_out(np.array([value]), bits, sign)[0]) for sign in (-1, 1))
    assert low <= value <= high
    assert high - low <= 2.0**-bits
    assert (Fraction(low) * 2**bits).denominator == (Fraction(high) * 2**bits).denominator == 1


def test_rows_over_unbounded_columns_keep_their_numbers_and_others_lose_tiny_ones():
    terms = Terms(np.array([1.0, 0.3, 1.0, 1e-9]), np.array([0, 1, 0, 1]), np.array([0, 2, 4]), distinct=True)
    low, high = np.array([-1.0, -np.inf, -1.0, -1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    short, offset, slack = short_rows(terms, np.array([0.1, 0.0]), 4, low, high)
    assert short.data.tolist() == [1.0, 0.3, 1.0]
    assert short.indptr.tolist() == [0, 2, 3]
    assert offset.tolist() == [0.1, 0.0]
    assert slack.tolist() == [0.0, 2.0**-4]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smt", "bigm"])
def test_conformance_of_shortened_encodings(name):
    done = check_encoding(find_encoding(name).shorten(3), kinds=("dense", "leaky", "maxpool"), seeds=range(3), runs=3)
    assert done.queries == 18


def test_a_copied_column_with_a_slack_is_not_shared():
    """``y = 1.0001 x`` is no copy of x, although the short coefficient is 1."""
    f = nn.sequential([([[1.0001]], [0.0])], activation="relu")
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=f(x)[0] <= 1, name="above")
    assert nn.verify(p, find_encoding("smt").shorten(3), shortcut=False).status is not Verdict.VERIFIED
    assert nn.verify(p, "smt").status is Verdict.FALSIFIED


def test_shortened_encodings_verify_and_never_wrongly():
    f = nn.zoo.random_mlp(3)
    x = nn.Variable(3, name="x")
    y = f(x)
    least = nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=y[0] >= y[1]), "bigm", optimise=True).lower
    for slack, status in ((0.5, Verdict.VERIFIED), (-0.5, Verdict.FALSIFIED)):
        p = nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= least - slack)
        assert nn.verify(p, "smt-short12", shortcut=False).status in (status, Verdict.UNKNOWN)
    assert nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= least - 0.5), "smt-short12").status is (
        Verdict.VERIFIED
    )


def test_many_terms_are_shortened_in_blocks_of_rows():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, 700_000)
    pointers = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    size, some = pointers[-1], pointers[699_000]
    terms = Terms(rng.normal(size=size), rng.integers(0, 50, size), pointers)
    bias, low, high = rng.normal(size=700_000), -rng.random(size), rng.random(size)
    whole = short_rows(terms, bias, 6, low, high)
    end = Terms(terms.data[some:], terms.columns[some:], pointers[699_000:] - some)
    last = short_rows(end, bias[699_000:], 6, low[some:], high[some:])
    assert (whole[1][699_000:] == last[1]).all()
    assert (whole[2][699_000:] == last[2]).all()
    assert (whole[0].data[whole[0].indptr[699_000] :] == last[0].data).all()
    with pytest.raises(OutOfTime):
        short_rows(terms, bias, 6, low, high, deadline=Deadline.after(0))
