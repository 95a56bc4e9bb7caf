"""Long files are read as arrays: the query is that of the reader of words."""

from __future__ import annotations

import random
import time
from fractions import Fraction

import numpy as np
import pytest
from same_queries import assert_same

import nnsym as nn
from nnsym.ir.query import Query
from nnsym.read.meter import Meter
from nnsym.read.vnnlib import bulk as vnnlib_bulk
from nnsym.read.vnnlib.load import parse
from nnsym.read.vnnlib.numbers import Numbers
from nnsym.read.vnnlib.query import to_query
from tests.fuzz import texts

NET = nn.sequential([([[1, -1], [0.5, 2]], [0, 0.25]), ([[1, 1], [-1, 0.5]], [0, 1])], activation="relu", name="f")
HEAD = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1"))


def fast(text: str) -> Query | None:
    bulk = vnnlib_bulk.read(text, "text", Meter())
    return None if bulk is None else to_query(bulk, NET, Meter())


def slow(text: str) -> Query:
    query = to_query(parse(text), NET, Meter())
    assert query is not None
    return query


def test_random_files() -> None:
    taken = 0
    for seed in range(150):
        r = random.Random(seed)
        text = texts.version1(r)
        found = fast(text)
        if found is not None:
            taken += 1
            assert_same(slow(text), found, r)
    assert taken > 10


@pytest.mark.parametrize(
    "lines",
    [
        "(assert (and (<= X_0 1) (<= X_1 1) (<= Y_0 2)))(assert (or (and (<= Y_0 Y_1)) (and (>= X_0 0) (> Y_1 .5))))",
        "(assert (<= X_0 0.30))(assert (<= X_0 3e-1))(assert (<= 0.25 X_0))(assert (or (<= Y_0 1) (< Y_0 1.0)))",
        "(assert (<= X_0 0.1))(assert (<= X_0 0.10000000000000001))(assert (>= Y_0 123456789012345678e-20))",
        "(assert (or (and (<= X_0 1) (>= X_0 2) (<= Y_0 0)) (and (<= X_0 5) (>= X_0 4) (or (<= Y_0 0) (> Y_1 2)))))",
        "(assert (or (and (<= X_0 -1) (>= X_0 0) (<= Y_0 0)) (and (<= X_1 5) (>= X_0 4) (<= Y_0 Y_1) (>= Y_0 Y_1))))",
        "(assert (or (and (or (>= Y_1 1)))))(assert (>= Y_1 Y_0))(assert (<= Y_0 Y_1))(assert (>= X_1 Y_0))",
    ],
)
def test_files_that_are_taken(lines: str) -> None:
    found = fast(HEAD + lines)
    assert found is not None
    assert_same(slow(HEAD + lines), found, random.Random(0))


@pytest.mark.parametrize(
    "lines",
    [
        "(assert (= Y_0 1))",
        "(assert (< X_0 1))(assert (<= Y_0 1))",
        "(assert (<= X_0 X_1))(assert (<= Y_0 1))",
        "(assert (<= Y_0 Y_0))",
        "(assert (<= Y_2 1))",
        "(assert (<= Y_0 12345678901234567890123))",
        "(assert (<= Y_0 1e400))",
        "(assert (<= (+ Y_0 1) 2))",
        "(assert (or (<= Y_0 1) (or (<= Y_1 1) (and (<= Y_0 2) (<= Y_1 2)))))",
        "(assert (or (and (or (<= X_0 1) (<= Y_0 1)))))",
        "(assert (<= Y_0 1)) (declare-const Y_2 Real)",
        "(assert (or))(assert (<= Y_0 1))",
        "(assert (<= Y_0 1)",
        "(assert (<= Y_0 1)))",
        "(assert (<= Y_0 ٣))",
        "(assert (or (<= Y_0 1)) (<= Y_0 2))",
        "",
    ],
)
def test_files_that_are_left_to_the_reader_of_words(lines: str) -> None:
    assert fast(HEAD + lines) is None


def boxes(count: int) -> str:
    r = random.Random(0)
    cases = "".join(
        f"(and (<= X_0 {a + 0.01:.6f}) (>= X_0 {a:.6f}) (<= X_1 {a:.16f}) (>= X_1 -0.5)"
        f" (or (<= Y_0 {a:.3f}) (>= Y_1 {a:.9f})))\n"
        for a in (r.random() for _ in range(count))
    )
    return f"{HEAD}(assert (or\n{cases}))\n"


def test_long_files_are_fast() -> None:
    """1 to 2 s for 10 MB where nothing else runs; the reader of words takes 30 and more."""
    text = boxes(30_000)
    begin = time.process_time()
    query = nn.load_vnnlib(text.encode(), NET)
    assert time.process_time() - begin < 10 * len(text) / 5e6
    assert len(query.formula.parts) == 30_000
    assert "one of 30000 cases" in query.text


def test_both_readers_on_one_long_file() -> None:
    text = boxes(400)
    assert len(text) > vnnlib_bulk.LONG
    assert_same(slow(text), nn.load_vnnlib(text.encode(), NET), random.Random(1))


@pytest.mark.parametrize("most", [3, 18, 40])
def test_numbers_become_the_fractions_that_python_makes(most):
    random = np.random.default_rng(most)
    value = np.concatenate((random.integers(-(10**17), 10**17, 300), [0, 1, -1, 5, -50, 10**17, 2**53]))
    decimals = random.integers(0, most + 1, len(value)).astype(np.int16)
    found = Numbers(value, decimals).fractions(np.arange(len(value)), np.where(value % 2, -1, 1))
    expected = [Fraction((-v if v % 2 else v), 10**d) for v, d in zip(value.tolist(), decimals.tolist(), strict=True)]
    assert found == expected
    assert [(f.numerator, f.denominator, hash(f)) for f in found] == [
        (f.numerator, f.denominator, hash(f)) for f in expected
    ]
