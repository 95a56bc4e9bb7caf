"""The well-formedness check accepts what the IR builds and names what is broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nnsym.errors import InputError
from nnsym.ir.check import check, check_query
from nnsym.ir.domain import Box
from nnsym.ir.formula import And, Atoms, InBox
from nnsym.ir.linear import Dense, Sparse
from nnsym.ir.node import Affine, Input, Labels, Max, Node, Pointwise, Product, affine, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Coefficients, Rows
from nnsym.ir.univariate import Hinge, relu
from nnsym.testing.random_nets import KINDS, SMOOTH_KINDS, random_network, random_query


@pytest.mark.parametrize("kind", [*KINDS, *SMOOTH_KINDS])
def test_random_networks_and_queries_are_well_formed(kind: str) -> None:
    for seed in range(5):
        network = random_network(kind, seed)
        check(network.nodes)
        check_query(random_query(network, seed))


def broken_map(**changes: Any) -> Sparse:
    linear = Sparse([1.0, 2.0], [0, 1], [0, 1, 2], 2)
    for name, value in changes.items():
        object.__setattr__(linear, name, np.asarray(value))
    return linear


X = new_input("x", 2)
BIAS = np.zeros(2)


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (Affine((Dense(np.eye(2)),), (X,), np.array([0.0, np.nan])), "bias"),
        (Affine((Dense(np.ones((3, 2))),), (X,), BIAS), r"map of shape \(3, 2\)"),
        (Affine((Dense(np.eye(2)), Dense(np.eye(2))), (X, X), BIAS), "same parent twice"),
        (Affine((broken_map(indices=[0, 2]),), (X,), BIAS), "outside its parent"),
        (Affine((broken_map(indptr=[0, 2, 2], indices=[1, 1]),), (X,), BIAS), "column twice"),
        (Affine((broken_map(indptr=[0, 2, 1]),), (X,), BIAS), "row pointers"),
        (Affine((broken_map(data=[1.0, np.inf]),), (X,), BIAS), "infinity"),
        (Pointwise(Hinge(np.zeros(3), np.ones(3)), X), "slopes"),
        (Max(X, np.array([[0, 2]])), "out of range"),
        (Max(X, np.array([[-1, -1]])), "empty group"),
        (Product(X, new_input("z", 3)), "different sizes"),
        (Pointwise(relu(), X), "not the interned"),
        (Input("w", 2, "u", np.zeros(3, dtype=bool), np.full(2, -1), Labels()), "integer flags"),
    ],
)
def test_broken_nodes_are_named(node: Node, problem: str) -> None:
    if "interned" not in problem:  # make it the interned one, so that only the defect at hand is found
        from nnsym.ir.node import _interned

        _interned[node.key] = node
    else:
        kept = affine(((Dense(np.eye(2) * 3), X),))
        node = Pointwise(relu(), kept)
    with pytest.raises(InputError, match=problem) as caught:
        check([node])
    assert caught.value.where


def query() -> Query:
    x = new_input("x", 2)
    rows = Rows.of(x) - Rows.constants([0.5, 0.25])
    return Query("q", {x: Box(np.zeros(2), np.ones(2))}, rows, Atoms(np.arange(2), strict=False, soft=True))


def with_part(**changes: Any) -> Query:
    q = query()
    (x,) = q.inputs
    return replace(q, rows=Rows({x: replace(q.rows.parts[x], **changes)}, q.rows.constant))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: replace(query(), boxes={}), "without a box"),
        (lambda: replace(query(), formula=Atoms(np.array([2]), strict=False, soft=True)), "row 2 of 2"),
        (lambda: replace(query(), formula=And((InBox(X, BIAS, BIAS),))), "not the query's"),
        (lambda: replace(query(), labels=("one",)), "1 labels for 2 rows"),
        (lambda: replace(query(), rows=Rows({}, np.array([np.nan]))), "finite"),
        (lambda: with_part(row=np.array([1, 0])), "unsorted"),
        (lambda: with_part(row=np.array([0, 0]), column=np.array([1, 1])), "repeated"),
        (lambda: with_part(row=np.array([0, 2])), "outside the rows"),
        (lambda: with_part(column=np.array([0, 2])), "outside the node"),
        (lambda: with_part(coefficient=np.array([1.0, 0.0])), "zero"),
        (lambda: with_part(coefficient=np.array([1.0])), "different lengths"),
    ],
)
def test_broken_queries_are_named(make: Any, problem: str) -> None:
    check_query(query())
    with pytest.raises(InputError, match=problem):
        check_query(make())


def test_boxes_are_checked() -> None:
    q = query()
    (x,) = q.inputs
    for box, problem in (
        (Box(np.zeros(3), np.ones(2)), "shapes"),
        (Box(np.array([0.0, np.nan]), np.ones(2)), "NaN"),
    ):
        with pytest.raises(InputError, match=problem):
            check_query(replace(q, boxes={x: box}))
    assert isinstance(q.rows.parts[x], Coefficients)
