"""Long VNN-LIB 2.0 files are read as arrays: the query is that of the package's trees, or those are read after all."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from itertools import product

import numpy as np
import pytest
from same_queries import assert_same

import nnsym as nn
from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.read.meter import Meter
from nnsym.read.vnnlib.bulk import LONG
from nnsym.read.vnnlib.version2 import bulk as vnnlib2_bulk
from nnsym.read.vnnlib.version2 import query as vnnlib2_query
from tests.fuzz import texts

NET = nn.sequential([([[1, -1], [0.5, 2]], [0, 0.25]), ([[1, 1], [-1, 0.5]], [0, 1])], activation="relu", name="f")
GRID = nn.sequential([(np.arange(12).reshape(2, 6) / 4 - 1, [0.5, -0.5])], name="grid")
HEAD = "(vnnlib-version <2.0>)\n(declare-network f (declare-input x real [2]) (declare-output y real [2]))\n"


def slow(text: str, network: nn.Network = NET) -> Query:
    tree = vnnlib2_query.parse_file(text, "text", Meter())
    return vnnlib2_query._query(tree, {d.name: network for d in tree.networks}, "text", Meter())


def fast(text: str, network: nn.Network = NET) -> Query | None:
    found = vnnlib2_bulk.read(text, "text", Meter())
    return None if found is None else vnnlib2_query._long_query(*found, {"f": network}, Meter())


def as_version2(text: str) -> str:
    """A 1.0 text about X_0, X_1, Y_0, Y_1 in the words of 2.0."""
    text = re.sub(r"\(declare-const \S+ Real\)", "", text)
    text = re.sub(r"\b([XY])_(\d+)", lambda m: f"{m[1].lower()}[{m[2]}]", text)
    text = re.sub(r"(?<=[\s(])[-+]?[.]?[0-9][-+.0-9eE]*(?=[\s)])", _number, text)
    return HEAD + text


def _number(found: re.Match[str]) -> str:
    written = format(Decimal(found[0]), "f")
    return written if "." in written else f"{written}.0"


def test_random_files() -> None:
    taken = 0
    for seed in range(300):
        r = random.Random(seed)
        text = as_version2(texts.version1(r)) if seed % 2 else texts.version2(r)
        try:
            found = fast(text)
        except InputError:  # the declarations
            found = None
        if found is not None:
            taken += 1
            assert_same(slow(text), found, r)
    assert taken > 15


@pytest.mark.parametrize(
    "lines",
    [
        "(assert (and (<= x[0] 1.0) (<= x[1] 1.0) (<= y[0] 2.0)))(assert (or (and (<= y[0] y[1])) (> y[1] 0.5)))",
        "(assert (<= x[0] 0.30)) ; a remark (\n(assert (<= x[0] 0.3))(assert (<= 0.25 x[0]))(assert (or (< y[0] 1.0)))",
        "(assert (or (and (<= x[0] 1.0) (>= x[0] 2.0) (<= y[0] 0.0)) (and (or (<= y[0] 0.0) (> y[1] 2.0)))))",
        "(assert (>= y[1] y[0]))(assert (<= y[0] y[1]))(assert (>= x[1] y[0]))",
    ],
)
def test_files_that_are_taken(lines: str) -> None:
    found = fast(HEAD + lines)
    assert found is not None
    assert_same(slow(HEAD + lines), found, random.Random(0))


@pytest.mark.parametrize(
    "lines",
    [
        "(assert (<= y[0] 1))",
        "(assert (<= y[0] 1.0e-3))",
        "(assert (<= y[0] (- 0.5)))",
        "(assert (<= y[0] +0.5))",
        "(assert (<= y[2] 1.0))",
        "(assert (<= y[-1] 1.0))",
        "(assert (<= y[00] 1.0))",
        "(assert (<= y 1.0))",
        "(assert (<= z[0] 1.0))",
        "(assert (<= Y_0 1.0))",
        "(assert (== y[0] 1.0))",
        "(assert (== x[0] x[1]))(assert (<= y[0] 1.0))",
        "(assert (< x[0] 1.0))(assert (<= y[0] 1.0))",
        "(assert (<= x[0] 1.0))",
        "(assert (<= (+ y[0] 1.0) 2.0))",
        "(assert (<= y[0] 1.0)",
        "(assert (<= y[0] 1.0)) (declare-const Y_2 Real)",
        "",
    ],
)
def test_files_that_are_left_to_the_package(lines: str) -> None:
    assert fast(HEAD + lines) is None


@pytest.mark.parametrize(
    "head",
    [
        HEAD + "(declare-network g (declare-input a real [2]) (declare-output b real [2]))",
        HEAD.replace("real", "int8"),
        HEAD.replace("(declare-output", '(declare-hidden h real [2] "h") (declare-output'),
    ],
)
def test_declarations_that_are_left_to_the_package(head: str) -> None:
    assert vnnlib2_bulk.read(f"{head}(assert (<= y[0] 1.0))", "text", Meter()) is None


def test_indices_are_in_the_order_of_rows() -> None:
    """A matrix of inputs: every element has its own bounds, and each output its own limit."""
    head = "(vnnlib-version <2.0>)(declare-network f (declare-input grid real [2,3]) (declare-output out real [1,2]))"
    places = list(product(range(2), range(3)))
    random.Random(0).shuffle(places)
    lines = "".join(f"(assert (<= grid[{i},{j}] {i}.{j}))(assert (>= grid[{i},{j}] -{j}.{i}))\n" for i, j in places)
    text = f"{head}{lines}(assert (<= out[0,1] 0.25))"
    found = fast(text, GRID)
    assert found is not None
    assert_same(slow(text, GRID), found, random.Random(1))
    assert found.labels == ("out[0,1] <= 1/4",) or "out[0,1]" in found.labels[0]


def test_both_readers_on_one_long_file() -> None:
    r = random.Random(0)
    cases = "".join(
        f"(and (<= x[0] {a + 0.01:.6f}) (>= x[0] {a:.6f}) (<= x[1] {a:.16f}) (>= x[1] -0.5)"
        f" (or (<= y[0] {a:.3f}) (>= y[1] {a:.9f})))\n"
        for a in (r.random() for _ in range(400))
    )
    text = f"{HEAD}(assert (or\n{cases}))\n"
    assert len(text) > LONG
    found = vnnlib2_query.read_query(text, "text", NET, {}, Meter())
    assert_same(slow(text), found, r)
    assert "one of 400 cases" in found.text  # the arrays were read
    broken = text.replace("(>= x[1] -0.5)", "(>= x[1] -0.5", 1)
    with pytest.raises(InputError, match="line"):
        vnnlib2_query.read_query(broken, "text", NET, {}, Meter())
