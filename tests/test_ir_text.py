"""The text form, content hashes and the drawing."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.ir.domain import Box
from nnsym.ir.exact import simplify
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Sparse
from nnsym.ir.names import node_names
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.text import dump, dump_query, linear_text, number
from nnsym.ir.univariate import Hinge, leaky_relu, relu
from nnsym.report.pictures.graph import to_svg
from nnsym.testing.random_nets import KINDS, random_network, random_query


def small(name: str = "x", weight: float = -1.0) -> Network:
    x = new_input(name, 2)
    h = pointwise(relu(), affine(((Dense([[1.0, 1.0], [1.0, weight]]), x),), [0.5, 0.0]))
    y = maximum(affine(((Dense([[0.1, 1.0]]), h),)), [[0]])
    return Network("small", {name: Tensor(x, (2,))}, {"y": Tensor(product(y, y), (1,))})


def query_of(network: Network, *, constant: object = 0.25, upper: object = 1.0, strict: bool = False) -> Query:
    x = new_input("x", 2)
    application = network.apply((x,))
    rows = Rows.of(application.output("y")).scale(-1.0) + Rows.constants([constant])
    box = Box(np.array([-1.0, 0.0]), simplify(np.array([upper, 1.0], dtype=object)))
    return Query("q", {x: box}, rows, Atoms(np.array([0]), strict, soft=True), (application,))


def test_graph_text() -> None:
    network = small()
    nodes = network.nodes
    assert dump(t.node for t in network.outputs.values()) == (
        "%0 : 2 = input\n"
        "%1 : 2 = dense[2x2 [[1, 1], [1, -1]]](%0) + [0.5, 0]\n"
        "%2 : 2 = relu(%1)\n"
        "%3 : 1 = dense[1x2 [[0.1, 1]]](%2)\n"
        "%4 : 1 = max(%3, groups 1x1 [[0]])\n"
        "%5 : 1 = %4 * %4\n"
        "return %5\n"
    )
    named = dump([nodes[2]], names=node_names(nodes), width=6)
    assert named.endswith("relu_1 : 2 = relu(affine_1)\nreturn relu_1\n")


def test_query_text() -> None:
    text = dump_query(query_of(small(), constant=Fraction(1, 3), upper=Fraction(1, 10), strict=True))
    assert "[-1, 0] <= %0 <= [1/10, 1]" in text
    assert "s[0] = -%5[0] + 1/3" in text
    assert text.endswith("exists all soft s[0] < 0\n")


def test_hashes_are_of_content_only() -> None:
    same = [query_of(small()).hash, query_of(small("other name")).hash]
    assert same[0] == same[1]
    different = [
        query_of(small(weight=-1.5)).hash,
        query_of(small(), constant=0.5).hash,
        query_of(small(), constant=Fraction(1, 3)).hash,
        query_of(small(), upper=2.0).hash,
        query_of(small(), upper=Fraction(1, 3)).hash,
        query_of(small(), strict=True).hash,
    ]
    assert len({*same, *different}) == 1 + len(different)
    assert small().hash == small("z").hash != small(weight=0.0).hash


def test_a_name_of_an_activation_is_not_content() -> None:
    x = new_input("x", 1)
    assert pointwise(Hinge(np.zeros(1), np.ones(1), "mine"), x) is pointwise(relu(), x)
    assert "relu(" in dump([pointwise(relu(), x)])
    assert "hinge[[0.25] [1]](" in dump([pointwise(leaky_relu(0.25), x)])


def test_large_constants_are_digests_that_tell_them_apart() -> None:
    x = new_input("x", 20)
    weights = np.arange(60.0).reshape(3, 20)
    texts = set()
    for k in range(3):
        changed = weights.copy()
        changed[1, 7] += k
        texts.add(dump([affine(((Dense(changed), x),))]))
    assert len(texts) == 3
    sparse = affine(((Sparse([2.0], [3], [0, 0, 1], 20), x),))
    assert "sparse[2x20 #" in dump([sparse], width=4)


def test_many_rows_are_printed_as_blocks() -> None:
    texts = []
    for last in (Fraction(1, 3), Fraction(1, 7)):
        x = new_input("x", 100)
        rows = Rows.of(x) + Rows.constants([Fraction(0)] * 99 + [last])
        query = Query("q", {x: Box(np.zeros(100), np.ones(100))}, rows, Atoms(np.arange(100), strict=False, soft=True))
        texts.append(dump_query(query))
    assert "all soft s[0..99] <= 0" in texts[0]
    assert texts[0] != texts[1]
    assert len(texts[0]) < 1000


@settings(max_examples=200, deadline=None)
@given(st.fractions(max_denominator=2**12) | st.decimals(-100, 100, places=6).map(Fraction))
def test_numbers_are_printed_exactly(value: Fraction) -> None:
    assert Fraction(number(value)) == value


def test_number_and_linear_text() -> None:
    assert [number(v) for v in (Fraction(1, 8), Fraction(-3, 40), Fraction(1, 3), 2.0, 0.1, float("-inf"))] == [
        "0.125", "-0.075", "1/3", "2", "0.1", "-inf",
    ]  # fmt: skip
    assert linear_text([("a", Fraction(-1)), ("b", Fraction(1, 2))], Fraction(-3)) == "-a + 0.5 b - 3"
    assert linear_text([], Fraction(0)) == "0"


@pytest.mark.parametrize("kind", KINDS)
def test_drawing_has_a_box_for_every_node(kind: str) -> None:
    network = random_network(kind, 1)
    root = ElementTree.fromstring(to_svg(network))
    space = "{http://www.w3.org/2000/svg}"
    titles = {t.text for t in root.iter(f"{space}text")}
    assert set(node_names(network.nodes).values()) <= titles
    boxes = [(float(r.get("x")), float(r.get("y"))) for r in root.iter(f"{space}rect") if r.get("x")]  # type: ignore[arg-type]
    assert len(boxes) == len(network.nodes) + len(network.outputs)
    for k, (x, y) in enumerate(boxes):  # boxes of one row do not overlap
        assert all(abs(x - other) >= 230 for other, row in boxes[k + 1 :] if row == y)


def test_drawing_escapes_names() -> None:
    x = new_input("<x> & 'y'", 1)
    network = Network("a<b", {"in<1>": Tensor(x, (1,))}, {"out&": Tensor(pointwise(relu(), x), (1,))})
    ElementTree.fromstring(to_svg(network))


def test_text_of_random_queries_survives_rebuilding() -> None:
    for kind in KINDS:
        first, again = (random_query(random_network(kind, 3), 5) for _ in range(2))
        assert first.inputs != again.inputs
        assert dump_query(first) == dump_query(again)
